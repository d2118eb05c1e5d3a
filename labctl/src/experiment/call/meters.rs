//! The meters of a call: at both clients, at the gateways before them, and at every super node.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use super::Told;
use super::media::{Passed, is_at};
use super::record::{GatewayShare, NodeShare};
use crate::experiment::live::{Doing, LiveCount};
use crate::experiment::observe::names;
use crate::meter::pcapng::{Section, Writer};
use crate::meter::{
    Capture, CaptureError, Direction, FlowKey, Packet, Parsed, Sink, Timestamp, Traffic, Transport, parse,
};
use crate::names::NodeName;
use crate::plan::{NodePlan, Plan};

/// Keeps packets: in a file, and what is needed of them in memory.
pub(super) struct PacketSink {
    file: Option<Writer<BufWriter<File>>>,
    /// Whose packets with payload are kept; everybody's if it is empty.
    only: Vec<Ipv4Addr>,
    pub passed: Vec<Passed>,
    /// UDP and TCP packets, those without payload too: when, and which.
    pub packets: Vec<(Timestamp, Transport)>,
    /// TCP connections that were opened here while it looked.
    pub opened: BTreeSet<FlowKey>,
    /// UDP packets, for whoever watches.
    pub live: Arc<LiveCount>,
}

impl PacketSink {
    pub fn new(file: Option<Writer<BufWriter<File>>>, only: Vec<Ipv4Addr>) -> Self {
        Self {
            file,
            only,
            passed: Vec::new(),
            packets: Vec::new(),
            opened: BTreeSet::new(),
            live: Arc::default(),
        }
    }
}

impl Sink for PacketSink {
    fn take(&mut self, packet: &Packet) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.packet(packet)?;
        }
        let Parsed::Segment(segment) = parse(&packet.bytes) else {
            return Ok(());
        };
        let (local, remote) = match packet.direction {
            Direction::Sent => (segment.source, segment.destination),
            Direction::Received => (segment.destination, segment.source),
        };
        if !self.only.is_empty() && !is_at(remote, &self.only) {
            return Ok(());
        }
        self.packets.push((packet.time, segment.transport));
        if segment.opens && packet.direction == Direction::Sent {
            self.opened.insert(FlowKey { transport: segment.transport, local, remote });
        }
        // An Ethernet header, then the IP packet, whose end the payload is.
        let end = 14 + segment.ip_bytes as usize;
        let payload = packet.bytes.get(end - segment.payload_bytes as usize..end).unwrap_or_default();
        if segment.transport == Transport::Udp {
            self.live.add(packet.direction, segment.payload_bytes.into());
        }
        if !payload.is_empty() {
            let flow = FlowKey { transport: segment.transport, local, remote };
            self.passed.push(Passed {
                time: packet.time,
                direction: packet.direction,
                flow,
                sequence: segment.sequence,
                payload: payload.to_vec(),
                ip_bytes: segment.ip_bytes,
            });
        }
        Ok(())
    }
}

/// All of a call's meters.
pub(super) struct Meters {
    clients: Vec<(Capture<PacketSink>, String)>,
    gateways: Vec<(NodeName, Capture<PacketSink>, String)>,
    super_nodes: Vec<Capture<PacketSink>>,
}

/// What they saw.
pub(super) struct SeenByAll {
    /// At the caller and the callee.
    pub clients: Vec<PacketSink>,
    pub gateways: Vec<(NodeName, PacketSink)>,
    pub super_nodes: Vec<PacketSink>,
    /// The files' names.
    pub files: Vec<String>,
}

/// The addresses that a client's packets can have on the WAN: its own, where no gateway translates them, and the
/// outside ones of the gateways before it.
pub(super) fn public_addresses(plan: &Plan, client: &NodePlan) -> Vec<Ipv4Addr> {
    let mut gateway = client.gateway.as_ref();
    let mut addresses = client.addresses.clone();
    while let Some(found) = gateway.and_then(|name| plan.gateways.iter().find(|at| at.name == *name)) {
        addresses.extend(&found.outside);
        gateway = found.behind.as_ref();
    }
    addresses
}

impl Meters {
    /// Starts them. `ends` are the caller and the callee.
    pub fn start(
        plan: &Plan,
        ends: [&NodePlan; 2],
        super_nodes: &[&NodePlan],
        directory: &Path,
        prefix: &str,
        told: Told<'_>,
    ) -> Result<Self, CaptureError> {
        let names = names(plan);
        let open = |what: &str, interface: &str, namespace: &str| {
            let file = format!("{prefix}{what}.pcapng");
            let path = directory.join(&file);
            let comment = format!("call from {} to {}, at {what}", ends[0].name, ends[1].name);
            let section = Section {
                application: concat!("labctl ", env!("CARGO_PKG_VERSION")),
                os: &crate::experiment::kernel(),
                comment: &comment,
                node: what,
            };
            let names = names.iter().map(|(address, name)| (*address, name.as_str()));
            let place = || crate::meter::Place { interface: interface.into(), namespace: namespace.into() };
            let writer = File::create_new(path)
                .and_then(|made| Writer::new(BufWriter::new(made), &section, interface, names))
                .map_err(|error| CaptureError::Sink(place(), error))?;
            let sink = PacketSink::new(Some(writer), Vec::new());
            let live = Arc::clone(&sink.live);
            Ok::<_, CaptureError>((Capture::start(namespace, interface, sink)?, file, live))
        };
        let mut clients = Vec::new();
        for client in ends {
            let (capture, file, live) = open(client.name.as_str(), "eth0", &client.namespace)?;
            told(&client.name, Doing::Begins { count: live, most_probes: None });
            clients.push((capture, file));
        }
        let mut gateways = Vec::new();
        for name in ends.iter().filter_map(|client| client.gateway.as_ref()) {
            let known = gateways.iter().any(|(known, _, _)| known == name);
            if let (false, Some(gateway)) = (known, plan.gateways.iter().find(|at| at.name == *name)) {
                let (capture, file, _) = open(&format!("{name}-wan"), "wan", &gateway.namespace)?;
                gateways.push((name.clone(), capture, file));
            }
        }
        let only: Vec<_> = ends.iter().flat_map(|client| public_addresses(plan, client)).collect();
        let super_nodes = super_nodes
            .iter()
            .map(|node| Capture::start(&node.namespace, "eth0", PacketSink::new(None, only.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { clients, gateways, super_nodes })
    }

    /// Stops them.
    pub async fn stop(self) -> Result<SeenByAll, CaptureError> {
        let mut seen = SeenByAll {
            clients: Vec::new(),
            gateways: Vec::new(),
            super_nodes: Vec::new(),
            files: Vec::new(),
        };
        for (capture, file) in self.clients {
            seen.clients.push(finished(capture).await?);
            seen.files.push(file);
        }
        for (name, capture, file) in self.gateways {
            seen.gateways.push((name, finished(capture).await?));
            seen.files.push(file);
        }
        for capture in self.super_nodes {
            seen.super_nodes.push(finished(capture).await?);
        }
        Ok(seen)
    }
}

/// One client's meter, without a file.
pub(super) struct Watch(Capture<PacketSink>);

impl Watch {
    pub fn start(namespace: &str) -> Result<Self, CaptureError> {
        Capture::start(namespace, "eth0", PacketSink::new(None, Vec::new())).map(Self)
    }

    pub async fn stop(self) -> Result<PacketSink, CaptureError> {
        finished(self.0).await
    }
}

async fn finished(capture: Capture<PacketSink>) -> Result<PacketSink, CaptureError> {
    let (mut sink, statistics) = capture.stop().await?;
    if let Some(file) = sink.file.take() {
        let place =
            crate::meter::Place { interface: "the file of packets".into(), namespace: "a run".into() };
        file.finish(statistics).map_err(|error| CaptureError::Sink(place, error))?;
    }
    Ok(sink)
}

/// What each address of the super nodes exchanged with the ends between two moments.
pub(super) fn node_shares(
    plan: &Plan,
    sinks: &[PacketSink],
    first: Timestamp,
    last: Timestamp,
) -> Vec<NodeShare> {
    let names = names(plan);
    let mut shares: Vec<NodeShare> = Vec::new();
    let passed = sinks.iter().flat_map(|sink| &sink.passed);
    for packet in passed.filter(|packet| first <= packet.time && packet.time <= last) {
        let address = *packet.flow.local.ip();
        let place = shares.iter().position(|share| share.address == address).unwrap_or_else(|| {
            let name = names.iter().find(|(known, _)| *known == address);
            let name = name.map_or_else(|| address.to_string(), |(_, name)| name.clone());
            shares.push(NodeShare { name, address, udp_bytes: 0, tcp_bytes: 0, packets: 0 });
            shares.len() - 1
        });
        let share = &mut shares[place];
        share.packets += 1;
        match packet.flow.transport {
            Transport::Udp => share.udp_bytes += packet.payload.len() as u64,
            Transport::Tcp => share.tcp_bytes += packet.payload.len() as u64,
        }
    }
    shares.sort_by_key(|share| std::cmp::Reverse(share.udp_bytes + share.tcp_bytes));
    shares
}

/// What passed each gateway between two moments.
pub(super) fn gateway_shares(
    sinks: &[(NodeName, PacketSink)],
    first: Timestamp,
    last: Timestamp,
) -> Vec<GatewayShare> {
    let count = |sink: &PacketSink, which| {
        let packets = sink.packets.iter().filter(|(time, _)| first <= *time && *time <= last);
        packets.filter(|(_, transport)| *transport == which).count() as u64
    };
    sinks
        .iter()
        .map(|(name, sink)| GatewayShare {
            name: name.clone(),
            udp_packets: count(sink, Transport::Udp),
            tcp_packets: count(sink, Transport::Tcp),
        })
        .collect()
}

/// What passed a client between two moments and belongs to none of the media flows. TCP payload counts each time
/// that it passed.
pub(super) fn other_traffic(
    sink: &PacketSink,
    media: impl Fn(&FlowKey) -> bool,
    first: Timestamp,
    last: Timestamp,
) -> Traffic {
    let mut traffic = Traffic::default();
    let passed = sink.passed.iter().filter(|packet| first <= packet.time && packet.time <= last);
    for packet in passed.filter(|packet| !media(&packet.flow)) {
        let ways = match packet.flow.transport {
            Transport::Udp => &mut traffic.udp,
            Transport::Tcp => &mut traffic.tcp,
        };
        let count = match packet.direction {
            Direction::Sent => &mut ways.sent,
            Direction::Received => &mut ways.received,
        };
        count.packets += 1;
        count.payload_bytes += packet.payload.len() as u64;
        count.ip_bytes += u64::from(packet.ip_bytes);
    }
    traffic
}
