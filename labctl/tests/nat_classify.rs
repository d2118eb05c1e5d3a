//! Every NAT is what its profile says, seen by plain sockets on both sides of it.
//!
//! Needs root, `ip`, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nat_common;

use std::net::{Ipv4Addr, SocketAddrV4};

use labctl::profile::{Catalogue, Filtering, Mapping, NatProfile};
use nat_common::{A, B, P, Q, World, firewall, nat, nat_with, tcp, udp};

/// Two hosts that use the same ports, and the verdict of plain sockets on the first and the second.
fn classify(profile: &NatProfile) {
    let behaviour = profile.behaviour.as_ref().unwrap();
    let mut world = World::new();
    let mut gateway = world.gateway(profile, &firewall("open"), 1, None);
    // Forwardings and DMZ hosts of the shipped profiles are at the first host.
    let _first = world.host(&mut gateway, 1);
    let hosts = [world.host(&mut gateway, 1), world.host(&mut gateway, 1)];
    nat_common::stay_on_one_processor();

    let servers = udp::Servers::new(&world);
    for (number, host) in hosts.iter().enumerate() {
        let name = format!("{}, udp, host {number}", profile.name);
        let client = udp::socket(&host.namespace, SocketAddrV4::new(host.address, 5000));
        assert_eq!(servers.mapping(&client), behaviour.udp.mapping, "{name}");
        let client = udp::socket(&host.namespace, SocketAddrV4::new(host.address, 5001));
        assert_eq!(servers.filtering(&client), behaviour.udp.filtering, "{name}");
    }
    let servers = tcp::Servers::new(&world);
    for (number, host) in hosts.iter().enumerate() {
        let name = format!("{}, tcp, host {number}", profile.name);
        let client = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5000));
        assert_eq!(servers.mapping(&client), behaviour.tcp.mapping, "{name}");
        let client = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5001));
        assert_eq!(servers.filtering(&client), behaviour.tcp.filtering, "{name}");
    }
}

#[test]
fn every_shipped_nat_is_what_it_says() {
    for name in Catalogue::shipped().nat_names() {
        let profile = nat(name);
        if profile.behaviour.is_some() {
            classify(&profile);
        }
    }
}

#[test]
fn every_pair_of_mapping_and_filtering_is_possible_with_every_port_allocation() {
    for mapping in ["EIM", "ADM", "APDM"] {
        for filtering in ["EIF", "ADF", "APDF"] {
            for allocation in ["preserving", "random", "sequential", "parity-preserving"] {
                let profile = nat_with(&format!(
                    "  udp: {{ mapping: {mapping}, filtering: {filtering} }}\n  allocation: {allocation}\n"
                ));
                classify(&NatProfile { name: format!("{mapping} {filtering} {allocation}"), ..profile });
            }
        }
    }
}

#[test]
fn udp_and_tcp_can_differ() {
    let profile =
        nat_with("  udp: { mapping: EIM, filtering: ADF }\n  tcp: { mapping: APDM, filtering: APDF }\n");
    let behaviour = profile.behaviour.as_ref().unwrap();
    assert_eq!(behaviour.udp.mapping, Mapping::EndpointIndependent);
    assert_eq!(behaviour.tcp.filtering, Filtering::AddressAndPortDependent);
    classify(&profile);
}

#[test]
fn unsolicited_packets_change_no_later_mapping_and_reach_nobody() {
    for name in ["restricted-cone", "port-restricted", "symmetric"] {
        let profile = nat(name);
        let mut world = World::new();
        let mut gateway = world.gateway(&profile, &firewall("open"), 1, None);
        let host = world.host(&mut gateway, 1);
        nat_common::stay_on_one_processor();
        let servers = udp::Servers::new(&world);
        let tracked = || {
            let count = ["cat", "/proc/sys/net/netfilter/nf_conntrack_count"];
            nat_common::run_in(&gateway.namespace, &count).trim().parse::<u32>().unwrap()
        };
        let before = tracked();
        // At the port that the inside host will use, and its neighbours.
        let packets = 2000;
        for number in 0..packets {
            let port = 5000 + number % 4;
            for (address, from) in [(A, P), (A, Q), (B, P)] {
                servers.get(address, from).send_to(b"?", (gateway.outside(), port)).unwrap();
            }
        }
        // On a busy machine the last of them may still be on their way.
        let sent = u64::from(packets) * 3;
        gateway.wait_until_counted("unsolicited", sent);
        assert_eq!(tracked(), before, "{name}: connection tracking remembers none of them");
        let client = udp::socket(&host.namespace, SocketAddrV4::new(host.address, 5000));
        assert_eq!(servers.mapping(&client), profile.behaviour.as_ref().unwrap().udp.mapping, "{name}");
        assert_eq!(gateway.counted("unsolicited"), sent, "{name}");
        assert_eq!(gateway.counted("received"), 0, "{name}");
        client.set_nonblocking(true).unwrap();
        assert!(client.recv(&mut [0; 8]).is_err(), "{name}: nothing came in");
    }
}

#[test]
fn unsolicited_packets_at_a_port_in_use_neither_enter_nor_change_it() {
    let profile = nat("port-restricted");
    let mut world = World::new();
    let mut gateway = world.gateway(&profile, &firewall("open"), 1, None);
    let host = world.host(&mut gateway, 1);
    nat_common::stay_on_one_processor();
    let servers = udp::Servers::new(&world);
    let client = udp::socket(&host.namespace, SocketAddrV4::new(host.address, 5000));
    let outside = servers.seen_from(&client, A, P);
    for _ in 0..500 {
        for end in [(A, Q), (B, P), (B, Q)] {
            servers.get(end.0, end.1).send_to(b"?", outside).unwrap();
        }
    }
    assert_eq!(servers.mapping(&client), Mapping::EndpointIndependent);
    gateway.wait_until_counted("filtered", 1500);
    assert_eq!(gateway.counted("filtered"), 1500);
    assert!(servers.reaches(&client, outside, (B, Q), (A, P)), "it has been sent to by now");
}

#[test]
fn a_contacted_peer_reaches_only_the_mapping_by_which_it_was_contacted() {
    for behaviour in ["mapping: ADM, filtering: ADF", "mapping: APDM, filtering: APDF"] {
        for refresh in ["both", "outbound"] {
            let name = format!("{behaviour}, refresh: {refresh}");
            let mut world = World::new();
            let profile = nat_with(&format!("  udp: {{ {name} }}\n"));
            let mut gateway = world.gateway(&profile, &firewall("open"), 1, None);
            let host = world.host(&mut gateway, 1);
            nat_common::stay_on_one_processor();
            let servers = udp::Servers::new(&world);
            let client = udp::socket(&host.namespace, SocketAddrV4::new(host.address, 5000));
            let to_a = servers.seen_from(&client, A, P);
            let to_b = servers.seen_from(&client, B, Q);
            assert!(!servers.reaches(&client, to_a, (B, Q), (A, P)), "{name}");
            assert!(!servers.reaches(&client, to_b, (A, P), (B, Q)), "{name}");
        }
    }
}

#[test]
fn a_gateway_answers_ping_from_inside_and_nothing_from_outside() {
    let mut world = World::new();
    let mut gateway = world.gateway(&nat("full-cone"), &firewall("open"), 1, None);
    let host = world.host(&mut gateway, 1);
    nat_common::run_in(&host.namespace, &["ping", "-c1", "-W20", "10.1.0.1"]);
    nat_common::run_in(&host.namespace, &["ping", "-c1", "-W20", "198.18.0.2"]);
    // Each of three packets from outside is counted as dropped, and no answer has left.
    let outside = gateway.outside();
    let servers = udp::Servers::new(&world);
    servers.get(A, P).send_to(b"?", (outside, 9)).unwrap();
    let ping = std::process::Command::new("ip")
        .args(["netns", "exec", &world.servers(), "ping", "-c2", "-i0.2", "-W1", &outside.to_string()])
        .output()
        .unwrap();
    assert!(!ping.status.success());
    gateway.wait_until_counted("unsolicited", 3);
    assert_eq!(gateway.counted("unsolicited"), 3);
}

#[test]
fn without_nat_an_inside_host_is_seen_as_it_is() {
    let mut world = World::new();
    let mut gateway = world.gateway(&nat("none"), &firewall("open"), 1, None);
    let host = world.host(&mut gateway, 1);
    nat_common::stay_on_one_processor();
    let servers = udp::Servers::new(&world);
    let end = SocketAddrV4::new(host.address, 5000);
    let client = udp::socket(&host.namespace, end);
    assert_eq!(servers.seen_from(&client, A, P), end);
    assert_eq!(servers.filtering(&client), Filtering::EndpointIndependent);
    assert_ne!(host.address, Ipv4Addr::UNSPECIFIED);
}
