//! Classification of a NAT by plain UDP sockets, in the manner of RFC 5780.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use labctl::profile::{Filtering, Mapping};

use super::{A, B, P, PATIENCE, Q, World, inside};

/// Servers at two addresses and two ports each.
pub struct Servers(BTreeMap<SocketAddrV4, UdpSocket>);

impl Servers {
    pub fn new(world: &World) -> Self {
        Self::at(world, &[A, B], &[P, Q])
    }

    pub fn at(world: &World, addresses: &[Ipv4Addr], ports: &[u16]) -> Self {
        let ends =
            addresses.iter().flat_map(|address| ports.iter().map(|port| SocketAddrV4::new(*address, *port)));
        Self(ends.map(|end| (end, socket(&world.servers(), end))).collect())
    }

    pub fn get(&self, address: Ipv4Addr, port: u16) -> &UdpSocket {
        &self.0[&SocketAddrV4::new(address, port)]
    }

    pub fn ends(&self) -> impl Iterator<Item = SocketAddrV4> {
        self.0.keys().copied()
    }

    /// Sends from `client` to a server and returns the outside endpoint that it was seen with.
    pub fn seen_from(&self, client: &UdpSocket, address: Ipv4Addr, port: u16) -> SocketAddrV4 {
        client.send_to(b"hello", (address, port)).unwrap();
        receive(self.get(address, port)).1
    }

    /// Whether a packet from a server reaches `client` at `outside`. `witness` is a server whose packets do:
    /// its packet, sent right after, is waited for.
    pub fn reaches(
        &self,
        client: &UdpSocket,
        outside: SocketAddrV4,
        from: (Ipv4Addr, u16),
        witness: (Ipv4Addr, u16),
    ) -> bool {
        let mark = format!("probe {from:?}");
        let end = format!("end {from:?}");
        self.get(from.0, from.1).send_to(mark.as_bytes(), outside).unwrap();
        self.get(witness.0, witness.1).send_to(end.as_bytes(), outside).unwrap();
        let mut reached = false;
        loop {
            let (packet, _) = receive(client);
            if packet == end.as_bytes() {
                return reached;
            }
            assert_eq!(packet, mark.as_bytes(), "an unexpected packet");
            reached = true;
        }
    }

    pub fn mapping(&self, client: &UdpSocket) -> Mapping {
        let first = self.seen_from(client, A, P);
        let other_port = self.seen_from(client, A, Q);
        let other_address = self.seen_from(client, B, P);
        let both = self.seen_from(client, B, Q);
        assert_eq!(first, self.seen_from(client, A, P), "a mapping that is in use stays");
        match (first == other_port, first == other_address) {
            (true, true) => {
                assert_eq!(first, both);
                Mapping::EndpointIndependent
            }
            (true, false) => {
                assert_eq!(other_address, both);
                Mapping::AddressDependent
            }
            (false, false) => {
                assert!(both != first && both != other_port && both != other_address);
                Mapping::AddressAndPortDependent
            }
            (false, true) => panic!("port-dependent, address-independent: no such mapping"),
        }
    }

    /// `client` must not have sent to the servers at B or to port Q.
    pub fn filtering(&self, client: &UdpSocket) -> Filtering {
        let outside = self.seen_from(client, A, P);
        let anybody = self.reaches(client, outside, (B, Q), (A, P));
        let same_address = self.reaches(client, outside, (A, Q), (A, P));
        match (anybody, same_address) {
            (true, true) => Filtering::EndpointIndependent,
            (false, true) => Filtering::AddressDependent,
            (false, false) => Filtering::AddressAndPortDependent,
            (true, false) => panic!("lets in a stranger and not an acquaintance"),
        }
    }
}

/// A socket in a namespace.
pub fn socket(namespace: &str, end: SocketAddrV4) -> UdpSocket {
    let socket = inside(namespace, || UdpSocket::bind(end)).unwrap_or_else(|error| panic!("{end}: {error}"));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next packet and its sender.
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddrV4) {
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).expect("a packet that must come");
    let std::net::SocketAddr::V4(from) = from else { panic!("IPv6") };
    (buffer[..length].to_vec(), from)
}
