//! Reads the captures of a call again: the packets of one end with media told apart, and how media fared over time.
//!
//! The same rules decide what is media as when the call was measured, so that what is drawn adds up to what was
//! counted.

use super::analysis::{End, node, transits};
use super::media::running_jitter_ms;
use super::meters::PacketSink;
use super::record::CallRecord;
use crate::meter::{Direction, FlowKey, Packet, Parsed, Sink as _, Timestamp, parse};
use crate::names::NodeName;
use crate::plan::{NodePlan, Plan};

/// A packet of UDP or TCP at one end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallPacket {
    /// When it passed.
    pub time: Timestamp,
    /// Out of the node, or into it.
    pub direction: Direction,
    /// Its flow.
    pub flow: FlowKey,
    /// Payload of UDP or TCP, in bytes, each time that it passed.
    pub payload_bytes: u64,
    /// TCP: it opens the connection.
    pub opens: bool,
    /// Its flow is a way that media took.
    pub media: bool,
}

/// The packets of a capture that carry payload or open a connection, from the start of the call on.
#[must_use]
pub fn packets(end: &NodePlan, capture: &[Packet], started: Timestamp) -> Vec<CallPacket> {
    let flows = End::new(end, &sink(capture)).flows;
    let since = capture.iter().filter(|packet| packet.time >= started);
    let segments = since.filter_map(|packet| match parse(&packet.bytes) {
        Parsed::Segment(segment) => Some((packet, segment)),
        _ => None,
    });
    segments
        .map(|(packet, segment)| {
            let (local, remote) = match packet.direction {
                Direction::Sent => (segment.source, segment.destination),
                Direction::Received => (segment.destination, segment.source),
            };
            let flow = FlowKey { transport: segment.transport, local, remote };
            CallPacket {
                time: packet.time,
                direction: packet.direction,
                flow,
                payload_bytes: segment.payload_bytes.into(),
                opens: segment.opens,
                media: flows.contains_key(&flow),
            }
        })
        .filter(|packet| packet.payload_bytes > 0 || packet.opens)
        .collect()
}

/// One direction of the media over time.
#[derive(Clone, Debug, PartialEq)]
pub struct OverTime {
    /// Who speaks.
    pub from: NodeName,
    /// Who hears.
    pub to: NodeName,
    /// When each packet left the speaker, in seconds after the start, in order.
    pub sent_s: Vec<f64>,
    /// Those that came, in the order of arrival.
    pub came: Vec<Came>,
}

/// A media packet that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Came {
    /// When it left the speaker, in seconds after the start.
    pub sent_s: f64,
    /// When it came, in seconds after the start.
    pub at_s: f64,
    /// Interarrival jitter then (RFC 3550, section 6.4.1), in milliseconds.
    pub jitter_ms: f64,
}

/// How media fared from caller to callee, and back. `captures` are those of caller and callee.
#[must_use]
pub fn over_time(plan: &Plan, call: &CallRecord, captures: &[Vec<Packet>; 2]) -> Vec<OverTime> {
    let (Some(caller), Some(callee), Some(started)) =
        (node(plan, &call.from), node(plan, &call.to), call.started)
    else {
        return Vec::new();
    };
    let ends = [End::new(caller, &sink(&captures[0])), End::new(callee, &sink(&captures[1]))];
    [(&ends[0], &ends[1]), (&ends[1], &ends[0])].map(|(from, to)| way(from, to, started)).into()
}

fn way(from: &End<'_>, to: &End<'_>, started: Timestamp) -> OverTime {
    let (left, transits) = transits(&from.packets(Direction::Sent), to);
    let mut sent_s: Vec<f64> = left.values().map(|at| at.seconds_since(started)).collect();
    sent_s.sort_by(f64::total_cmp);
    let came = transits.iter().zip(running_jitter_ms(&transits)).map(|((sent, came), jitter_ms)| Came {
        sent_s: sent.seconds_since(started),
        at_s: came.seconds_since(started),
        jitter_ms,
    });
    OverTime { from: from.node.name.clone(), to: to.node.name.clone(), sent_s, came: came.collect() }
}

/// What the meter of a call keeps of these packets.
fn sink(capture: &[Packet]) -> PacketSink {
    let mut sink = PacketSink::new(None, Vec::new());
    for packet in capture {
        // Without a file nothing can fail.
        let _ = sink.take(packet);
    }
    sink
}
