//! Reports of searches as they are written.

use overlay_control::{DirectoryStatus, RecordSource, SearchSummary};

use super::*;
use crate::experiment::record::{Failure, FailureReason, Outside, Seen};
use crate::experiment::search::record::Ending;
use crate::meter::{Apart, Count, Statistics, Traffic};

fn bytes(payload_bytes: u64) -> Count {
    Count { packets: 2, payload_bytes, ip_bytes: payload_bytes + 56 }
}

pub(in crate::report) fn search(
    case: Case,
    trial: u32,
    latency_s: f64,
    source: Option<RecordSource>,
) -> SearchRecord {
    let mut traffic = Traffic::default();
    traffic.udp.received = bytes(400 + u64::from(trial));
    let mut left_over = Traffic::default();
    left_over.tcp.sent = bytes(20);
    SearchRecord {
        case,
        trial,
        client: "alice".parse().unwrap(),
        gateway: Some("home".parse().unwrap()),
        searcher: "abcde-q001".into(),
        user: "bob".into(),
        started: None,
        latency_s: Some(latency_s),
        ending: Some(if source.is_some() { Ending::Online } else { Ending::Unknown }),
        seen: Some(Seen {
            first_packet_s: Some(0.001),
            last_packet_s: Some(latency_s),
            traffic,
            left_over,
            apart: Apart::default(),
            flows: Vec::new(),
            kernel: Statistics::default(),
        }),
        outside: Some(Outside::default()),
        contacted: Some(5),
        path_stretch: source.map(|_| latency_s / 0.094),
        found: None,
        summary: Some(SearchSummary { batches: 1, asked: 4, hops: 2, source }),
        packets: String::new(),
        failure: None,
    }
}

pub(in crate::report) fn super_node(number: u16, forwards: u64) -> SuperNodeRecord {
    SuperNodeRecord {
        name: format!("sn.{number}"),
        address: "198.18.0.1:33033".parse().unwrap(),
        clients: 1,
        directory: DirectoryStatus {
            members: 111,
            records: 3,
            forwards,
            cache_hits: 1,
            ..Default::default()
        },
    }
}

fn report() -> SearchReport {
    let mut failed = search(Case::Unknown, 2, 9.0, None);
    failed.failure = Some(Failure { reason: FailureReason::Search, detail: "no".into() });
    let records = vec![
        search(Case::Cold, 1, 0.2, Some(RecordSource::Index)),
        search(Case::Cold, 2, 0.4, Some(RecordSource::Index)),
        search(Case::Warm, 1, 0.09, Some(RecordSource::Cache)),
        search(Case::Unknown, 1, 1.5, None),
        failed,
    ];
    SearchReport::new(
        "expB",
        &Measurements { records, super_nodes: vec![super_node(1, 0), super_node(2, 28)] },
    )
}

#[test]
fn in_a_file() {
    insta::assert_snapshot!(report().table(Style::Plain));
}

#[test]
fn in_a_terminal() {
    insta::assert_snapshot!(report().table(Style::Terminal));
}

#[test]
fn as_json() {
    insta::assert_snapshot!(report().json());
}

#[test]
fn a_failed_search_is_in_no_figure_but_its_own() {
    let report = report();
    let unknown = report.rows.iter().find(|row| row.case == Case::Unknown).unwrap();
    assert_eq!((unknown.trials, unknown.failed), (1, 1));
    assert!(unknown.latency_s.unwrap().max < 2.0);
    assert!(report.has_failures());
}
