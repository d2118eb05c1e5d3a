//! Every firewall lets through what it says, alone and with a NAT in front of it.
//!
//! Needs root, `ip`, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nat_common;

use std::net::SocketAddrV4;
use std::process::Command;

use nat_common::{A, B, Gateway, Host, P, Q, World, firewall, nat, run_in, tcp, udp};

/// What passes a firewall.
#[expect(clippy::struct_excessive_bools, reason = "a row of a table of yes and no")]
#[derive(Debug, PartialEq)]
struct Passes {
    /// UDP from inside, and its answer.
    udp_out: bool,
    /// UDP from an address and port that has not been sent to.
    udp_in: bool,
    /// TCP from inside to a port that is not the web's.
    tcp_out: bool,
    /// TCP from inside to port 80.
    web_out: bool,
    /// TCP from outside to a port that is not the web's.
    tcp_in: bool,
    /// TCP from outside to port 443.
    web_in: bool,
    /// Ping from inside to a server.
    ping_out: bool,
    /// Ping from inside to the gateway.
    ping_gateway: bool,
}

/// In the order of the fields of [`Passes`]; without a NAT, so that everything from outside has a way.
const FIREWALLS: &[(&str, [bool; 8])] = &[
    ("open", [true, true, true, true, true, true, true, true]),
    ("block-inbound", [true, false, true, true, false, false, true, true]),
    ("symmetric-udp", [true, false, true, true, true, true, true, true]),
    ("udp-restricted", [false, false, true, true, false, false, true, true]),
    ("web-only", [false, false, false, true, false, false, false, true]),
    ("dmz", [false, false, false, false, false, true, false, true]),
    ("strict", [false, false, false, true, false, false, false, false]),
];

fn passes([udp_out, udp_in, tcp_out, web_out, tcp_in, web_in, ping_out, ping_gateway]: [bool; 8]) -> Passes {
    Passes { udp_out, udp_in, tcp_out, web_out, tcp_in, web_in, ping_out, ping_gateway }
}

fn ping(namespace: &str, address: &str) -> bool {
    // One packet is enough: nothing is lost but what is dropped. An answer needs a fraction of a millisecond.
    let output =
        Command::new("ip").args(["netns", "exec", namespace, "ping", "-c1", "-W15", address]).output();
    output.unwrap().status.success()
}

/// Sends until the other side has something or the gateway has dropped it: one of the two happens.
fn arrives(gateway: &Gateway, send: impl FnOnce(), arrived: impl Fn() -> bool) -> bool {
    let before = dropped(gateway);
    send();
    loop {
        if arrived() {
            return true;
        }
        if dropped(gateway) > before {
            // Nothing is dropped after it was delivered.
            return arrived();
        }
    }
}

/// Packets that rules and policies of FORWARD have dropped.
fn dropped(gateway: &Gateway) -> u64 {
    let list = run_in(&gateway.namespace, &["iptables-save", "-c", "-t", "filter"]);
    let mut sum = 0;
    for line in list.lines() {
        let count =
            |text: &str| text.split(':').next().and_then(|packets| packets.parse::<u64>().ok()).unwrap();
        if let Some(policy) = line.strip_prefix(":FORWARD DROP [") {
            sum += count(policy);
        } else if line.ends_with("-j DROP") && line.contains("-A FORWARD") {
            sum += count(line.trim_start_matches('['));
        }
    }
    sum
}

fn send(socket: &std::net::UdpSocket, to: SocketAddrV4) {
    socket.send_to(b"?", to).unwrap();
}

fn received(socket: &std::net::UdpSocket) -> bool {
    socket.set_nonblocking(true).unwrap();
    let received = socket.recv(&mut [0; 64]).is_ok();
    socket.set_nonblocking(false).unwrap();
    received
}

fn seen(world: &World, gateway: &Gateway, host: &Host) -> Passes {
    nat_common::stay_on_one_processor();
    let servers = udp::Servers::new(world);
    let end = SocketAddrV4::new(host.address, 5000);
    let client = udp::socket(&host.namespace, end);
    let server = servers.get(A, P);
    let out = arrives(gateway, || send(&client, SocketAddrV4::new(A, P)), || received(server));
    let back = out && arrives(gateway, || send(server, end), || received(&client));
    let stranger = servers.get(B, Q);
    let udp_in = arrives(gateway, || send(stranger, end), || received(&client));

    let lan = SocketAddrV4::new(host.address, 0);
    let connects = |from: &str, source: SocketAddrV4, to_namespace: &str, to: SocketAddrV4| {
        let listener = tcp::listen(to_namespace, to);
        listener.set_nonblocking(true).unwrap();
        let mut call = None;
        let arrives =
            arrives(gateway, || call = Some(tcp::begin(from, source, to)), || listener.accept().is_ok());
        drop(call);
        arrives
    };
    let servers_namespace = world.servers();
    let outwards = |port| connects(&host.namespace, lan, &servers_namespace, SocketAddrV4::new(A, port));
    let inwards = |port| {
        let to = SocketAddrV4::new(host.address, port);
        connects(&servers_namespace, SocketAddrV4::new(A, 0), &host.namespace, to)
    };
    Passes {
        udp_out: out && back,
        udp_in,
        tcp_out: outwards(7000),
        web_out: outwards(80),
        tcp_in: inwards(7000),
        web_in: inwards(443),
        ping_out: ping(&host.namespace, &A.to_string()),
        ping_gateway: ping(&host.namespace, "10.1.0.1"),
    }
}

#[test]
fn every_shipped_firewall_lets_through_what_it_says() {
    for (name, expected) in FIREWALLS {
        let mut world = World::new();
        let mut gateway = world.gateway(&nat("none"), &firewall(name), 1, None);
        let host = world.host(&mut gateway, 1);
        assert_eq!(seen(&world, &gateway, &host), passes(*expected), "{name}");
    }
}

#[test]
fn every_shipped_firewall_is_in_the_table() {
    let catalogue = labctl::profile::Catalogue::shipped();
    let mut names: Vec<_> = FIREWALLS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(catalogue.firewall_names().collect::<Vec<_>>(), names);
}

#[test]
fn behind_a_nat_and_a_udp_restricted_firewall_no_udp_packet_leaves() {
    let mut world = World::new();
    let mut gateway = world.gateway(&nat("port-restricted"), &firewall("udp-restricted"), 1, None);
    let host = world.host(&mut gateway, 1);
    let servers = udp::Servers::new(&world);
    let client = udp::socket(&host.namespace, SocketAddrV4::new(host.address, 5000));
    for end in servers.ends() {
        for _ in 0..100 {
            client.send_to(b"?", end).unwrap();
        }
    }
    while dropped(&gateway) < 400 {}
    assert_eq!(gateway.counted("sent"), 0);
    let servers = tcp::Servers::new(&world);
    let client = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5000));
    let (_near, _far, outside) = servers.seen_from(&client, B, Q);
    assert_eq!(*outside.ip(), gateway.outside());
}

#[test]
fn both_tables_stand_beside_each_other_and_can_be_given_again() {
    let mut world = World::new();
    let gateway = world.gateway(&nat("symmetric"), &firewall("strict"), 1, None);
    gateway.apply(&nat("full-cone"), &firewall("block-inbound"));
    let tables = run_in(&gateway.namespace, &["nft", "list", "tables"]);
    let mut tables: Vec<_> = tables.lines().collect();
    tables.sort_unstable();
    assert_eq!(tables, ["table ip filter", "table ip labctl"]);
    let rules = run_in(&gateway.namespace, &["iptables-save", "-t", "filter"]);
    assert!(rules.contains(":FORWARD DROP") && rules.contains(":INPUT ACCEPT"), "{rules}");
}
