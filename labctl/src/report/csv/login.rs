//! A login as a row.

use super::{failure, field, outside, traffic};
use crate::experiment::record::TrialRecord;

/// What follows the columns of the run.
pub(super) const COLUMNS: [&str; 25] = [
    "kind",
    "trial",
    "client",
    "gateway",
    "user",
    "seed",
    "host_cache_entries",
    "started",
    "login_s",
    "finished_s",
    "first_packet_s",
    "last_packet_s",
    "udp_packets",
    "udp_payload_bytes",
    "udp_ip_bytes",
    "tcp_packets",
    "tcp_payload_bytes",
    "tcp_ip_bytes",
    "outside_udp_packets",
    "outside_tcp_packets",
    "nat",
    "rounds",
    "failure",
    "failure_detail",
    "packets_file",
];

pub(super) fn row(trial: &TrialRecord) -> [String; COLUMNS.len()] {
    let seen = trial.seen.as_ref();
    let [udp_packets, udp_payload, udp_ip, tcp_packets, tcp_payload, tcp_ip] =
        traffic(seen.map(|seen| seen.traffic));
    let [outside_udp, outside_tcp] = outside(trial.outside.as_ref());
    let [reason, detail] = failure(trial.failure.as_ref());
    let nat = trial.summary.as_ref().and_then(|summary| serde_json::to_value(summary.nat).ok());
    [
        trial.kind.as_str().to_owned(),
        trial.trial.to_string(),
        trial.client.to_string(),
        field(trial.gateway.as_ref()),
        trial.user.clone(),
        trial.seed.to_string(),
        trial.host_cache_entries.to_string(),
        field(trial.started),
        field(trial.login_s),
        field(trial.finished_s),
        field(seen.and_then(|seen| seen.first_packet_s)),
        field(seen.and_then(|seen| seen.last_packet_s)),
        udp_packets,
        udp_payload,
        udp_ip,
        tcp_packets,
        tcp_payload,
        tcp_ip,
        outside_udp,
        outside_tcp,
        field(nat.as_ref().and_then(serde_json::Value::as_str)),
        field(trial.summary.as_ref().map(|summary| summary.rounds)),
        reason,
        detail,
        trial.packets.clone(),
    ]
}
