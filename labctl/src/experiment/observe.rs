//! What the meters of a trial do with the packets.

use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use super::live::LiveCount;
use super::record::{Outside, Seen};
use crate::meter::pcapng::{Section, Writer};
use crate::meter::{
    Count, Direction, FlowTable, Packet, Parsed, Sink, Statistics, Timestamp, Transport, TwoWay, parse,
};
use crate::plan::Plan;

/// Counts a client's packets, and keeps them in a file.
pub(super) struct ClientSink {
    table: FlowTable,
    file: Writer<BufWriter<File>>,
    /// For whoever watches.
    live: Arc<LiveCount>,
}

impl ClientSink {
    /// Makes the file, which must not be there yet.
    pub(super) fn create(path: &Path, section: &Section<'_>, plan: &Plan) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let names = names(plan);
        let names = names.iter().map(|(address, name)| (*address, name.as_str()));
        let file = Writer::new(file, section, "eth0", names)?;
        Ok(Self { table: FlowTable::new(), file, live: Arc::default() })
    }

    /// What it counts, to be looked at while it does.
    pub(super) fn live(&self) -> Arc<LiveCount> {
        Arc::clone(&self.live)
    }

    /// Ends the file; says what was seen after the login command was sent, at `sent`.
    pub(super) fn finish(self, sent: Timestamp, kernel: Statistics) -> io::Result<Seen> {
        self.file.finish(kernel)?;
        let span = self.table.span(|flow| flow.begun);
        Ok(Seen {
            first_packet_s: span.map(|(first, _)| first.seconds_since(sent)),
            last_packet_s: span.map(|(_, last)| last.seconds_since(sent)),
            traffic: self.table.traffic(|flow| flow.begun),
            left_over: self.table.traffic(|flow| !flow.begun),
            apart: self.table.apart(),
            flows: self.table.flows().collect(),
            kernel,
        })
    }
}

impl Sink for ClientSink {
    fn take(&mut self, packet: &Packet) -> io::Result<()> {
        if let Some(added) = self.table.add(packet) {
            self.live.add(packet.direction, added.count.payload_bytes);
        }
        self.file.packet(packet)
    }
}

/// Public addresses and their names; private ones are not unique in a lab.
pub(crate) fn names(plan: &Plan) -> Vec<(Ipv4Addr, String)> {
    let mut names = Vec::new();
    for node in plan.nodes.iter().filter(|node| node.gateway.is_none()) {
        for (index, address) in node.addresses.iter().enumerate() {
            let name =
                node.instances().get(index).map_or(node.name.as_str(), |instance| instance.name.as_str());
            names.push((*address, name.to_owned()));
        }
    }
    for gateway in plan.gateways.iter().filter(|gateway| gateway.behind.is_none()) {
        names.extend(gateway.outside.iter().map(|address| (*address, gateway.name.to_string())));
    }
    names
}

/// Remembers when which UDP and TCP packets passed a gateway's outside.
#[derive(Default)]
pub(super) struct OutsideSink {
    passed: Vec<Passed>,
}

struct Passed {
    time: Timestamp,
    transport: Transport,
    direction: Direction,
    count: Count,
}

impl OutsideSink {
    /// What passed between two moments.
    pub(super) fn between(&self, first: Timestamp, last: Timestamp) -> Outside {
        let mut outside = Outside::default();
        for passed in self.passed.iter().filter(|passed| first <= passed.time && passed.time <= last) {
            let TwoWay { sent, received } = match passed.transport {
                Transport::Udp => &mut outside.udp,
                Transport::Tcp => &mut outside.tcp,
            };
            match passed.direction {
                Direction::Sent => *sent += passed.count,
                Direction::Received => *received += passed.count,
            }
        }
        outside
    }
}

impl Sink for OutsideSink {
    fn take(&mut self, packet: &Packet) -> io::Result<()> {
        let (transport, payload, ip_bytes) = match parse(&packet.bytes) {
            Parsed::Segment(segment) => (segment.transport, segment.payload_bytes, segment.ip_bytes),
            Parsed::Fragment { key, payload_bytes, ip_bytes, .. } => (key.transport, payload_bytes, ip_bytes),
            Parsed::Icmp { .. } | Parsed::Arp | Parsed::Other => return Ok(()),
        };
        let count = Count { packets: 1, payload_bytes: payload.into(), ip_bytes: ip_bytes.into() };
        self.passed.push(Passed { time: packet.time, transport, direction: packet.direction, count });
        Ok(())
    }
}
