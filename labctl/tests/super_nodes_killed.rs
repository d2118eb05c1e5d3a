//! Three of ten super nodes' containers are killed at once, in a real lab. Needs root and `curl`.
//!
//! Every user who is logged in is still found, and a call goes on whose relay was among them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab_common::{LABCTL, On, TestLab, run, text};
use labctl::experiment::call::record::CallRecord;
use overlay_control::{SearchEvent, SearchLine, Status};

const TOPOLOGY: &str = "
name: NAME
title: Super nodes that are killed
seed: 30
wan:
  regions: [here]
  rtt: { here/here: 20ms, jitter: 0% }
overlay:
  profile: skype-2006
  host_cache: { entries: 30, stale: 0% }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 10, addresses: 3 }
  bob: { role: client, region: here }
  user: { role: client, region: here, count: 6 }
sites:
  home:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    nodes: { homer: { role: client } }
experiment:
  measure: [homer]
  online: [user]
";

const SUPER_NODES: u32 = 10;
const KILLED: usize = 3;
const USERS: u32 = 6;
/// Longest time until everybody is found. What it takes is a lost connection that is noticed at once, a new one, and
/// a search with dead nodes in its batches (3 s each); the rest is for a machine under load.
const FOUND_WITHIN: Duration = Duration::from_secs(90);

fn socket(lab: &TestLab, node: &str) -> String {
    format!("/run/labctl/{}/nodes/{node}/control.sock", lab.name)
}

/// Whether one of a container's super nodes relays a call.
fn relays(lab: &TestLab, node: &str) -> bool {
    let output = run("curl", &["--silent", "--unix-socket", &socket(lab, node), "http://node/v1/status"]);
    serde_json::from_slice::<Status>(&output.stdout)
        .is_ok_and(|status| status.instances.iter().any(|instance| instance.relayed_calls > Some(0)))
}

/// One search by a client: whether the user was found online, and what it ended with otherwise.
fn search(socket: &str, user: &str) -> Result<(), String> {
    let request = serde_json::json!({ "user": user }).to_string();
    let output = run(
        "curl",
        &[
            "--silent",
            "--max-time",
            "70",
            "--unix-socket",
            socket,
            "--header",
            "content-type: application/json",
            "--data",
            &request,
            "http://node/v1/search",
        ],
    );
    let lines = text(&output.stdout);
    let last = lines.lines().last().unwrap_or_default();
    match serde_json::from_str::<SearchLine>(last).map(|line| line.event) {
        Ok(SearchEvent::Found { found, .. }) if found.online => Ok(()),
        _ => Err(lines),
    }
}

#[test]
fn with_three_of_ten_super_nodes_killed_everybody_is_found_and_a_relayed_call_goes_on() {
    let lab = TestLab::of("calk", TOPOLOGY).with(On::Embedded);
    lab.up();
    let runs = tempfile::tempdir().unwrap();
    let directory = |name: &str| runs.path().join(name).to_str().unwrap().to_owned();
    // The users go online, and stay.
    let online = run(
        LABCTL,
        &["experiment", "search", "--lab", &lab.name, "--user", "user-1", "--runs", &directory("search")],
    );
    assert!(online.status.success(), "{}{}", text(&online.stderr), text(&online.stdout));

    let call = Command::new(LABCTL)
        .args(["experiment", "call", "--lab", &lab.name, "--from", "homer", "--to", "bob", "--seconds", "30"])
        .args(["--runs", &directory("call")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let relay = loop {
        if let Some(node) = (1..=SUPER_NODES).find(|node| relays(&lab, &format!("sn-{node}"))) {
            break node;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "nobody relays the call");
        thread::sleep(Duration::from_millis(200));
    };
    // Both are in the call before it loses its relay.
    thread::sleep(Duration::from_secs(3));
    let killed: Vec<_> =
        (0..SUPER_NODES).map(|place| (relay - 1 + place * 3) % SUPER_NODES + 1).take(KILLED).collect();
    let moment = Instant::now();
    for node in &killed {
        lab.kill_node(&format!("sn-{node}"));
    }

    let searches: Vec<_> = (1..=USERS)
        .map(|user| {
            let (socket, other) =
                (socket(&lab, &format!("user-{user}")), format!("user-{}", user % USERS + 1));
            thread::spawn(move || {
                loop {
                    let found = search(&socket, &other);
                    let after = moment.elapsed();
                    match found {
                        Ok(()) => return (other, after),
                        Err(why) => {
                            assert!(after < FOUND_WITHIN, "{other} is not found after {after:?}: {why}");
                        }
                    }
                    thread::sleep(Duration::from_millis(200));
                }
            })
        })
        .collect();
    let found: Vec<_> = searches.into_iter().map(|search| search.join().unwrap()).collect();
    for (user, after) in &found {
        assert!(*after < FOUND_WITHIN, "{user} was found after {after:?} only");
    }

    let output = call.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stderr), text(&output.stdout));
    let run = std::fs::read_dir(runs.path().join("call")).unwrap().next().unwrap().unwrap().path();
    let record = std::fs::read_to_string(run.join("calls.ndjson")).unwrap();
    let record: CallRecord = serde_json::from_str(record.trim()).unwrap();
    assert_eq!(record.failure, None);
    let dead = |peer: &str| {
        killed.iter().any(|node| peer.starts_with(&format!("sn-{node}.")) || peer == format!("sn-{node}"))
    };
    for end in ["homer", "bob"] {
        let legs: Vec<_> = record.legs.iter().filter(|leg| leg.at.as_str() == end).collect();
        assert!(dead(&legs.first().unwrap().peer), "{legs:?}");
        assert!(!dead(&legs.last().unwrap().peer), "{legs:?}");
    }
    for way in &record.ways {
        assert!(way.longest_gap_ms < 20_000.0 && way.received > 400, "{way:?}");
    }
    let gaps: Vec<_> = record.ways.iter().map(|way| way.longest_gap_ms).collect();
    let _ = writeln!(
        std::io::stderr(),
        "killed {killed:?}; found after {:?}; the call's gaps: {gaps:?} ms",
        found.iter().map(|(_, after)| after.as_millis()).collect::<Vec<_>>()
    );
}
