//! A STUN server at two addresses and two ports of each (RFC 5780 section 6), for UDP and TCP.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::stun::{HEADER, Incoming, Request, Response};
use super::{CheckError, tcp};
use crate::net::NetNs;

/// The server's addresses.
pub const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 0, 2), Ipv4Addr::new(198, 18, 0, 3)];
/// The server's ports: STUN's own, and the next.
pub const PORTS: [u16; 2] = [3478, 3479];

/// One end of the server: which address, which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    address: usize,
    port: usize,
}

impl End {
    /// Where clients begin.
    pub const PRIMARY: Self = Self { address: 0, port: 0 };
    /// Same address, other port.
    pub const OTHER_PORT: Self = Self { address: 0, port: 1 };
    /// Other address, same port.
    pub const OTHER_ADDRESS: Self = Self { address: 1, port: 0 };
    /// Both other.
    pub const OTHER_BOTH: Self = Self { address: 1, port: 1 };

    const ALL: [Self; 4] = [Self::PRIMARY, Self::OTHER_PORT, Self::OTHER_ADDRESS, Self::OTHER_BOTH];

    /// Its address and port.
    pub fn socket_address(self) -> SocketAddrV4 {
        SocketAddrV4::new(ADDRESSES[self.address], PORTS[self.port])
    }

    fn changed(self, address: bool, port: bool) -> Self {
        Self { address: self.address ^ usize::from(address), port: self.port ^ usize::from(port) }
    }

    const fn index(self) -> usize {
        self.address * 2 + self.port
    }
}

/// The server. It answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    namespace: NetNs,
    _answering: JoinSet<()>,
}

impl Server {
    /// Starts answering.
    pub async fn start(namespace: NetNs) -> Result<Self, CheckError> {
        let mut sockets = Vec::new();
        let mut listeners = Vec::new();
        for end in End::ALL {
            let address = end.socket_address();
            let socket = namespace.run_async(move || bind(address)).await??;
            sockets.push(Arc::new(socket));
            listeners.push((end, tcp::listen(&namespace, address).await?));
        }
        let sockets: Arc<[_]> = sockets.into();
        let mut answering = JoinSet::new();
        for end in End::ALL {
            answering.spawn(answer_datagrams(end, Arc::clone(&sockets)));
        }
        for (end, listener) in listeners {
            answering.spawn(answer_connections(end, listener));
        }
        Ok(Self { namespace, _answering: answering })
    }

    /// Where it is.
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }
}

fn bind(address: SocketAddrV4) -> Result<UdpSocket, CheckError> {
    let failed = || CheckError::socket(format!("bind {address} for UDP"));
    let socket = std::net::UdpSocket::bind(address).map_err(failed())?;
    socket.set_nonblocking(true).map_err(failed())?;
    UdpSocket::from_std(socket).map_err(failed())
}

/// Answers requests one after another, so that the answers leave in the order of the requests.
async fn answer_datagrams(end: End, sockets: Arc<[Arc<UdpSocket>]>) {
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, SocketAddr::V4(from))) = sockets[end.index()].recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(Incoming::Request(request)) = Incoming::decode(&buffer[..length]) else { continue };
        let source = end.changed(request.change_address, request.change_port);
        let to = SocketAddrV4::new(*from.ip(), request.response_port.unwrap_or(from.port()));
        if let Ok(answer) = answer(request, source, from) {
            // What is lost is asked for again.
            let _ = sockets[source.index()].send_to(&answer, to).await;
        }
    }
}

async fn answer_connections(end: End, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, SocketAddr::V4(from))) = accepted {
                    connections.spawn(answer_connection(end, stream, from));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers until the client closes, or says something that is no request.
async fn answer_connection(end: End, mut stream: TcpStream, from: SocketAddrV4) {
    while let Ok(Incoming::Request(request)) = receive(&mut stream).await {
        let Ok(answer) = answer(request, end, from) else { return };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn answer(request: Request, source: End, from: SocketAddrV4) -> Result<Vec<u8>, CheckError> {
    Response {
        id: request.id,
        mapped: from,
        other: source.changed(true, true).socket_address(),
        origin: source.socket_address(),
    }
    .encode()
}

/// The next message of a stream.
pub async fn receive(stream: &mut TcpStream) -> Result<Incoming, CheckError> {
    let failed = || CheckError::socket("read a STUN message over TCP");
    let mut message = vec![0; HEADER];
    stream.read_exact(&mut message).await.map_err(failed())?;
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    message.resize(HEADER + length, 0);
    stream.read_exact(&mut message[HEADER..]).await.map_err(failed())?;
    Incoming::decode(&message)
}
