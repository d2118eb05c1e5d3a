//! The login experiment on a real lab. Needs root and `tshark`, and the node program next to
//! the tests' own directory (`cargo build -p overlay-node`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use labctl::experiment::login::Options;
use labctl::experiment::record::{EventRecord, Kind, TrialRecord};
use labctl::experiment::session::{Measured, Session, SessionError};
use labctl::lab::{self, Lab};
use labctl::meter::Count;
use labctl::report::Row;
use labctl::runtime::{Runtime, RuntimeChoice, Runtimes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overlay_control::LoginEvent;

/// Two clients behind gateways of their own, one of which lets no UDP out, and one that stays online.
const TOPOLOGY: &str = "
name: NAME
title: A small lab for tests
seed: 7
wan:
  regions: [here]
  rtt: { here/here: 20ms, jitter: 0% }
overlay:
  profile: skype-2006
  host_cache: { entries: 20, stale: 20% }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 2, addresses: 14 }
  bob: { role: client, region: here, buddies: [alice] }
sites:
  home:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    nodes: { alice: { role: client, buddies: [bob] } }
  campus:
    region: here
    gateway: { nat: port-restricted, firewall: udp-restricted }
    nodes: { carol: { role: client, buddies: [bob] } }
experiment:
  measure: [alice, carol]
  online: [bob]
";

fn labctl() -> Command {
    let node = Path::new(env!("CARGO_BIN_EXE_labctl")).with_file_name("overlay-node");
    assert!(node.exists(), "this test needs {}: cargo build -p overlay-node", node.display());
    Command::new(env!("CARGO_BIN_EXE_labctl"))
}

/// The topology as a file.
fn topology(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join("topology.yaml");
    fs::write(&path, TOPOLOGY.replace("NAME", name)).unwrap();
    path
}

fn options(kinds: &[Kind]) -> Options {
    Options { first: 1, trials: 2, kinds: kinds.to_vec(), seed: 7, parallel: None }
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A sum over the packets of a file, by tshark.
fn tshark_sum(path: &Path, filter: &str, field: &str) -> u64 {
    let arguments = ["-n", "-Y", filter, "-Tfields", "-e", field, "-r"];
    let output = Command::new("tshark").args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse::<u64>().unwrap()).sum()
}

/// Removes the lab when the test ends, however it ends.
struct Remove(String);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = labctl().args(["down", "--quiet", "--lab", &self.0]).output();
    }
}

/// A lab of the test alone.
async fn up(runtime: &dyn Runtime) -> (Remove, Lab) {
    let directory = tempfile::tempdir().unwrap();
    let remove = Remove(lab_common::names::own("tmeter"));
    let made = labctl().args(["up", "--quiet"]).arg(topology(directory.path(), &remove.0)).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lab = Lab::open(runtime, &remove.0.parse().unwrap()).await.unwrap();
    (remove, lab)
}

async fn measure(
    runtime: &dyn Runtime,
    lab: &Lab,
    kinds: &[Kind],
    runs: &Path,
) -> Result<Measured<Vec<TrialRecord>>, SessionError> {
    let options = options(kinds);
    let session = Session { options: &options, runs, topology: None };
    session.on_running(lab, runtime, &|_| {}, std::future::pending()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_measured_as_the_packets_say() {
    let runtime = Runtimes::connect(RuntimeChoice::Auto).await.unwrap();
    let (remove, lab) = up(&runtime).await;
    let runs = tempfile::tempdir().unwrap();
    let both = [Kind::FirstTime, Kind::Subsequent];
    let Measured { directory, records } = measure(&runtime, &lab, &both, runs.path()).await.unwrap();

    assert_eq!(records.len(), 4);
    for record in &records {
        assert_eq!(record.failure, None, "{record:?}");
        let seen = record.seen.as_ref().unwrap();
        let traffic = seen.traffic;
        let file = directory.join(&record.packets);
        // A login alone on its interface: what was sent once is all that there is, but retransmissions.
        assert_eq!(
            traffic.udp.both().payload_bytes,
            tshark_sum(&file, "udp", "udp.length") - 8 * traffic.udp.both().packets
        );
        let once = "tcp.len > 0 && !tcp.analysis.retransmission && !tcp.analysis.keep_alive";
        assert_eq!(traffic.tcp.both().payload_bytes, tshark_sum(&file, once, "tcp.len"));
        let all = traffic.total().ip_bytes + seen.left_over.total().ip_bytes;
        assert_eq!(all, tshark_sum(&file, "udp || tcp", "ip.len"));

        let (login, finished) = (record.login_s.unwrap(), record.finished_s.unwrap());
        assert!(seen.first_packet_s.unwrap() <= login && login <= finished);
        let outside = record.outside.unwrap();
        match record.client.as_str() {
            "alice" => assert!(outside.udp_packets() > 0),
            "carol" => {
                assert_eq!(outside.udp.both(), Count::default(), "the firewall lets no UDP out");
                assert!(traffic.udp.sent.packets > 0, "though the client tried");
            }
            other => panic!("{other} was not to be measured"),
        }
    }

    let written: Vec<TrialRecord> = lines(&directory.join("trials.ndjson"));
    assert_eq!(written, records);
    let events: Vec<EventRecord> = lines(&directory.join("events.ndjson"));
    assert!(records.iter().all(|record| events.iter().any(|event| event.trial == record.trial)));
    let run: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["schema"], "labctl.run/1");
    assert_eq!(run["plan"]["lab"], remove.0);
    let row = Row::new("test", &records, None);
    assert_eq!((row.trials, row.failed), (2, 0));

    // A second run on the same lab has users of its own: names that are taken would fail.
    let again = measure(&runtime, &lab, &[Kind::FirstTime], runs.path()).await.unwrap();
    assert_ne!(again.directory, directory);
    assert!(again.records.iter().all(|record| record.failure.is_none()), "{:?}", again.records);
    // The same seed, and the same beginning.
    let first_probe = |directory: &Path| {
        let events: Vec<EventRecord> = lines(&directory.join("events.ndjson"));
        events.into_iter().find_map(|event| match event.line.event {
            LoginEvent::UdpProbe { to } if event.trial == 1 && event.kind == Kind::FirstTime => Some(to),
            _ => None,
        })
    };
    assert_eq!(again.records[0].seed, records[0].seed);
    assert!(first_probe(&directory).is_some());
    assert_eq!(first_probe(&again.directory), first_probe(&directory));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_lab_is_not_measured() {
    let runtime = Runtimes::connect(RuntimeChoice::Auto).await.unwrap();
    let (_remove, lab) = up(&runtime).await;
    let runs = tempfile::tempdir().unwrap();
    runtime.remove(&lab.node("sn-1").unwrap().container).await.unwrap();
    let error = measure(&runtime, &lab, &[Kind::FirstTime], runs.path()).await.unwrap_err().to_string();
    assert!(error.contains("not healthy") && error.contains("sn-1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_experiment_takes_its_lab_down() {
    let runtime = Runtimes::connect(RuntimeChoice::Auto).await.unwrap();
    let remove = Remove(lab_common::names::own("tmeter"));
    let directory = tempfile::tempdir().unwrap();
    let mut child = labctl()
        .args(["experiment", "login", "--subsequent", "--runs"])
        .arg(directory.path())
        .arg(topology(directory.path(), &remove.0))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("wave 1 of 1") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended before the first wave");
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(rest.contains("interrupted by SIGINT"), "{rest}");
    assert!(lab::find_lab(&runtime, &remove.0.parse().unwrap()).await.unwrap().is_none());
}
