//! Packets -> flows and totals. Pure.
//!
//! What is counted: **payload** is what is behind the UDP or TCP header; a TCP byte counts once, however
//! often it was sent. **IP-level bytes** are whole IP packets with their headers, so SYN, ACK and
//! retransmissions are in them.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddrV4;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::packet::{Direction, FragmentKey, Packet, Parsed, Segment, Timestamp, Transport, parse};
use super::sequence::Coverage;

/// How many packets with fragments still to come are remembered.
const FRAGMENTED_AT_ONCE: usize = 64;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Application payload, in bytes; every TCP byte once.
    pub payload_bytes: u64,
    /// IP packets with their headers, in bytes.
    pub ip_bytes: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.payload_bytes += other.payload_bytes;
        self.ip_bytes += other.ip_bytes;
    }
}

impl Add for Count {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// Counts of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoWay {
    /// Out of the namespace.
    pub sent: Count,
    /// Into the namespace.
    pub received: Count,
}

impl TwoWay {
    /// Both directions together.
    #[must_use]
    pub fn both(&self) -> Count {
        self.sent + self.received
    }

    fn of(&mut self, direction: Direction) -> &mut Count {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }
}

impl AddAssign for TwoWay {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// What a packet added to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The flow.
    pub flow: FlowKey,
    /// The packet; of its TCP payload, only bytes that had not passed before.
    pub count: Count,
    /// TCP: the packet opens the connection.
    pub opens: bool,
}

/// What makes a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlowKey {
    /// UDP or TCP.
    pub transport: Transport,
    /// The end in the namespace.
    pub local: SocketAddrV4,
    /// The end beyond the link.
    pub remote: SocketAddrV4,
}

/// A flow and its counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Its ends.
    #[serde(flatten)]
    pub key: FlowKey,
    /// What passed.
    #[serde(flatten)]
    pub counts: TwoWay,
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the last packet.
    pub last: Timestamp,
    /// Whether it began while the table was being filled: TCP by a SYN, UDP by a datagram that its local
    /// port sent (to anybody). What did not is left over from something earlier.
    pub begun: bool,
}

/// Totals over flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// UDP.
    pub udp: TwoWay,
    /// TCP.
    pub tcp: TwoWay,
}

impl Traffic {
    /// UDP and TCP, both directions.
    #[must_use]
    pub fn total(&self) -> Count {
        self.udp.both() + self.tcp.both()
    }
}

/// Counts what is not in a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// ICMP packets.
    pub icmp_packets: u64,
    /// ICMP, IP-level bytes.
    pub icmp_ip_bytes: u64,
    /// ARP packets.
    pub arp_packets: u64,
    /// Fragments whose first one was not seen before them.
    pub orphan_fragments: u64,
    /// Anything else.
    pub other_packets: u64,
}

#[derive(Debug)]
struct Entry {
    counts: TwoWay,
    first: Timestamp,
    last: Timestamp,
    opened: bool,
    seen: [Coverage; 2],
}

/// A packet of which more fragments follow.
#[derive(Debug)]
struct Fragmented {
    key: FragmentKey,
    flow: FlowKey,
    /// Sequence number that the first byte behind the IP header would have.
    origin: u32,
}

/// Flows by protocol, local and remote end. Memory grows with packets at most.
#[derive(Debug, Default)]
pub struct FlowTable {
    flows: BTreeMap<FlowKey, Entry>,
    /// Ports that sent UDP.
    udp_senders: HashSet<u16>,
    fragmented: VecDeque<Fragmented>,
    apart: Apart,
}

impl FlowTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a packet. `None` if it is in no flow.
    pub fn add(&mut self, packet: &Packet) -> Option<Added> {
        match parse(&packet.bytes) {
            Parsed::Segment(segment) => return Some(self.add_segment(packet, &segment)),
            Parsed::Fragment { key, offset, payload_bytes, ip_bytes } => {
                let Some(of) = self.fragmented.iter().find(|f| f.key == key) else {
                    self.apart.orphan_fragments += 1;
                    return None;
                };
                let (flow, sequence) = (of.flow, of.origin.wrapping_add(offset));
                let (_, count) = self.count(packet, flow, sequence, payload_bytes, ip_bytes);
                return Some(Added { flow, count, opens: false });
            }
            Parsed::Icmp { ip_bytes } => {
                self.apart.icmp_packets += 1;
                self.apart.icmp_ip_bytes += u64::from(ip_bytes);
            }
            Parsed::Arp => self.apart.arp_packets += 1,
            Parsed::Other => self.apart.other_packets += 1,
        }
        None
    }

    fn add_segment(&mut self, packet: &Packet, segment: &Segment) -> Added {
        let (local, remote) = match packet.direction {
            Direction::Sent => (segment.source, segment.destination),
            Direction::Received => (segment.destination, segment.source),
        };
        let flow = FlowKey { transport: segment.transport, local, remote };
        if segment.transport == Transport::Udp && packet.direction == Direction::Sent {
            self.udp_senders.insert(local.port());
        }
        let (entry, count) =
            self.count(packet, flow, segment.sequence, segment.payload_bytes, segment.ip_bytes);
        entry.opened |= segment.opens;
        if let Some(key) = segment.fragment {
            if self.fragmented.len() == FRAGMENTED_AT_ONCE {
                self.fragmented.pop_front();
            }
            let origin = segment.sequence.wrapping_sub(segment.header_bytes);
            self.fragmented.push_back(Fragmented { key, flow, origin });
        }
        Added { flow, count, opens: segment.opens }
    }

    fn count(
        &mut self,
        packet: &Packet,
        flow: FlowKey,
        sequence: u32,
        payload_bytes: u32,
        ip_bytes: u32,
    ) -> (&mut Entry, Count) {
        let entry = self.flows.entry(flow).or_insert_with(|| Entry {
            counts: TwoWay::default(),
            first: packet.time,
            last: packet.time,
            opened: false,
            seen: [Coverage::default(), Coverage::default()],
        });
        entry.first = entry.first.min(packet.time);
        entry.last = entry.last.max(packet.time);
        let new = match flow.transport {
            Transport::Udp => payload_bytes,
            Transport::Tcp => entry.seen[packet.direction as usize].add(sequence, payload_bytes),
        };
        let count = Count { packets: 1, payload_bytes: u64::from(new), ip_bytes: u64::from(ip_bytes) };
        *entry.counts.of(packet.direction) += count;
        (entry, count)
    }

    /// All flows, by protocol, local and remote end.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.flows.iter().map(|(key, entry)| Flow {
            key: *key,
            counts: entry.counts,
            first: entry.first,
            last: entry.last,
            begun: match key.transport {
                Transport::Udp => self.udp_senders.contains(&key.local.port()),
                Transport::Tcp => entry.opened,
            },
        })
    }

    /// Totals over the flows that `which` picks.
    pub fn traffic(&self, which: impl Fn(&Flow) -> bool) -> Traffic {
        let mut traffic = Traffic::default();
        for flow in self.flows().filter(which) {
            match flow.key.transport {
                Transport::Udp => traffic.udp += flow.counts,
                Transport::Tcp => traffic.tcp += flow.counts,
            }
        }
        traffic
    }

    /// Time of the first and of the last packet of the flows that `which` picks.
    pub fn span(&self, which: impl Fn(&Flow) -> bool) -> Option<(Timestamp, Timestamp)> {
        self.flows()
            .filter(which)
            .map(|flow| (flow.first, flow.last))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// What is in no flow.
    #[must_use]
    pub fn apart(&self) -> Apart {
        self.apart
    }
}

#[cfg(test)]
mod tests;
