//! Behaviour discovery over TCP: mapping as over UDP, filtering by connections from outside to a mapping
//! (RFC 5382 sections 4.1 and 4.3).

use std::net::SocketAddrV4;
use std::pin::pin;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::CheckError;
use super::behaviour::{Kind, mapping_of};
use super::server::{End, Server, receive};
use super::stun::{Incoming, Request};
use super::testbed::Site;
use super::udp::ROUNDS;
use crate::net::NetNs;
use crate::profile::Filtering;

/// How long something that must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

const MAPPING_PORT: u16 = 5000;
const FILTERING_PORT: u16 = 5001;

/// Mapping and filtering.
pub async fn classify(server: &Server, site: &Site) -> Result<Kind, CheckError> {
    let host = &site.hosts[0];
    let end = SocketAddrV4::new(host.address, MAPPING_PORT);
    let mut open = Vec::new();
    let mut seen = Vec::new();
    for server in [End::PRIMARY, End::OTHER_ADDRESS, End::OTHER_BOTH] {
        let mut stream = connect(&host.namespace, end, server.socket_address()).await?;
        seen.push(ask(&mut stream).await?);
        // A mapping that is in use stays.
        open.push(stream);
    }
    let mapping = mapping_of(end, [seen[0], seen[1], seen[2]])?;

    let end = SocketAddrV4::new(host.address, FILTERING_PORT);
    let listener = listen(&host.namespace, end).await?;
    let mut stream = connect(&host.namespace, end, End::PRIMARY.socket_address()).await?;
    let outside = ask(&mut stream).await?;
    let filtering = if reaches(server, End::OTHER_BOTH, outside, &listener, &mut stream).await? {
        Filtering::EndpointIndependent
    } else if reaches(server, End::OTHER_PORT, outside, &listener, &mut stream).await? {
        Filtering::AddressDependent
    } else {
        Filtering::AddressAndPortDependent
    };
    Ok(Kind { mapping, filtering })
}

/// Whether a connection from an end of the server gets to the inside host. That its SYN did not is known by
/// answers over the connection that is open, for which is asked after it.
async fn reaches(
    server: &Server,
    from: End,
    outside: SocketAddrV4,
    inside: &TcpListener,
    open: &mut TcpStream,
) -> Result<bool, CheckError> {
    for _ in 0..ROUNDS {
        let socket = socket(server.namespace(), from.socket_address()).await?;
        let mut connecting = pin!(socket.connect(outside.into()));
        let witness = async {
            for _ in 0..ROUNDS {
                ask(open).await?;
            }
            Ok::<_, CheckError>(())
        };
        let connected = tokio::select! {
            // The SYN has to leave first.
            biased;
            connected = &mut connecting => Some(connected),
            witness = witness => { witness?; timeout(Duration::ZERO, connecting).await.ok() }
        };
        if let Some(Ok(stream)) = connected {
            let accepted = timeout(PATIENCE, inside.accept()).await;
            drop(stream);
            if accepted.is_ok_and(|accepted| accepted.is_ok()) {
                return Ok(true);
            }
            let what = format!("{outside} accepts connections, and the inside host gets none");
            return Err(CheckError::Contradiction { what });
        }
    }
    Ok(false)
}

/// Asks over a connection where the server sees it come from.
async fn ask(stream: &mut TcpStream) -> Result<SocketAddrV4, CheckError> {
    let request = Request::new();
    stream.write_all(&request.encode()?).await.map_err(CheckError::socket("ask over TCP"))?;
    let answer = timeout(PATIENCE, receive(stream)).await;
    match answer
        .map_err(|_| std::io::ErrorKind::TimedOut.into())
        .map_err(CheckError::socket("ask over TCP"))??
    {
        Incoming::Response(response) if response.id == request.id => Ok(response.mapped),
        other => Err(CheckError::Message { reason: format!("not the answer that was asked for: {other:?}") }),
    }
}

async fn connect(namespace: &NetNs, from: SocketAddrV4, to: SocketAddrV4) -> Result<TcpStream, CheckError> {
    let socket = socket(namespace, from).await?;
    match timeout(PATIENCE, socket.connect(to.into())).await {
        Ok(connected) => connected.map_err(CheckError::socket(format!("connect {from} to {to}"))),
        Err(_) => Err(CheckError::NoAnswer { server: to, client: from }),
    }
}

/// Listens at an endpoint, from which connections can be opened, too.
pub async fn listen(namespace: &NetNs, end: SocketAddrV4) -> Result<TcpListener, CheckError> {
    socket(namespace, end).await?.listen(BACKLOG).map_err(CheckError::socket(format!("listen at {end}")))
}

/// A socket at an endpoint that others may have, too. Its connections end at once, so that the next one
/// between the same two ends can be opened.
async fn socket(namespace: &NetNs, end: SocketAddrV4) -> Result<TcpSocket, CheckError> {
    let bound = move || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        socket.bind(end.into())?;
        Ok(socket)
    };
    namespace.run_async(bound).await?.map_err(CheckError::socket(format!("bind {end} for TCP")))
}
