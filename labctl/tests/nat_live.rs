//! The NAT of a gateway of a lab that runs: what it shows of itself, changing it, and restarting it.
//!
//! Needs root, Docker, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use lab_common::{TestLab, labctl, text};
use labctl::net::NetNs;
use serde_json::Value;

/// How long a packet that must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A socket in the namespace of a node.
fn socket(lab: &TestLab, node: &str, port: u16) -> UdpSocket {
    let namespace = NetNs::open(&format!("lab-{}-{node}", lab.name)).unwrap();
    let socket = namespace.run(|| UdpSocket::bind(("0.0.0.0", port))).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// An address of a node, by `labctl ps`.
fn address(lab: &TestLab, node: &str) -> String {
    let listed = lab.listed();
    let members = listed["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["name"] == node).unwrap();
    member["addresses"][0].as_str().unwrap().to_owned()
}

/// `labctl nat VERB ARGUMENTS... --lab LAB`, which must work.
fn nat(lab: &TestLab, arguments: &[&str]) -> String {
    let output = labctl(&[&["nat"], arguments, &["--lab", &lab.name]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(lab: &TestLab, verb: &str) -> Value {
    serde_json::from_str(&nat(lab, &[verb, "home-1", "--json"])).unwrap()
}

/// The mappings of the inside host's port 5000.
fn mappings(lab: &TestLab) -> Vec<Value> {
    let inside = format!("{}:5000", address(lab, "user-1"));
    let listed = json(lab, "mappings");
    listed["mappings"].as_array().unwrap().iter().filter(|row| row["inside"] == *inside).cloned().collect()
}

fn counted(lab: &TestLab, name: &str) -> u64 {
    let listed = json(lab, "counters");
    let counters = listed["counters"].as_array().unwrap();
    let counter = counters.iter().find(|counter| counter["name"] == name);
    counter.unwrap_or_else(|| panic!("no counter {name} in {listed}"))["packets"].as_u64().unwrap()
}

/// Sends from the client to the servers and returns the outside ends that they saw.
fn seen(client: &UdpSocket, servers: &[(UdpSocket, SocketAddrV4)]) -> Vec<SocketAddr> {
    let mut from = Vec::new();
    for (server, end) in servers {
        client.send_to(b"?", end).unwrap();
        from.push(server.recv_from(&mut [0; 16]).unwrap().1);
    }
    from
}

#[test]
fn a_gateway_shows_its_mappings_and_counters_takes_another_nat_and_forgets_on_a_flush() {
    let lab = TestLab::new();
    lab.up();
    let servers: Vec<_> = [("sn-1", 7001), ("sn-2", 7002)]
        .map(|(node, port)| {
            let end = SocketAddrV4::new(address(&lab, node).parse().unwrap(), port);
            (socket(&lab, node, port), end)
        })
        .into();
    let client = socket(&lab, "user-1", 5000);

    // What it shows is what the servers see.
    let from = seen(&client, &servers);
    let rows = mappings(&lab);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["protocol"], "udp");
    assert_eq!(rows[0]["outside"], from[0].to_string());
    let peers: Vec<_> =
        rows[0]["peers"].as_array().unwrap().iter().map(|peer| peer["port"].clone()).collect();
    assert_eq!(peers, [7001, 7002]);
    assert!(rows[0]["age_s"].is_u64() && rows[0]["left_s"].as_u64().unwrap() > 0, "{rows:?}");
    let table = nat(&lab, &["mappings", "home-1"]);
    assert!(table.contains(&from[0].to_string()), "{table}");

    // A stranger is filtered, and counted.
    let filtered = counted(&lab, "filtered");
    let stranger = socket(&lab, "sn-3", 7003);
    stranger.send_to(b"!", from[0]).unwrap();
    lab_common::wait_until(|| counted(&lab, "filtered") == filtered + 1, || "not counted".to_owned());

    // It counts every packet, whichever way it has taken.
    let (sent, received) = (counted(&lab, "sent"), counted(&lab, "received"));
    for _ in 0..200 {
        client.send_to(b"?", servers[0].1).unwrap();
        let (_, end) = servers[0].0.recv_from(&mut [0; 16]).unwrap();
        servers[0].0.send_to(b"!", end).unwrap();
        client.recv_from(&mut [0; 16]).unwrap();
    }
    assert_eq!((counted(&lab, "sent"), counted(&lab, "received")), (sent + 200, received + 200));

    // A flush is a reboot: the mapping is gone, and so are the flows that would bring it back.
    nat(&lab, &["flush", "home-1"]);
    assert_eq!(mappings(&lab), Vec::<Value>::new());
    let unsolicited = counted(&lab, "unsolicited");
    servers[0].0.send_to(b"!", from[0]).unwrap();
    lab_common::wait_until(|| counted(&lab, "unsolicited") > unsolicited, || "not dropped".to_owned());
    assert_eq!(mappings(&lab), Vec::<Value>::new());

    // Another NAT and another firewall, while it runs.
    nat(&lab, &["set", "home-1", "symmetric", "--firewall", "block-inbound"]);
    let from = seen(&client, &servers);
    assert_ne!(from[0], from[1], "a symmetric NAT");
    let rows = mappings(&lab);
    assert_eq!(rows.len(), 2);
    for (seen, (_, server)) in from.iter().zip(&servers) {
        let row = rows.iter().find(|row| row["outside"] == seen.to_string()).unwrap();
        assert_eq!(row["peers"].as_array().unwrap().len(), 1, "{row}");
        assert_eq!(row["peers"][0]["port"], server.port());
    }
    assert_eq!(json(&lab, "counters")["firewall"], "block-inbound");
    assert_eq!(lab.listed()["condition"], "running");
    let plan = std::fs::read_to_string(format!("/run/labctl/{}/plan.json", lab.name)).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(
        (&plan["gateways"][0]["nat"], &plan["gateways"][1]["nat"]),
        (&"symmetric".into(), &"port-restricted".into())
    );

    // UDP is blocked by a firewall alone; the NAT stays. Then everything passes again.
    nat(&lab, &["set", "home-1", "--firewall", "udp-restricted"]);
    client.send_to(b"?", servers[0].1).unwrap();
    let dropped = || {
        let listed = json(&lab, "counters");
        let counters = listed["counters"].as_array().unwrap().clone();
        let ours = |counter: &&Value| counter["table"] == "firewall" && counter["verdict"] == "dropped";
        counters.iter().filter(ours).map(|counter| counter["packets"].as_u64().unwrap()).sum::<u64>()
    };
    lab_common::wait_until(|| dropped() > 0, || "the firewall counts nothing".to_owned());
    nat(&lab, &["set", "home-1", "--firewall", "open"]);
    let from = seen(&client, &servers);
    assert_ne!(from[0], from[1], "still a symmetric NAT");

    // Mistakes change nothing and say what would be right.
    for (arguments, hint) in [
        (["set", "home-1", "symetric"], "did you mean 'symmetric'?"),
        (["set", "home1", "symmetric"], "did you mean 'home-1'?"),
        (["set", "home-1", "none"], "private addresses"),
        (["set", "home-1", "--firewall=opne"], "did you mean 'open'?"),
        (["flush", "user-1", "--lab"], "has no gateway 'user-1'"),
    ] {
        let arguments: Vec<_> = arguments.into_iter().filter(|argument| *argument != "--lab").collect();
        let output = labctl(&[&["nat"], &arguments[..], &["--lab", &lab.name]].concat());
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text(&output.stderr).contains(hint), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(json(&lab, "mappings")["nat"], "symmetric");
}
