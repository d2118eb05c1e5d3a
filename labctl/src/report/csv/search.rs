//! A search as a row.

use super::{failure, field, outside, traffic};
use crate::experiment::search::record::SearchRecord;

/// What follows the columns of the run.
pub(super) const COLUMNS: [&str; 26] = [
    "case",
    "trial",
    "client",
    "gateway",
    "searcher",
    "user",
    "started",
    "latency_s",
    "ending",
    "udp_packets",
    "udp_payload_bytes",
    "udp_ip_bytes",
    "tcp_packets",
    "tcp_payload_bytes",
    "tcp_ip_bytes",
    "outside_udp_packets",
    "outside_tcp_packets",
    "contacted",
    "path_stretch",
    "batches",
    "asked",
    "hops",
    "source",
    "failure",
    "failure_detail",
    "packets_file",
];

pub(super) fn row(trial: &SearchRecord) -> [String; COLUMNS.len()] {
    let [udp_packets, udp_payload, udp_ip, tcp_packets, tcp_payload, tcp_ip] = traffic(trial.traffic());
    let [outside_udp, outside_tcp] = outside(trial.outside.as_ref());
    let [reason, detail] = failure(trial.failure.as_ref());
    let summary = trial.summary;
    let ending = trial.ending.and_then(|ending| serde_json::to_value(ending).ok());
    let source = summary.and_then(|summary| serde_json::to_value(summary.source?).ok());
    [
        trial.case.as_str().to_owned(),
        trial.trial.to_string(),
        trial.client.to_string(),
        field(trial.gateway.as_ref()),
        trial.searcher.clone(),
        trial.user.clone(),
        field(trial.started),
        field(trial.latency_s),
        field(ending.as_ref().and_then(serde_json::Value::as_str)),
        udp_packets,
        udp_payload,
        udp_ip,
        tcp_packets,
        tcp_payload,
        tcp_ip,
        outside_udp,
        outside_tcp,
        field(trial.contacted),
        field(trial.path_stretch),
        field(summary.map(|summary| summary.batches)),
        field(summary.map(|summary| summary.asked)),
        field(summary.map(|summary| summary.hops)),
        field(source.as_ref().and_then(serde_json::Value::as_str)),
        reason,
        detail,
        trial.packets.clone(),
    ]
}
