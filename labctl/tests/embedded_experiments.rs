//! The published set-ups on the embedded runtime, as root and as an ordinary user. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;
mod user_common;

use lab_common::{labctl, names, text};
use serde_json::Value;
use user_common::User;

/// One subsequent login in a lab made for it. The report's row.
fn login(setup: &str, run: impl FnOnce(&[&str]) -> Vec<u8>) -> Value {
    let lab = names::own(&format!("t{setup}"));
    let topology = format!("{}/../topologies/{setup}.yaml", env!("CARGO_MANIFEST_DIR"));
    let runs = tempfile::tempdir().unwrap();
    let runs = runs.path().to_str().unwrap();
    let report = run(&[
        "experiment",
        "login",
        &topology,
        "--lab",
        &lab,
        "--runtime",
        "embedded",
        "--trials",
        "1",
        "--subsequent",
        "--json",
        "-",
        "--runs",
        runs,
    ]);
    let report: Value = serde_json::from_slice(&report).unwrap();
    report["rows"][0].clone()
}

fn as_root(arguments: &[&str]) -> Vec<u8> {
    let output = labctl(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

fn assert_logged_in(row: &Value) {
    assert_eq!((&row["trials"], &row["failed"]), (&1.into(), &0.into()), "{row}");
}

#[test]
fn a_client_logs_in_where_both_users_are_public() {
    assert_logged_in(&login("expA", as_root));
}

#[test]
fn a_client_logs_in_behind_a_nat() {
    assert_logged_in(&login("expB", as_root));
}

#[test]
fn a_client_logs_in_behind_a_nat_and_a_firewall_without_udp() {
    assert_logged_in(&login("expC", as_root));
}

#[test]
fn an_ordinary_users_client_logs_in_behind_a_nat() {
    let user = User::new();
    let row = login("expB", |arguments| {
        let copy = user.write("expB.yaml", &std::fs::read_to_string(arguments[2]).unwrap());
        let mut arguments = arguments.to_vec();
        arguments[2] = copy.to_str().unwrap();
        let runs = arguments.len() - 1;
        arguments[runs] = "runs";
        let output = user.try_labctl(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    });
    assert_logged_in(&row);
}
