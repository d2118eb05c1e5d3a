//! Behaviour discovery over UDP (RFC 5780 section 4).

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::CheckError;
use super::behaviour::{ALLOCATION_PORTS, Kind, mapping_of};
use super::server::End;
use super::stun::{Incoming, Request, Response};
use super::testbed::{Host, Site};
use crate::profile::{Filtering, Hairpin, PortAllocation};

/// When a request is sent again. Only a packet that was lost makes this matter.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is sent before the check is given up.
const TRIES: usize = 60;
/// How often something that does not come is asked for.
pub const ROUNDS: usize = 3;

/// Inside ports, one for each test, so that none knows another's peers.
const MAPPING_PORT: u16 = 5000;
const FILTERING_PORT: u16 = 5001;
const HAIRPIN_PORT: u16 = 5002;
/// A STUN client at one inside endpoint.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    end: SocketAddrV4,
    responses: BTreeMap<[u8; 12], Response>,
    /// Where requests of others have come from.
    pub heard: Vec<SocketAddrV4>,
}

impl Client {
    /// A client at a port of a host.
    pub async fn new(host: &Host, port: u16) -> Result<Self, CheckError> {
        let end = SocketAddrV4::new(host.address, port);
        let failed = || CheckError::socket(format!("bind {end} for UDP"));
        let socket = host.namespace.run_async(move || std::net::UdpSocket::bind(end)).await?;
        let socket = socket.map_err(failed())?;
        socket.set_nonblocking(true).map_err(failed())?;
        let socket = UdpSocket::from_std(socket).map_err(failed())?;
        Ok(Self { socket, end, responses: BTreeMap::new(), heard: Vec::new() })
    }

    /// Its inside endpoint.
    pub fn end(&self) -> SocketAddrV4 {
        self.end
    }

    /// Sends a request and does not wait.
    pub async fn send(&self, request: &Request, to: SocketAddrV4) -> Result<(), CheckError> {
        let failed = CheckError::socket(format!("send from {} to {to}", self.end));
        self.socket.send_to(&request.encode()?, to).await.map(drop).map_err(failed)
    }

    /// Asks a server where it sees the client.
    pub async fn ask(&mut self, server: End) -> Result<Response, CheckError> {
        let request = Request::new();
        let to = server.socket_address();
        for _ in 0..TRIES {
            self.send(&request, to).await?;
            let answer = timeout(AGAIN, async {
                loop {
                    self.receive().await?;
                    if let Some(response) = self.answer_to(&request) {
                        return Ok(response);
                    }
                }
            });
            if let Ok(response) = answer.await {
                return response;
            }
        }
        Err(CheckError::NoAnswer { server: to, client: self.end })
    }

    /// Whether a request is answered. That the server's answer did not get through is known by that to a
    /// plain request, which is sent after it.
    pub async fn is_answered(&mut self, request: Request, server: End) -> Result<bool, CheckError> {
        for _ in 0..ROUNDS {
            self.send(&request, server.socket_address()).await?;
            self.ask(server).await?;
            if self.answer_to(&request).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The answer to a request, if it has come.
    pub fn answer_to(&self, request: &Request) -> Option<Response> {
        self.responses.get(request.id.as_bytes()).copied()
    }

    /// Takes in what has come already.
    pub fn take_in(&mut self) {
        let mut buffer = [0; 1500];
        while let Ok((length, SocketAddr::V4(from))) = self.socket.try_recv_from(&mut buffer) {
            self.note(&buffer[..length], from);
        }
    }

    async fn receive(&mut self) -> Result<(), CheckError> {
        let mut buffer = [0; 1500];
        let failed = CheckError::socket(format!("receive at {}", self.end));
        if let (length, SocketAddr::V4(from)) = self.socket.recv_from(&mut buffer).await.map_err(failed)? {
            self.note(&buffer[..length], from);
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8], from: SocketAddrV4) {
        match Incoming::decode(bytes) {
            Ok(Incoming::Response(response)) => {
                self.responses.insert(*response.id.as_bytes(), response);
            }
            Ok(Incoming::Request(_)) => self.heard.push(from),
            Err(error) => tracing::debug!(%error, %from, "passed over"),
        }
    }
}

/// Mapping (section 4.3) and filtering (section 4.4).
pub async fn classify(site: &Site) -> Result<Kind, CheckError> {
    let host = &site.hosts[0];
    let mut client = Client::new(host, MAPPING_PORT).await?;
    let primary = client.ask(End::PRIMARY).await?.mapped;
    let other_address = client.ask(End::OTHER_ADDRESS).await?.mapped;
    let other_both = client.ask(End::OTHER_BOTH).await?.mapped;
    let mapping = mapping_of(client.end(), [primary, other_address, other_both])?;

    let mut client = Client::new(host, FILTERING_PORT).await?;
    client.ask(End::PRIMARY).await?;
    let both = Request { change_address: true, change_port: true, ..Request::new() };
    let port = Request { change_port: true, ..Request::new() };
    let filtering = if client.is_answered(both, End::PRIMARY).await? {
        Filtering::EndpointIndependent
    } else if client.is_answered(port, End::PRIMARY).await? {
        Filtering::AddressDependent
    } else {
        Filtering::AddressAndPortDependent
    };
    Ok(Kind { mapping, filtering })
}

/// Hairpinning (section 4.6): two hosts send to each other's outside endpoint. `None` where nothing is
/// translated.
pub async fn hairpin(site: &Site) -> Result<Option<Hairpin>, CheckError> {
    let mut one = Client::new(&site.hosts[0], HAIRPIN_PORT).await?;
    let mut two = Client::new(&site.hosts[1], HAIRPIN_PORT).await?;
    let (outside_one, outside_two) =
        (one.ask(End::PRIMARY).await?.mapped, two.ask(End::PRIMARY).await?.mapped);
    if outside_one == one.end() {
        return Ok(None);
    }
    for _ in 0..ROUNDS {
        // Both send, so that each has sent to the one that it hears from.
        one.send(&Request::new(), outside_two).await?;
        two.send(&Request::new(), outside_one).await?;
        one.ask(End::PRIMARY).await?;
        two.ask(End::PRIMARY).await?;
    }
    let heard: Vec<_> = one.heard.iter().chain(&two.heard).collect();
    let inside = [one.end(), two.end()];
    Ok(Some(match heard.first() {
        None => Hairpin::Off,
        Some(from) if inside.contains(from) => Hairpin::InternalSource,
        Some(from) if *from.ip() == site.outside => Hairpin::ExternalSource,
        Some(from) => {
            return Err(CheckError::Contradiction { what: format!("a hairpinned packet came from {from}") });
        }
    }))
}

/// How new mappings get their ports (RFC 4787 section 4.2). `None` where nothing is translated.
pub async fn allocation(site: &Site) -> Result<Option<PortAllocation>, CheckError> {
    let mut ports = Vec::new();
    let mut clients = Vec::new();
    for inside in ALLOCATION_PORTS {
        let mut client = Client::new(&site.hosts[0], inside).await?;
        let mapped = client.ask(End::PRIMARY).await?.mapped;
        if mapped == client.end() {
            return Ok(None);
        }
        ports.push((inside, mapped.port()));
        // Its port is not free for others.
        clients.push(client);
    }
    Ok(Some(allocation_of(&ports)))
}

/// The kind of allocation that gives these inside ports these outside ports, in this order.
fn allocation_of(ports: &[(u16, u16)]) -> PortAllocation {
    /// Ports that others have are passed over.
    const STEP: u16 = 4;
    let in_order = |pair: &[(u16, u16)]| (1..=STEP).contains(&pair[1].1.wrapping_sub(pair[0].1));
    if ports.iter().all(|(inside, outside)| inside == outside) {
        PortAllocation::Preserving
    } else if ports.windows(2).filter(|pair| !in_order(pair)).count() <= 1 {
        // The sequence begins again once at the most.
        PortAllocation::Sequential
    } else if ports.iter().all(|(inside, outside)| inside % 2 == outside % 2) {
        PortAllocation::ParityPreserving
    } else {
        PortAllocation::Random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_allocation_is_told_from_the_ports() {
        let kind = |outside: [u16; 6]| allocation_of(&(6000..).zip(outside).collect::<Vec<_>>());
        assert_eq!(kind([6000, 6001, 6002, 6003, 6004, 6005]), PortAllocation::Preserving);
        assert_eq!(kind([65_533, 65_534, 65_535, 1024, 1025, 1026]), PortAllocation::Sequential);
        assert_eq!(kind([1500, 1501, 1503, 1504, 1505, 1506]), PortAllocation::Sequential);
        assert_eq!(kind([40_000, 1025, 9000, 70, 61_000, 5001]), PortAllocation::Random);
        assert_eq!(kind([40_000, 1025, 9000, 71, 61_000, 5001]), PortAllocation::ParityPreserving);
    }
}
