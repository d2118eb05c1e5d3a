//! The live mappings of a gateway, put together from its maps and sets and from connection tracking.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::{failed, open};
use crate::lab::LabError;
use crate::net::conntrack::{self, Flow};
use crate::net::nft::{self, Element, Part, Table};
use crate::plan::GatewayPlan;

/// Why there is a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An inside host has sent.
    Dynamic,
    /// The profile says so, and it stays.
    Forwarded,
}

/// One mapping: an inside endpoint and what it is outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingRow {
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// Address and port of the inside host.
    pub inside: SocketAddrV4,
    /// Address and port that the outside sees.
    pub outside: SocketAddrV4,
    /// Why there is a mapping.
    pub kind: Kind,
    /// Whom the inside endpoint has been in contact with through it.
    pub peers: Vec<Peer>,
    /// Flows that use it at this moment.
    pub flows: usize,
    /// Age of the oldest of these flows, seconds; `None` if there is none, or the kernel does not note it.
    pub age_s: Option<u64>,
    /// Since when no packet has been written down for it, seconds; `None` if it is forwarded.
    pub idle_s: Option<u64>,
    /// How long it lives without another packet, seconds; `None` if it stays.
    pub left_s: Option<u64>,
}

/// Whom a mapping knows: as much of an outside endpoint as the NAT keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Peer {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port, where it is known.
    pub port: Option<u16>,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// The live mappings of a gateway, by protocol, inside and outside endpoint.
pub async fn mappings(gateway: &GatewayPlan) -> Result<Vec<MappingRow>, LabError> {
    let namespace = open(gateway)?;
    let (table, flows) = tokio::try_join!(Table::read(&namespace), conntrack::read(&namespace))
        .map_err(failed("reading", gateway))?;
    Ok(["udp", "tcp"].into_iter().flat_map(|protocol| of_transport(protocol, &table, &flows)).collect())
}

fn of_transport(protocol: &'static str, table: &Table, flows: &[Flow]) -> Vec<MappingRow> {
    let destinations = destinations(protocol, table);
    let mut contacts: BTreeMap<SocketAddrV4, BTreeSet<Peer>> = BTreeMap::new();
    for element in table.elements(&format!("{protocol}_peers")) {
        // By outside endpoint; by inside endpoint where packets are hairpinned with their internal source.
        if let (Some(end), Some(peer)) = (nft::endpoint(&element.key), element.key.get(2..).and_then(peer)) {
            contacts.entry(end).or_default().insert(peer);
        }
    }
    let mut rows: Vec<_> = table
        .elements(&format!("{protocol}_outside"))
        .filter_map(|element| {
            let outside = nft::endpoint(&element.key)?;
            let inside = nft::endpoint(&element.value)?;
            let mut known = match &destinations {
                // A mapping is to these destinations only, whomever the inside endpoint knows otherwise.
                Some(destinations) => destinations.get(&outside).cloned().unwrap_or_default(),
                None => {
                    [outside, inside].iter().filter_map(|end| contacts.get(end)).flatten().copied().collect()
                }
            };
            let own: Vec<_> = flows
                .iter()
                .filter(|flow| flow.protocol == protocol)
                .filter_map(|flow| Some((flow, peer_of(flow, inside, outside)?)))
                .collect();
            known.extend(own.iter().map(|(_, peer)| Peer { address: *peer.ip(), port: Some(peer.port()) }));
            Some(row(protocol, element, inside, outside, known, &own))
        })
        .collect();
    rows.sort_by_key(|row| (row.inside, row.outside));
    rows
}

fn row(
    protocol: &'static str,
    element: &Element,
    inside: SocketAddrV4,
    outside: SocketAddrV4,
    peers: BTreeSet<Peer>,
    flows: &[(&Flow, SocketAddrV4)],
) -> MappingRow {
    // An address says nothing more where one of its ports is known.
    let with_ports: BTreeSet<_> =
        peers.iter().filter(|peer| peer.port.is_some()).map(|peer| peer.address).collect();
    let peers = peers.into_iter().filter(|peer| peer.port.is_some() || !with_ports.contains(&peer.address));
    MappingRow {
        protocol,
        inside,
        outside,
        kind: if element.life.is_some() { Kind::Dynamic } else { Kind::Forwarded },
        peers: peers.collect(),
        flows: flows.len(),
        age_s: flows.iter().filter_map(|(flow, _)| flow.age).max().map(|age| age.as_secs()),
        idle_s: element.life.map(|(all, left)| all.saturating_sub(left).as_secs()),
        left_s: element.life.map(|(_, left)| left.as_secs()),
    }
}

/// Outside endpoint -> the destinations that it is for; `None` where a mapping is for all of them.
fn destinations(protocol: &str, table: &Table) -> Option<BTreeMap<SocketAddrV4, BTreeSet<Peer>>> {
    let mut found: BTreeMap<_, BTreeSet<Peer>> = BTreeMap::new();
    for element in table.elements(&format!("{protocol}_inside")) {
        let peer = peer(element.key.get(2..)?)?;
        if let Some(outside) = nft::endpoint(&element.value) {
            found.entry(outside).or_default().insert(peer);
        }
    }
    (!found.is_empty()).then_some(found)
}

/// An address, or an address and a port.
fn peer(parts: &[Part]) -> Option<Peer> {
    match parts {
        [Part::Text(address)] => Some(Peer { address: address.parse().ok()?, port: None }),
        _ => nft::endpoint(parts).map(|end| Peer { address: *end.ip(), port: Some(end.port()) }),
    }
}

/// The outside end of a flow, if it uses this mapping.
fn peer_of(flow: &Flow, inside: SocketAddrV4, outside: SocketAddrV4) -> Option<SocketAddrV4> {
    let (original, reply) = (flow.original, flow.reply);
    if original.0 == inside && reply.1 == outside {
        Some(original.1)
    } else if original.1 == outside && reply.0 == inside {
        Some(original.0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::nft::Set;

    fn parts(text: &str) -> Vec<Part> {
        let part = |word: &str| word.parse().map_or_else(|_| Part::Text(word.to_owned()), Part::Number);
        text.split(' ').map(part).collect()
    }

    fn element(key: &str, value: &str, life: Option<(u64, u64)>) -> Element {
        let value = if value.is_empty() { Vec::new() } else { parts(value) };
        let life = life.map(|(all, left)| (Duration::from_secs(all), Duration::from_secs(left)));
        Element { key: parts(key), value, life }
    }

    fn flow(original: (&str, &str), reply: (&str, &str), age: u64) -> Flow {
        let end = |text: &str| text.parse().unwrap();
        Flow {
            protocol: "udp".to_owned(),
            state: None,
            original: (end(original.0), end(original.1)),
            reply: (end(reply.0), end(reply.1)),
            left: Duration::from_secs(1),
            age: Some(Duration::from_secs(age)),
        }
    }

    fn table(sets: &[(&str, Vec<Element>)]) -> Table {
        let set = |(name, elements): &(&str, Vec<Element>)| Set {
            name: (*name).to_owned(),
            elements: elements.clone(),
        };
        Table { counters: Vec::new(), sets: sets.iter().map(set).collect() }
    }

    fn words(row: &MappingRow) -> Vec<String> {
        row.peers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_endpoint_independent_mapping_has_all_peers_and_flows_of_its_inside_endpoint() {
        let table = table(&[
            (
                "udp_outside",
                vec![
                    element("198.18.0.2 5000", "10.0.0.2 5000", Some((301, 200))),
                    element("198.18.0.2 8080", "10.0.0.3 80", None),
                ],
            ),
            ("udp_inside", vec![element("10.0.0.2 5000", "198.18.0.2 5000", Some((301, 200)))]),
            (
                "udp_peers",
                vec![
                    element("198.18.0.2 5000 198.18.0.8", "", Some((301, 200))),
                    element("198.18.0.2 5000 198.18.0.9", "", Some((301, 200))),
                ],
            ),
        ]);
        let flows = [
            flow(("10.0.0.2:5000", "198.18.0.9:7"), ("198.18.0.9:7", "198.18.0.2:5000"), 30),
            flow(("198.18.0.9:8", "198.18.0.2:5000"), ("10.0.0.2:5000", "198.18.0.9:8"), 40),
        ];
        let rows = of_transport("udp", &table, &flows);
        assert_eq!(words(&rows[0]), ["198.18.0.8", "198.18.0.9:7", "198.18.0.9:8"]);
        assert_eq!(
            (rows[0].flows, rows[0].age_s, rows[0].idle_s, rows[0].left_s),
            (2, Some(40), Some(101), Some(200))
        );
        assert_eq!((rows[1].kind, rows[1].left_s, rows[1].flows), (Kind::Forwarded, None, 0));
    }

    #[test]
    fn a_mapping_per_destination_has_its_own_destination_only() {
        let table = table(&[
            (
                "udp_outside",
                vec![
                    element("198.18.0.2 41000", "10.0.0.2 5000", Some((60, 50))),
                    element("198.18.0.2 42000", "10.0.0.2 5000", Some((60, 60))),
                ],
            ),
            (
                "udp_inside",
                vec![
                    element("10.0.0.2 5000 198.18.0.8 7", "198.18.0.2 41000", Some((60, 50))),
                    element("10.0.0.2 5000 198.18.0.9 7", "198.18.0.2 42000", Some((60, 60))),
                ],
            ),
            ("udp_peers", vec![element("198.18.0.2 41000 198.18.0.8 7", "", Some((60, 50)))]),
        ]);
        let rows = of_transport("udp", &table, &[]);
        assert_eq!(rows.iter().map(words).collect::<Vec<_>>(), [["198.18.0.8:7"], ["198.18.0.9:7"]]);
    }
}
