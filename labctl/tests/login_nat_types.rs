//! What a client makes of the NAT and firewall before it, on real rulesets. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use labctl::experiment::record::TrialRecord;
use overlay_control::NatVerdict;

/// The clients of `topologies/natTypes.yaml`, and what each is behind.
const BEHIND: [(&str, NatVerdict); 7] = [
    ("public", NatVerdict::Open),
    ("sym-firewall", NatVerdict::SymmetricUdpFirewall),
    ("full-cone", NatVerdict::FullCone),
    ("restr-cone", NatVerdict::RestrictedCone),
    ("port-restricted", NatVerdict::PortRestricted),
    ("symmetric", NatVerdict::Symmetric),
    ("udp-blocked", NatVerdict::UdpBlocked),
];

#[test]
fn a_client_finds_out_what_it_is_behind() {
    let directory = tempfile::tempdir().unwrap();
    let topology = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/natTypes.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_labctl"))
        .args(["experiment", "login", topology.to_str().unwrap(), "--first-time"])
        .args(["--lab", &lab_common::names::own("tnat"), "--runs", directory.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let run = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let trials = fs::read_to_string(run.join("trials.ndjson")).unwrap();
    let found: BTreeMap<String, NatVerdict> = trials
        .lines()
        .map(|line| serde_json::from_str::<TrialRecord>(line).unwrap())
        .map(|trial| (trial.client.to_string(), trial.summary.unwrap().nat))
        .collect();
    let expected = BEHIND.map(|(client, verdict)| (client.to_owned(), verdict));
    assert_eq!(found, BTreeMap::from(expected));
}
