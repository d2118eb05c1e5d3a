//! The sockets that a node has for as long as it runs: UDP, and TCP listeners.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tracing::warn;

/// How many connections may wait to be accepted: a burst of a thousand clients that connect in the same
/// round trip finds room while the node is busy with one RSA operation. The kernel lowers it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// What to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bindings {
    /// The node's address; it need not be on an interface yet. `0.0.0.0` for a client.
    pub address: Ipv4Addr,
    /// The node's own port, UDP and TCP. Without it there is no node.
    pub port: u16,
    /// The second UDP port of a super node.
    pub alternate: Option<u16>,
    /// More TCP ports (80, 443), where they can be had.
    pub also: Vec<u16>,
}

/// Bound sockets.
#[derive(Debug)]
pub struct Sockets {
    /// UDP, the node's own port.
    pub(super) main: UdpSocket,
    /// UDP, the second port.
    pub(super) alternate: Option<UdpSocket>,
    /// TCP listeners, each with its port.
    pub(super) listeners: Vec<(u16, TcpListener)>,
    /// The address that outgoing connections come from.
    pub(super) address: Ipv4Addr,
}

/// A port that the node cannot do without could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{protocol} {address} cannot be bound: {source}; {mend}")]
pub struct BindError {
    /// `UDP` or `TCP`.
    protocol: &'static str,
    /// What was asked for.
    address: SocketAddrV4,
    /// What the system says.
    source: io::Error,
    /// What to do.
    mend: &'static str,
}

impl BindError {
    fn new(protocol: &'static str, address: SocketAddrV4, source: io::Error) -> Self {
        let mend = match source.kind() {
            io::ErrorKind::AddrInUse => "another program, or another instance of this node, has the port",
            io::ErrorKind::PermissionDenied => {
                "the port is below net.ipv4.ip_unprivileged_port_start, or a policy forbids it"
            }
            _ => "see that the node has a network namespace with IPv4",
        };
        Self { protocol, address, source, mend }
    }

    /// True if another port may do.
    #[must_use]
    pub fn port_is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl Sockets {
    /// Binds all of `bindings`. A port of [`Bindings::also`] that cannot be bound is logged and left out.
    pub fn bind(bindings: &Bindings) -> Result<Self, BindError> {
        let at = |port| SocketAddrV4::new(bindings.address, port);
        let main = udp(at(bindings.port))?;
        let alternate = bindings.alternate.map(|port| udp(at(port))).transpose()?;
        let mut listeners = vec![(bindings.port, tcp(at(bindings.port))?)];
        for &port in bindings.also.iter().filter(|port| **port != bindings.port) {
            match tcp(at(port)) {
                Ok(listener) => listeners.push((port, listener)),
                Err(error) => warn!(%error, "goes on without a port"),
            }
        }
        Ok(Self { main, alternate, listeners, address: bindings.address })
    }

    /// The TCP ports that are listened on.
    #[must_use]
    pub fn tcp_ports(&self) -> Vec<u16> {
        self.listeners.iter().map(|(port, _)| *port).collect()
    }
}

fn udp(address: SocketAddrV4) -> Result<UdpSocket, BindError> {
    let open = || {
        let socket = socket(Type::DGRAM, Protocol::UDP, address)?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|source| BindError::new("UDP", address, source))
}

fn tcp(address: SocketAddrV4) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = socket(Type::STREAM, Protocol::TCP, address)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| BindError::new("TCP", address, source))
}

fn socket(kind: Type, protocol: Protocol, address: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind.nonblocking().cloexec(), Some(protocol))?;
    // The address comes to the interface after the node's start.
    socket.set_freebind_v4(true)?;
    if kind == Type::STREAM {
        // A connection in TIME_WAIT must not keep the next login, or a restarted node, off its port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(port: u16) -> Bindings {
        Bindings { address: Ipv4Addr::new(127, 0, 40, 1), port, alternate: None, also: vec![] }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_that_says_so() {
        let taken = std::net::UdpSocket::bind("127.0.40.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Sockets::bind(&bindings(port)).unwrap_err();
        assert!(error.port_is_taken());
        let text = error.to_string();
        assert!(text.contains(&format!("UDP 127.0.40.1:{port}")), "{text}");
    }

    #[tokio::test]
    async fn an_extra_port_that_is_taken_is_left_out() {
        let taken = std::net::TcpListener::bind("127.0.40.1:0").unwrap();
        let other = taken.local_addr().unwrap().port();
        let free = std::net::TcpListener::bind("127.0.40.1:0").unwrap().local_addr().unwrap().port();
        let sockets = Sockets::bind(&Bindings { also: vec![other, free], ..bindings(free) }).unwrap();
        assert_eq!(sockets.tcp_ports(), [free]);
    }

    #[tokio::test]
    async fn an_address_that_is_on_no_interface_yet_can_be_bound() {
        let address = Ipv4Addr::new(198, 18, 255, 254);
        let sockets = Sockets::bind(&Bindings { address, ..bindings(0) }).unwrap();
        assert_eq!(sockets.main.local_addr().unwrap().ip(), address);
    }
}
