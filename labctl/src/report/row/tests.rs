//! Records made by hand, and what comes of them.

use overlay_control::{LoginSummary, NatVerdict};

use super::super::published::find;
use super::*;
use crate::experiment::record::{Failure, FailureReason};
use crate::meter::{Apart, Count, Statistics, Timestamp, Traffic, TwoWay};

/// A trial that came to its end.
pub(in crate::report) fn trial(kind: Kind, trial: u32, login_s: f64, udp: u64, tcp: u64) -> TrialRecord {
    let count = |payload_bytes| Count { packets: 10, payload_bytes, ip_bytes: payload_bytes + 400 };
    let traffic = Traffic {
        udp: TwoWay { sent: count(udp), received: Count::default() },
        tcp: TwoWay { sent: Count::default(), received: count(tcp) },
    };
    let seen = Seen {
        first_packet_s: Some(0.01),
        last_packet_s: Some(login_s),
        traffic,
        left_over: Traffic::default(),
        apart: Apart::default(),
        flows: Vec::new(),
        kernel: Statistics::default(),
    };
    TrialRecord {
        kind,
        trial,
        client: "alice".parse().unwrap(),
        gateway: Some("home".parse().unwrap()),
        user: format!("abcde-f{trial:03}"),
        seed: u64::from(trial),
        host_cache_entries: 7,
        started: Some(Timestamp::from_nanos(1_136_214_245_000_000_000)),
        login_s: Some(login_s),
        finished_s: Some(login_s + 1.0),
        seen: Some(seen),
        outside: Some(Outside { udp: traffic.udp, tcp: traffic.tcp }),
        summary: Some(LoginSummary {
            nat: NatVerdict::PortRestricted,
            super_nodes: Vec::new(),
            advertised_to: 20,
            advertisements_answered: 20,
            rounds: 1,
            host_cache_entries: 7,
        }),
        packets: "alice-first-time-001.pcapng".into(),
        failure: None,
    }
}

pub(in crate::report) fn failed(kind: Kind, number: u32) -> TrialRecord {
    let failure = Failure { reason: FailureReason::Login, detail: "no-super-node: none answered".into() };
    TrialRecord { failure: Some(failure), seen: None, login_s: None, ..trial(kind, number, 0.0, 0, 0) }
}

/// Three trials of each kind.
pub(in crate::report) fn trials(login_s: f64, udp: u64, tcp: u64) -> Vec<TrialRecord> {
    let mut trials = Vec::new();
    for (number, off) in [(1, -0.5), (2, 0.0), (3, 0.25)] {
        trials.push(trial(Kind::FirstTime, number, 1.0, udp + u64::from(number), tcp));
        trials.push(trial(Kind::Subsequent, number, login_s + off, 1, 2));
    }
    trials
}

#[test]
fn bytes_come_from_first_time_logins_and_times_from_subsequent_ones() {
    let row = Row::new("expB", &trials(4.0, 3000, 7000), find("infocom2006/expB"));
    assert_eq!((row.trials, row.failed), (3, 0));
    assert_eq!(row.login_s, Some(Spread { min: 3.5, median: 4.0, max: 4.25 }));
    assert_eq!(row.payload_bytes, Some(Spread { min: 10_001, median: 10_002, max: 10_003 }));
    assert_eq!(row.udp_payload_bytes.unwrap().median, 3002);
    assert_eq!(row.tcp_payload_bytes.unwrap().median, 7000);
    assert_eq!(row.ip_bytes.unwrap().median, 10_802);
    assert_eq!(row.udp_packets_outside, Some(10));
    assert_eq!(row.verdict(), Verdict { login: Some(true), total: Some(true) });
}

#[test]
fn a_failed_trial_is_counted_and_changes_no_figure() {
    let mut records = trials(4.0, 3000, 7000);
    let without = Row::new("expB", &records, find("infocom2006/expB"));
    records.push(failed(Kind::Subsequent, 4));
    records.push(failed(Kind::FirstTime, 4));
    let with = Row::new("expB", &records, find("infocom2006/expB"));
    assert_eq!(with, Row { failed: 2, ..without });
}

#[test]
fn what_was_not_measured_is_not_a_figure_and_not_a_verdict() {
    let only_first: Vec<TrialRecord> =
        trials(4.0, 3000, 7000).into_iter().filter(|record| record.kind == Kind::FirstTime).collect();
    let row = Row::new("expB", &only_first, find("infocom2006/expB"));
    assert_eq!((row.trials, row.login_s), (3, None));
    assert_eq!(row.verdict().within(), None);
    let row = Row::new("expB", &[], find("infocom2006/expB"));
    assert_eq!((row.trials, row.payload_bytes, row.udp_packets_outside), (0, None, None));
}

#[test]
fn one_figure_out_of_range_is_enough_for_the_row_to_be_out() {
    let slow = Row::new("expB", &trials(9.0, 3000, 7000), find("infocom2006/expB"));
    assert_eq!(slow.verdict(), Verdict { login: Some(false), total: Some(true) });
    assert_eq!(slow.verdict().within(), Some(false));
    let unpublished = Row::new("mine", &trials(9.0, 3000, 7000), None);
    assert_eq!(unpublished.verdict().within(), None);
}
