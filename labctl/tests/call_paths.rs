//! Calls in real labs: the three published cases, and a relay that dies. Needs root, `curl` and `tshark`.
//!
//! Which way signalling and media took is read from the packets by tshark, not from what labctl or the nodes say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab_common::{LABCTL, TestLab, text, wait_until};
use labctl::experiment::call::record::CallRecord;
use labctl::meter::Transport;

/// Bytes: what a node may carry by the way beside a call's media, as super nodes keep one another's
/// entries alive and clients register meanwhile. Media of the calls here are over 90,000 bytes.
const OTHER_BUSINESS: u64 = 10_000;

/// Three pairs of set-ups in one lab: expA, expB and expC in small.
const TOPOLOGY: &str = "
name: NAME
title: Calls
seed: 7
wan:
  regions: [here]
  rtt: { here/here: 50ms, jitter: 0% }
overlay:
  profile: skype-2006
  host_cache: { entries: 20, stale: 20% }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 4, addresses: 7 }
  alice: { role: client, region: here }
  bob: { role: client, region: here }
sites:
  home:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    nodes: { homer: { role: client } }
  campus-a:
    region: here
    gateway: { nat: port-restricted, firewall: udp-restricted }
    nodes: { carol: { role: client } }
  campus-b:
    region: here
    gateway: { nat: port-restricted, firewall: udp-restricted }
    nodes: { dave: { role: client } }
";

struct Measured {
    record: CallRecord,
    directory: PathBuf,
    _runs: tempfile::TempDir,
}

fn begin(lab: &TestLab, from: &str, to: &str, seconds: &str, runs: &Path) -> std::process::Child {
    Command::new(LABCTL)
        .args(["experiment", "call", "--lab", &lab.name, "--from", from, "--to", to, "--seconds", seconds])
        .args(["--json", "-", "--runs"])
        .arg(runs)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(child: std::process::Child, runs: tempfile::TempDir) -> Measured {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stderr), text(&output.stdout));
    let directory = std::fs::read_dir(runs.path()).unwrap().next().unwrap().unwrap().path();
    let lines = std::fs::read_to_string(directory.join("calls.ndjson")).unwrap();
    let record = serde_json::from_str(lines.trim()).unwrap();
    Measured { record, directory, _runs: runs }
}

fn call(lab: &TestLab, from: &str, to: &str) -> Measured {
    let runs = tempfile::tempdir().unwrap();
    ended(begin(lab, from, to, "6", runs.path()), runs)
}

impl Measured {
    /// The values of fields of the packets of a file that a filter lets through.
    fn fields(&self, file: &str, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let path = self.directory.join(file);
        let mut command = Command::new("tshark");
        command.args(["-n", "-Y", filter, "-Tfields"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.arg("-r").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// Datagrams of 71 bytes of payload by the other end's address, both ways, at a client.
    fn media_peers(&self, client: &str, own: &str) -> BTreeMap<String, usize> {
        let mut peers = BTreeMap::new();
        // 8 bytes of UDP header are in udp.length.
        let packets = self.fields(&format!("{client}.pcapng"), "udp.length == 79", &["ip.src", "ip.dst"]);
        for packet in packets {
            let peer = if packet[0] == own { &packet[1] } else { &packet[0] };
            *peers.entry(peer.clone()).or_default() += 1;
        }
        peers
    }

    fn fine(&self) {
        assert_eq!(self.record.failure, None);
        assert_eq!(self.record.ways.len(), 2);
        for way in &self.record.ways {
            assert!((way.payload_bytes_s / 5_000.0 - 1.0).abs() < 0.1, "{way:?}");
            assert!(way.loss < 0.02, "{way:?}");
            // How good it is depends on how busy this machine is; that there is a rating does not.
            assert!((1.0..=4.5).contains(&way.rating.unwrap().mos), "{way:?}");
        }
        for name in ["heard-by-caller.wav", "heard-by-callee.wav"] {
            let heard = overlay_voice::wav::read(&self.directory.join(name)).unwrap();
            assert!(heard.len() > 4 * overlay_voice::SAMPLE_RATE as usize, "{name}: {}", heard.len());
        }
    }
}

/// The address of a public node, or of the outside of a gateway.
fn address(lab: &TestLab, name: &str) -> String {
    let listed = lab.listed();
    let nodes = listed["members"].as_array().unwrap();
    let found =
        nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("{name} in {listed}"));
    found["addresses"][0].as_str().unwrap().to_owned()
}

#[test]
fn the_three_published_cases_by_their_packets() {
    let lab = TestLab::of("vocall", TOPOLOGY);
    lab.up();

    // 1: both public. Straight, and no third node carries media.
    let one = call(&lab, "alice", "bob");
    one.fine();
    let (alice, bob) = (address(&lab, "alice"), address(&lab, "bob"));
    let peers = one.media_peers("alice", &alice);
    assert_eq!(peers.keys().collect::<Vec<_>>(), [&bob], "{peers:?}");
    assert!(peers[&bob] > 700, "{peers:?}");
    assert!(
        one.record.nodes.iter().all(|node| node.udp_bytes + node.tcp_bytes < OTHER_BUSINESS),
        "{:?}",
        one.record.nodes
    );
    let straight = one.fields("alice.pcapng", &format!("tcp.flags.syn == 1 && ip.dst == {bob}"), &["ip.src"]);
    assert!(straight.iter().any(|packet| packet[0] == alice), "signalling goes straight by TCP");

    // 2: the caller behind a NAT. Signalling by TCP through a node; media by UDP through a relay.
    let two = call(&lab, "homer", "bob");
    two.fine();
    let from_bob = two.media_peers("bob", &bob);
    assert_eq!(from_bob.len(), 1, "{from_bob:?}");
    let relay = from_bob.keys().next().unwrap();
    let home = address(&lab, "home");
    assert!(*relay != home, "not straight");
    let outside = two.fields("home-wan.pcapng", "udp.length == 79", &["ip.src", "ip.dst"]);
    assert!(outside.len() > 700);
    assert!(outside.iter().all(|packet| packet.contains(relay)), "all media go through {relay}");
    let carried = two.record.nodes.iter().find(|node| node.address.to_string() == *relay).unwrap();
    assert!(carried.udp_bytes > 2 * 700 * 71 && carried.tcp_bytes < OTHER_BUSINESS, "{carried:?}");
    let contact = two.fields("home-wan.pcapng", &format!("tcp && ip.addr == {bob}"), &["ip.src"]);
    assert!(contact.is_empty(), "no TCP goes straight to bob");

    // 3: UDP is blocked before both. All is TCP, and media come through a node.
    let three = call(&lab, "carol", "dave");
    three.fine();
    for gateway in ["campus-a", "campus-b"] {
        let udp = three.fields(&format!("{gateway}-wan.pcapng"), "udp", &["ip.src", "ip.dst"]);
        assert_eq!(udp, Vec::<Vec<String>>::new(), "not one UDP packet passes {gateway}");
    }
    assert!(three.record.legs.iter().all(|leg| leg.transport == Transport::Tcp && leg.relayed));
    let relay = three.record.legs[0].remote.ip().to_string();
    let other = address(&lab, "campus-b");
    let segments = three.fields("campus-a-wan.pcapng", "tcp.len > 0", &["ip.src", "ip.dst"]);
    assert!(
        segments.iter().filter(|packet| packet.contains(&relay)).count() > 500,
        "media go through {relay}"
    );
    assert!(segments.iter().all(|packet| !packet.contains(&other)), "nothing goes straight");
    let carried = three.record.nodes.iter().find(|node| node.address.to_string() == relay).unwrap();
    assert!(carried.tcp_bytes > 2 * 700 * 71 && carried.udp_bytes < OTHER_BUSINESS, "{carried:?}");
}

#[test]
fn a_relay_that_dies_in_a_call_is_replaced_and_the_gap_is_measured() {
    let lab = TestLab::of("vodies", TOPOLOGY);
    lab.up();
    let runs = tempfile::tempdir().unwrap();
    let child = begin(&lab, "homer", "bob", "16", runs.path());
    // Whoever relays says so.
    let relaying = || (1..=4).find(|node| relays(&lab, &format!("sn-{node}")));
    wait_until(|| relaying().is_some(), || "nobody relays the call".to_owned());
    let relay = relaying().expect("it relays as long as the call lasts");
    // Both are in the call before it loses its relay.
    std::thread::sleep(std::time::Duration::from_secs(3));
    lab.kill_node(&format!("sn-{relay}"));
    let measured = ended(child, runs);
    let record = &measured.record;
    assert_eq!(record.failure, None);
    let at = |name: &str| record.legs.iter().filter(|leg| leg.at.as_str() == name).collect::<Vec<_>>();
    for end in ["homer", "bob"] {
        let legs = at(end);
        assert!(legs.len() >= 2, "{legs:?}");
        assert!(legs[0].peer.starts_with(&format!("sn-{relay}")), "{legs:?}");
        assert!(!legs[legs.len() - 1].peer.starts_with(&format!("sn-{relay}")), "{legs:?}");
    }
    assert_eq!(at("homer").last().unwrap().remote, at("bob").last().unwrap().remote);
    for way in &record.ways {
        assert!(way.longest_gap_ms >= 500.0 && way.longest_gap_ms < 10_000.0, "{way:?}");
        assert!(way.received > 400, "{way:?}");
    }
}

/// Whether one of a container's super nodes relays a call.
fn relays(lab: &TestLab, node: &str) -> bool {
    let socket = format!("/run/labctl/{}/nodes/{node}/control.sock", lab.name);
    let output = Command::new("curl")
        .args(["--silent", "--unix-socket", &socket, "http://node/v1/status"])
        .output()
        .unwrap();
    serde_json::from_slice::<overlay_control::Status>(&output.stdout)
        .is_ok_and(|status| status.instances.iter().any(|instance| instance.relayed_calls > Some(0)))
}
