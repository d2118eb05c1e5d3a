//! The search experiment on a real lab. Needs root and `tshark`, and the node program next to
//! the tests' own directory (`cargo build -p overlay-node`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use labctl::experiment::search::record::{Case, Ending, SearchEventRecord, SearchRecord, SuperNodeRecord};
use overlay_control::{RecordSource, SearchEvent};
use serde_json::Value;
use tempfile::TempDir;

/// One client in the open, one behind a NAT, one behind a firewall that lets no UDP out; and one that stays online.
const TOPOLOGY: &str = "
name: NAME
title: A small lab for searches
seed: 7
wan:
  regions: [here]
  rtt: { here/here: 20ms, jitter: 0% }
overlay:
  profile: skype-2006
  host_cache: { entries: 20, stale: 20% }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 2, addresses: 30 }
  bob: { role: client, region: here }
  alice: { role: client, region: here }
sites:
  home:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    nodes: { carol: { role: client } }
  campus:
    region: here
    gateway: { nat: port-restricted, firewall: udp-restricted }
    nodes: { dave: { role: client } }
experiment:
  measure: [alice, carol, dave]
  online: [bob]
";

/// A lab of this test alone, with a place for its runs.
struct TestLab {
    name: String,
    directory: TempDir,
}

impl TestLab {
    fn new(prefix: &str) -> Self {
        let name = lab_common::names::own(prefix);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("lab.yaml"), TOPOLOGY.replace("NAME", &name)).unwrap();
        Self { name, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn labctl(&self, arguments: &[&str]) -> Output {
        let node = Path::new(env!("CARGO_BIN_EXE_labctl")).with_file_name("overlay-node");
        assert!(node.exists(), "this test needs {}: cargo build -p overlay-node", node.display());
        Command::new(env!("CARGO_BIN_EXE_labctl"))
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    /// The directory of the only run.
    fn run(&self) -> PathBuf {
        let mut runs = fs::read_dir(self.path("runs")).unwrap();
        let run = runs.next().unwrap().unwrap().path();
        assert!(runs.next().is_none());
        run
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        let _ = self.labctl(&["down", "--quiet", "--lab", &self.name]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many packets of a file a filter of tshark's lets through.
fn packets(path: &Path, filter: &str) -> usize {
    let output = Command::new("tshark").args(["-n", "-Y", filter, "-r"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().count()
}

#[test]
fn every_case_ends_as_it_must_behind_every_gateway_and_the_packets_say_the_same() {
    let lab = TestLab::new("prsa");
    let made = lab.labctl(&["experiment", "search", "lab.yaml", "--json", "report.json"]);
    assert!(made.status.success(), "{}{}", text(&made.stdout), text(&made.stderr));
    let run = lab.run();

    let records: Vec<SearchRecord> = lines(&run.join("trials.ndjson"));
    assert_eq!(records.len(), 3 * Case::ALL.len());
    for record in &records {
        assert_eq!(record.failure, None, "{record:?}");
        let file = run.join(&record.packets);
        let blocked = record.client.as_str() == "dave";
        let traffic = record.traffic().unwrap();
        assert!(record.latency_s.unwrap() > 0.019, "a round trip at least: {record:?}");
        assert!(traffic.tcp.both().payload_bytes > 0, "the super node is asked by TCP: {record:?}");
        assert_eq!(packets(&file, "udp") as u64, traffic.udp.both().packets, "{record:?}");
        if blocked {
            assert_eq!(traffic.udp.both().packets, 0, "{record:?}");
            assert_eq!(record.outside.unwrap().udp_packets(), 0, "{record:?}");
        }
    }
    let of = |case| records.iter().filter(move |record: &&SearchRecord| record.case == case);
    for record in of(Case::Cold).chain(of(Case::Warm)) {
        let found = record.found.as_ref().unwrap();
        assert_eq!((record.ending, found.user.as_str()), (Some(Ending::Online), "bob"));
        assert!(record.path_stretch.unwrap() >= 0.9, "{record:?}");
    }
    assert!(of(Case::Offline).all(|record| record.ending == Some(Ending::Offline)));
    for record in of(Case::Unknown) {
        let summary = record.summary.unwrap();
        assert_eq!((summary.asked, summary.source), (28, None));
        if record.client.as_str() != "dave" {
            assert_eq!(record.contacted, Some(29), "28 nodes by UDP and the super node by TCP: {record:?}");
        }
    }
    // A second search: whoever did not have bob's record in the index has the result of the first now.
    for warm in of(Case::Warm) {
        let cold = of(Case::Cold).find(|cold| cold.client == warm.client).unwrap();
        let summary = warm.summary.unwrap();
        if cold.summary.unwrap().hops == 2 {
            assert_eq!((summary.source, summary.hops, summary.asked), (Some(RecordSource::Cache), 1, 0));
            assert_eq!(warm.traffic().unwrap().udp.both().packets, 0, "{warm:?}");
        }
    }

    let events: Vec<SearchEventRecord> = lines(&run.join("events.ndjson"));
    let mut batches: BTreeMap<(String, Case), Vec<usize>> = BTreeMap::new();
    for event in &events {
        if let SearchEvent::Batch { nodes, .. } = &event.line.event {
            batches.entry((event.client.to_string(), event.case)).or_default().push(nodes.len());
        }
    }
    for client in ["alice", "carol"] {
        assert_eq!(batches[&(client.to_owned(), Case::Unknown)], [4, 8, 16]);
    }
    assert!(!batches.contains_key(&("dave".to_owned(), Case::Unknown)), "its super node asks");

    let super_nodes: Vec<SuperNodeRecord> = lines(&run.join("super-nodes.ndjson"));
    assert_eq!(super_nodes.len(), 60);
    assert!(super_nodes.iter().all(|node| node.directory.members <= 59));
    assert!(super_nodes.iter().map(|node| node.directory.forwards).sum::<u64>() >= 3 * 28 * 2);

    let report: Value = serde_json::from_slice(&fs::read(lab.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["schema"], "labctl.search/1");
    assert_eq!(report["rows"].as_array().unwrap().len(), 5);
    assert!(report["overlay"]["routing_table"]["median"].as_u64().unwrap() > 0);
    let table = text(&made.stdout);
    assert!(table.contains("expired") && table.contains("overlay: 60 super nodes"), "{table}");
}

#[test]
fn one_user_and_missing_users_are_searched_for_on_a_lab_that_runs() {
    let lab = TestLab::new("prsb");
    let up = lab.labctl(&["up", "--quiet", "lab.yaml"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    let search = |arguments: &[&str]| {
        lab.labctl(&[&["experiment", "search", "--lab", &lab.name, "--json", "-"], arguments].concat())
    };

    let found = search(&["--from", "alice", "--user", "bob", "--runs", "first"]);
    assert!(found.status.success(), "{}", text(&found.stderr));
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    let cases: Vec<_> = report["rows"].as_array().unwrap().iter().map(|row| row["case"].clone()).collect();
    assert_eq!(cases, ["cold", "warm"]);
    assert_eq!(report["rows"][0]["trials"], 1);

    let missing = search(&["--missing", "--trials", "4", "--runs", "second"]);
    assert!(missing.status.success(), "{}", text(&missing.stderr));
    let report: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(report["rows"].as_array().unwrap().len(), 1);
    assert_eq!((&report["rows"][0]["case"], &report["rows"][0]["trials"]), (&"unknown".into(), &4.into()));

    let mutual = search(&["--mutual", "--runs", "third"]);
    assert!(mutual.status.success(), "{}", text(&mutual.stderr));
    let run = fs::read_dir(lab.path("third")).unwrap().next().unwrap().unwrap().path();
    let records: Vec<SearchRecord> = lines(&run.join("trials.ndjson"));
    let cold = records.iter().filter(|record| record.case == Case::Cold);
    let pairs: Vec<_> = cold.map(|record| (record.searcher.clone(), record.user.clone())).collect();
    assert_eq!(pairs.len(), 3);
    for (place, (_, user)) in pairs.iter().enumerate() {
        assert_eq!(*user, pairs[(place + 1) % 3].0, "each searches for the next");
    }

    let nobody = search(&["--from", "login"]);
    assert!(!nobody.status.success());
    let error = text(&nobody.stderr);
    assert!(
        error.contains("'login' is not a client that the lab measures") && error.contains("alice"),
        "{error}"
    );
    let bad = search(&["--user", "two words"]);
    assert!(!bad.status.success());
    assert!(text(&bad.stderr).contains("visible ASCII"), "{}", text(&bad.stderr));
}
