//! Classification of a NAT by plain TCP sockets.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use labctl::profile::{Filtering, Mapping};
use socket2::{Domain, Protocol, Socket, Type};

use super::{A, B, P, PATIENCE, Q, World, inside};

/// Listeners at two addresses and two ports each.
pub struct Servers {
    namespace: String,
    listeners: BTreeMap<SocketAddrV4, TcpListener>,
}

/// A client's port, from which it both connects and listens.
pub struct Client {
    namespace: String,
    end: SocketAddrV4,
    listener: TcpListener,
}

impl Client {
    pub fn new(namespace: &str, end: SocketAddrV4) -> Self {
        Self { namespace: namespace.to_owned(), end, listener: listen(namespace, end) }
    }

    pub fn connect(&self, to: SocketAddrV4) -> TcpStream {
        connect(&self.namespace, self.end, to)
    }

    /// The next connection from outside.
    pub fn accept(&self) -> (TcpStream, SocketAddr) {
        accept(&self.listener)
    }
}

impl Servers {
    pub fn new(world: &World) -> Self {
        let namespace = world.servers();
        let ends = [(A, P), (A, Q), (B, P), (B, Q)].map(|(address, port)| SocketAddrV4::new(address, port));
        Self { listeners: ends.into_iter().map(|end| (end, listen(&namespace, end))).collect(), namespace }
    }

    pub fn listener(&self, address: Ipv4Addr, port: u16) -> &TcpListener {
        &self.listeners[&SocketAddrV4::new(address, port)]
    }

    /// Connects `client` to a server: both ends, and the outside endpoint that it was seen with.
    pub fn seen_from(
        &self,
        client: &Client,
        address: Ipv4Addr,
        port: u16,
    ) -> (TcpStream, TcpStream, SocketAddrV4) {
        let near = client.connect(SocketAddrV4::new(address, port));
        let (far, from) = accept(self.listener(address, port));
        let SocketAddr::V4(from) = from else { panic!("IPv6") };
        (near, far, from)
    }

    pub fn mapping(&self, client: &Client) -> Mapping {
        let open: Vec<_> =
            [(A, P), (A, Q), (B, P)].map(|(address, port)| self.seen_from(client, address, port)).into();
        match (open[0].2 == open[1].2, open[0].2 == open[2].2) {
            (true, true) => Mapping::EndpointIndependent,
            (true, false) => Mapping::AddressDependent,
            (false, false) => Mapping::AddressAndPortDependent,
            (false, true) => panic!("port-dependent, address-independent: no such mapping"),
        }
    }

    /// `client` must not have connected to the servers at B or to port Q.
    pub fn filtering(&self, client: &Client) -> Filtering {
        let (mut near, mut far, outside) = self.seen_from(client, A, P);
        let anybody = self.reaches(client, outside, (B, Q), (&mut near, &mut far));
        let same_address = self.reaches(client, outside, (A, Q), (&mut near, &mut far));
        match (anybody, same_address) {
            (true, true) => Filtering::EndpointIndependent,
            (false, true) => Filtering::AddressDependent,
            (false, false) => Filtering::AddressAndPortDependent,
            (true, false) => panic!("lets in a stranger and not an acquaintance"),
        }
    }

    /// Sends a SYN from a server. The connection is given up when the socket is dropped.
    pub fn call(&self, outside: SocketAddrV4, from: (Ipv4Addr, u16)) -> Socket {
        begin(&self.namespace, SocketAddrV4::new(from.0, from.1), outside)
    }

    /// Whether a connection from a server reaches `client` at `outside`. A byte over the open connection,
    /// sent after the SYN, tells that the SYN has had its time.
    pub fn reaches(
        &self,
        client: &Client,
        outside: SocketAddrV4,
        from: (Ipv4Addr, u16),
        (near, far): (&mut TcpStream, &mut TcpStream),
    ) -> bool {
        // Kept until the answer is known: its SYN is under way.
        let socket = bound(&self.namespace, SocketAddrV4::new(from.0, from.1));
        socket.set_nonblocking(true).unwrap();
        // The connection is opened and the byte is sent on one processor, so that they stay in order.
        inside(&self.namespace, || {
            let _ = socket.connect(&SocketAddr::V4(outside).into());
            far.write_all(b"!").unwrap();
        });
        near.read_exact(&mut [0]).unwrap();
        client.listener.set_nonblocking(true).unwrap();
        let reached = match client.listener.accept() {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // The SYN may have come without the handshake being over.
                half_open(client, from)
            }
            Err(error) => panic!("{error}"),
        };
        client.listener.set_nonblocking(false).unwrap();
        reached
    }
}

/// Whether the client's kernel knows of a connection from this server.
fn half_open(client: &Client, from: (Ipv4Addr, u16)) -> bool {
    let list = super::run_in(&client.namespace, &["ss", "-Htna", &format!("dst {}:{}", from.0, from.1)]);
    !list.trim().is_empty()
}

fn bound(namespace: &str, end: SocketAddrV4) -> Socket {
    inside(namespace, || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::V4(end).into()).unwrap_or_else(|error| panic!("{end}: {error}"));
        // The port is free for the next connection at once.
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        socket
    })
}

pub fn listen(namespace: &str, end: SocketAddrV4) -> TcpListener {
    let socket = bound(namespace, end);
    socket.listen(1024).unwrap();
    socket.into()
}

/// Sends a SYN. The connection is given up when the socket is dropped.
pub fn begin(namespace: &str, from: SocketAddrV4, to: SocketAddrV4) -> Socket {
    let socket = bound(namespace, from);
    socket.set_nonblocking(true).unwrap();
    let _ = socket.connect(&SocketAddr::V4(to).into());
    socket
}

pub fn connect(namespace: &str, from: SocketAddrV4, to: SocketAddrV4) -> TcpStream {
    let socket = bound(namespace, from);
    socket
        .connect_timeout(&SocketAddr::V4(to).into(), PATIENCE)
        .unwrap_or_else(|error| panic!("{from} -> {to}: {error}"));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

pub fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, from) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (stream, from)
}
