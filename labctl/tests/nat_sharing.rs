//! Inside hosts share outside addresses and ports without getting into each other's way.
//!
//! Needs root, `ip`, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nat_common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Barrier;
use std::thread;

use nat_common::{A, B, Gateway, Host, P, Q, World, firewall, nat, nat_with, udp};

/// A gateway with this behaviour and a host with so many addresses behind it.
fn site(behaviour: &str, outside: u8, hosts: u32) -> (World, Gateway, Host) {
    let mut world = World::new();
    let mut gateway = world.gateway(&nat_with(behaviour), &firewall("open"), outside, None);
    let host = world.host(&mut gateway, hosts);
    (world, gateway, host)
}

fn address(host: &Host, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(host.address) + number)
}

fn client(host: &Host, number: u32, port: u16) -> UdpSocket {
    udp::socket(&host.namespace, SocketAddrV4::new(address(host, number), port))
}

/// 200 inside hosts that use the same ports send to 50 destinations, from two processors at once.
fn crowd(behaviour: &str) {
    const HOSTS: u32 = 200;
    const PORTS: [u16; 2] = [5000, 5001];
    let (world, gateway, host) = site(behaviour, 1, HOSTS);
    let destinations: Vec<_> = (2..52).map(|number| Ipv4Addr::new(198, 18, 0, number)).collect();
    let servers = udp::Servers::at(&world, &destinations, &[P]);

    let mut outside = HashMap::new();
    for port in PORTS {
        let clients: Vec<_> = (0..HOSTS).map(|number| client(&host, number, port)).collect();
        let (first, second) = clients.split_at(clients.len() / 2);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for half in [first, second] {
                let (start, destinations) = (&start, &destinations);
                scope.spawn(move || {
                    start.wait();
                    for destination in destinations {
                        for socket in half {
                            let from = socket.local_addr().unwrap().to_string();
                            socket.send_to(from.as_bytes(), (*destination, P)).unwrap();
                        }
                    }
                });
            }
        });
        for end in servers.ends() {
            let mut heard = BTreeSet::new();
            for _ in 0..HOSTS {
                let (inside, from) = udp::receive(servers.get(*end.ip(), P));
                let inside = String::from_utf8(inside).unwrap();
                assert_eq!(*from.ip(), gateway.outside());
                let known = outside.insert(inside.clone(), from);
                assert!(known.is_none_or(|known| known == from), "{inside} has {known:?} and {from}");
                assert!(heard.insert(inside), "heard twice at {end}");
            }
        }
        // Each one is reached at its outside endpoint.
        for socket in &clients {
            let inside = socket.local_addr().unwrap().to_string();
            servers.get(A, P).send_to(inside.as_bytes(), outside[&inside]).unwrap();
            assert_eq!(udp::receive(socket).0, inside.as_bytes());
        }
    }
    let distinct: BTreeSet<_> = outside.values().collect();
    assert_eq!(outside.len(), HOSTS as usize * PORTS.len(), "every inside endpoint was heard");
    assert_eq!(distinct.len(), outside.len(), "no two share an outside endpoint");
    assert_eq!(gateway.counted("no_port"), 0);
}

#[test]
fn two_hundred_hosts_with_the_same_ports_keep_one_outside_port_each() {
    crowd("  udp: { mapping: EIM, filtering: APDF }\n  allocation: preserving\n");
}

#[test]
fn two_hundred_hosts_get_random_ports_without_sharing_one() {
    crowd("  udp: { mapping: EIM, filtering: EIF }\n  allocation: random\n  ports: 20000-20499\n");
}

#[test]
fn a_preserved_port_is_kept_and_the_second_host_gets_another() {
    let (world, _gateway, host) = site("  udp: { mapping: EIM, filtering: EIF }\n", 1, 2);
    let servers = udp::Servers::new(&world);
    assert_eq!(servers.seen_from(&client(&host, 0, 5000), A, P).port(), 5000);
    assert_ne!(servers.seen_from(&client(&host, 1, 5000), A, P).port(), 5000);
    // A port outside of the range is not kept.
    assert!(servers.seen_from(&client(&host, 0, 500), A, P).port() >= 1024);
}

#[test]
fn sequential_ports_follow_each_other_and_skip_those_in_use() {
    let behaviour = "  udp: { mapping: APDM, filtering: APDF }\n  allocation: sequential\n  ports: 4000-4009\n  \
                     forwards: [ { protocol: udp, outside: 4004, to: 200 } ]\n";
    let (world, _gateway, host) = site(behaviour, 1, 1);
    let servers = udp::Servers::new(&world);
    let first = client(&host, 0, 5000);
    let second = client(&host, 0, 6000);
    let mut ports = Vec::new();
    for socket in [first, second] {
        for (address, port) in [(A, P), (A, Q), (B, P), (B, Q)] {
            ports.push(servers.seen_from(&socket, address, port).port());
        }
    }
    let start = ports[0];
    let round = (0..10).map(|step| 4000 + (start - 4000 + step) % 10).filter(|port| *port != 4004);
    assert_eq!(ports, round.take(8).collect::<Vec<_>>());
}

#[test]
fn parity_is_kept() {
    let (world, _gateway, host) =
        site("  udp: { mapping: EIM, filtering: EIF }\n  allocation: parity-preserving\n", 1, 1);
    let servers = udp::Servers::new(&world);
    for port in 7000..7040 {
        let outside = servers.seen_from(&client(&host, 0, port), A, P).port();
        assert_eq!(outside % 2, port % 2);
    }
}

#[test]
fn the_last_port_of_a_range_is_found_and_then_there_is_none() {
    for allocation in ["preserving", "random", "sequential"] {
        let behaviour = format!(
            "  udp: {{ mapping: EIM, filtering: EIF }}\n  allocation: {allocation}\n  ports: 3000-3049\n"
        );
        let (world, gateway, host) = site(&behaviour, 1, 51);
        let servers = udp::Servers::new(&world);
        let ports: BTreeSet<_> =
            (0..50).map(|number| servers.seen_from(&client(&host, number, 3007), A, P).port()).collect();
        assert_eq!(ports, (3000..3050).collect(), "{allocation}");
        assert_eq!(gateway.counted("no_port"), 0, "{allocation}");
        client(&host, 50, 3007).send_to(b"?", (A, P)).unwrap();
        gateway.wait_until_counted("no_port", 1);
        servers.get(A, P).set_nonblocking(true).unwrap();
        assert!(servers.get(A, P).recv(&mut [0; 8]).is_err(), "{allocation}: it has left without a mapping");
    }
}

#[test]
fn paired_pooling_gives_a_host_one_outside_address_and_arbitrary_pooling_several() {
    for (pooling, several) in [("paired", false), ("arbitrary", true)] {
        let behaviour = format!(
            "  udp: {{ mapping: EIM, filtering: EIF }}\n  allocation: random\n  pooling: {pooling}\n"
        );
        let (world, gateway, host) = site(&behaviour, 4, 40);
        let servers = udp::Servers::new(&world);
        let mut pools: BTreeMap<u32, BTreeSet<Ipv4Addr>> = BTreeMap::new();
        for number in 0..40 {
            for port in 5000..5004 {
                let outside = servers.seen_from(&client(&host, number, port), A, P);
                assert!(gateway.context.outside.contains(outside.ip()));
                pools.entry(number).or_default().insert(*outside.ip());
            }
        }
        assert_eq!(pools.values().any(|addresses| addresses.len() > 1), several, "{pooling}");
        let used: BTreeSet<_> = pools.values().flatten().collect();
        assert_eq!(used.len(), 4, "{pooling}: all four are used");
    }
}

#[test]
fn an_outside_port_of_one_address_is_free_at_another() {
    let behaviour = "  udp: { mapping: EIM, filtering: EIF }\n  allocation: random\n  ports: 3000-3003\n  pooling: arbitrary\n";
    let (world, _gateway, host) = site(behaviour, 2, 8);
    let servers = udp::Servers::new(&world);
    let outside: BTreeSet<_> =
        (0..8).map(|number| servers.seen_from(&client(&host, number, 9), A, P)).collect();
    assert_eq!(outside.len(), 8);
}

#[test]
fn a_profile_that_is_applied_again_forgets_its_mappings_like_a_router_that_was_restarted() {
    let mut world = World::new();
    let profile = nat("symmetric");
    let mut gateway = world.gateway(&profile, &firewall("open"), 1, None);
    let host = world.host(&mut gateway, 1);
    let servers = udp::Servers::new(&world);
    servers.seen_from(&client(&host, 0, 5000), A, P);
    gateway.apply(&profile, &firewall("open"));
    let list = nat_common::run_in(&gateway.namespace, &["nft", "list", "map", "ip", "labctl", "udp_outside"]);
    assert!(!list.contains("elements"), "{list}");
}
