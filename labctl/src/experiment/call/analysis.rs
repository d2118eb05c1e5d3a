//! From what the meters saw to the figures of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use overlay_control::VoiceSummary;
use overlay_voice::quality::{Impairments, rate};

use super::media::{MediaSeen, jitter_ms, media};
use super::meters::{PacketSink, public_addresses};
use super::record::{Connection, Leg, Way};
use crate::experiment::observe::names;
use crate::meter::{Direction, FlowKey, Timestamp, Transport};
use crate::names::NodeName;
use crate::plan::{NodePlan, Plan};

/// One end's media.
pub(super) struct End<'a> {
    pub node: &'a NodePlan,
    pub flows: BTreeMap<FlowKey, Vec<MediaSeen>>,
}

impl<'a> End<'a> {
    pub fn new(node: &'a NodePlan, sink: &PacketSink) -> Self {
        Self { node, flows: media(&sink.passed) }
    }

    /// Its media packets of one direction, in the order in which they passed.
    pub fn packets(&self, direction: Direction) -> Vec<MediaSeen> {
        let mut packets: Vec<_> =
            self.flows.values().flatten().filter(|seen| seen.direction == direction).copied().collect();
        packets.sort_by_key(|seen| seen.time);
        packets
    }

    /// The ways that media took at this end.
    pub fn legs(&self, plan: &Plan, other: &NodePlan, started: Timestamp) -> Vec<Leg> {
        let others = public_addresses(plan, other);
        let mut legs: Vec<_> = self
            .flows
            .iter()
            .filter_map(|(flow, seen)| {
                let first = seen.iter().map(|seen| seen.time).min()?;
                let last = seen.iter().map(|seen| seen.time).max()?;
                let of = |direction| seen.iter().filter(|seen| seen.direction == direction).count() as u64;
                Some(Leg {
                    at: self.node.name.clone(),
                    transport: flow.transport,
                    remote: flow.remote,
                    peer: name_of(plan, *flow.remote.ip()),
                    relayed: !others.contains(flow.remote.ip()),
                    first_s: first.seconds_since(started),
                    last_s: last.seconds_since(started),
                    packets: [of(Direction::Sent), of(Direction::Received)],
                })
            })
            .collect();
        legs.sort_by(|one, two| one.first_s.total_cmp(&two.first_s));
        legs
    }
}

/// Who has an address on the WAN.
fn name_of(plan: &Plan, address: Ipv4Addr) -> String {
    let known = names(plan).into_iter().find(|(known, _)| *known == address);
    known.map_or_else(|| address.to_string(), |(_, name)| name)
}

/// When each media packet left one end, by its number; and when it left and came to the other, in the order of arrival.
/// A packet that was sent or came twice counts once.
pub(super) fn transits(
    sent: &[MediaSeen],
    to: &End<'_>,
) -> (BTreeMap<u32, Timestamp>, Vec<(Timestamp, Timestamp)>) {
    let mut left: BTreeMap<u32, Timestamp> = BTreeMap::new();
    for seen in sent {
        left.entry(seen.number).or_insert(seen.time);
    }
    let (mut transits, mut known) = (Vec::new(), BTreeSet::new());
    for seen in to.packets(Direction::Received) {
        if let (Some(&at), true) = (left.get(&seen.number), known.insert(seen.number)) {
            transits.push((at, seen.time));
        }
    }
    (left, transits)
}

/// The media from one end to the other; nothing if none were sent.
pub(super) fn way(from: &End<'_>, to: &End<'_>, voice: Option<VoiceSummary>) -> Option<Way> {
    let sent = from.packets(Direction::Sent);
    let (first, last) = (sent.first()?, sent.last()?);
    let span = last.time.seconds_since(first.time).max(f64::MIN_POSITIVE);
    let (left, transits) = transits(&sent, to);
    let delays: Vec<f64> = transits.iter().map(|(sent, came)| 1e3 * came.seconds_since(*sent)).collect();
    let mean = delays.iter().sum::<f64>() / delays.len().max(1) as f64;
    let longest = delays.iter().copied().fold(0.0, f64::max);
    let gaps = transits.windows(2).map(|pair| 1e3 * pair[1].1.seconds_since(pair[0].1));
    // What was under way when the call ended is not lost: only what was sent before the last that came counts.
    let until = transits.iter().map(|(sent, _)| *sent).max();
    let expected = left.values().filter(|sent| until.is_some_and(|until| **sent <= until)).count();
    let bytes: usize = sent.iter().map(|seen| seen.bytes).sum();
    let steps = (sent.len().max(2) - 1) as f64;
    let payload = bytes as f64 / sent.len() as f64;
    let mouth_to_ear = voice.map(|voice| voice.packet_ms + voice.look_ahead_ms + mean + voice.buffer_ms);
    Some(Way {
        from: from.node.name.clone(),
        to: to.node.name.clone(),
        sent: left.len() as u64,
        received: transits.len() as u64,
        packets_s: steps / span,
        payload_bytes_s: payload * steps / span,
        payload_bytes: payload,
        loss: if expected == 0 { 1.0 } else { 1.0 - transits.len() as f64 / expected as f64 },
        jitter_ms: jitter_ms(&transits),
        network_ms: [mean, longest],
        longest_gap_ms: gaps.fold(0.0, f64::max),
        mouth_to_ear_ms: mouth_to_ear,
        rating: voice.zip(mouth_to_ear).map(|(voice, delay)| {
            // Everything that was not played counts, whether it was lost on the way or came too late.
            let made_up = voice.lost + voice.stretched;
            let loss = made_up as f64 / (made_up + voice.played).max(1) as f64;
            rate(&Impairments::new(Duration::from_secs_f64(delay.max(0.0) / 1e3), loss, voice.burst_ratio))
        }),
        voice,
    })
}

/// TCP connections at a client that are no media path and carried payload between two moments.
pub(super) fn connections(
    plan: &Plan,
    end: &End<'_>,
    sink: &PacketSink,
    first: Timestamp,
    last: Timestamp,
) -> Vec<Connection> {
    let mut found: BTreeMap<FlowKey, (Timestamp, u64)> = BTreeMap::new();
    let during = sink.passed.iter().filter(|packet| first <= packet.time && packet.time <= last);
    for packet in during.filter(|packet| packet.flow.transport == Transport::Tcp) {
        if !end.flows.contains_key(&packet.flow) {
            let (begun, bytes) = found.entry(packet.flow).or_insert((packet.time, 0));
            *begun = (*begun).min(packet.time);
            *bytes += packet.payload.len() as u64;
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(_, (begun, _))| *begun);
    found
        .into_iter()
        .map(|(flow, (_, payload_bytes))| Connection {
            at: end.node.name.clone(),
            opened_here: sink.opened.contains(&flow),
            remote: flow.remote,
            peer: name_of(plan, *flow.remote.ip()),
            payload_bytes,
        })
        .collect()
}

/// A node of the plan.
pub(super) fn node<'a>(plan: &'a Plan, name: &NodeName) -> Option<&'a NodePlan> {
    plan.nodes.iter().find(|node| node.name == *name)
}
