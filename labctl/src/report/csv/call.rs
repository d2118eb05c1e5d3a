//! A call as rows: one for each way. A call that did not come to that is one row, without a way's figures.

use super::field;
use crate::experiment::call::record::{CallRecord, Way};
use crate::meter::Transport;

/// What follows the columns of the run.
pub(super) const COLUMNS: [&str; 30] = [
    "call",
    "caller",
    "callee",
    "started",
    "ringing_s",
    "setup_s",
    "teardown_s",
    "until_answer_payload_bytes",
    "from",
    "to",
    "path",
    "sent_packets",
    "received_packets",
    "packets_s",
    "payload_bytes_s",
    "packet_payload_bytes",
    "loss",
    "jitter_ms",
    "network_ms",
    "network_longest_ms",
    "longest_gap_ms",
    "mouth_to_ear_ms",
    "r",
    "mos",
    "played_packets",
    "made_up_packets",
    "late_packets",
    "machine_late_ms",
    "ended",
    "failure",
];

pub(super) fn rows(number: u32, call: &CallRecord) -> Vec<[String; COLUMNS.len()]> {
    if call.ways.is_empty() {
        vec![row(number, call, None)]
    } else {
        call.ways.iter().map(|way| row(number, call, Some(way))).collect()
    }
}

/// Transport and relay of a way, at its speaker: `udp`, `udp relayed`; several where it changed.
fn path(call: &CallRecord, way: &Way) -> String {
    let legs = call.legs.iter().filter(|leg| leg.at == way.from);
    let words = legs.map(|leg| {
        let transport = if leg.transport == Transport::Udp { "udp" } else { "tcp" };
        format!("{transport}{}", if leg.relayed { " relayed" } else { "" })
    });
    let mut words: Vec<String> = words.collect();
    words.dedup();
    words.join("; ")
}

fn row(number: u32, call: &CallRecord, way: Option<&Way>) -> [String; COLUMNS.len()] {
    let voice = way.and_then(|way| way.voice);
    let rating = way.and_then(|way| way.rating);
    [
        number.to_string(),
        call.from.to_string(),
        call.to.to_string(),
        field(call.started),
        field(call.ringing_s),
        field(call.setup_s),
        field(call.teardown_s),
        call.until_answer.total().payload_bytes.to_string(),
        field(way.map(|way| &way.from)),
        field(way.map(|way| &way.to)),
        field(way.map(|way| path(call, way))),
        field(way.map(|way| way.sent)),
        field(way.map(|way| way.received)),
        field(way.map(|way| way.packets_s)),
        field(way.map(|way| way.payload_bytes_s)),
        field(way.map(|way| way.payload_bytes)),
        field(way.map(|way| way.loss)),
        field(way.map(|way| way.jitter_ms)),
        field(way.map(|way| way.network_ms[0])),
        field(way.map(|way| way.network_ms[1])),
        field(way.map(|way| way.longest_gap_ms)),
        field(way.and_then(|way| way.mouth_to_ear_ms)),
        field(rating.map(|rating| rating.r)),
        field(rating.map(|rating| rating.mos)),
        field(voice.map(|voice| voice.played)),
        field(voice.map(|voice| voice.lost)),
        field(voice.map(|voice| voice.late)),
        field(voice.map(|voice| voice.machine_late_ms)),
        field(call.ended[0].as_ref()),
        field(call.failure.as_ref()),
    ]
}
