//! Packets of flows under way take a shorter way through a gateway, and nobody can tell.
//!
//! Needs root, `ip`, `tc`, `nft`, `iptables`, and a kernel with eBPF.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nat_common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use labctl::net::{NetNs, conntrack, fast_path, offload};
use nat_common::{A, B, Gateway, Host, P, Q, World, firewall, nat, nat_with, raw, tcp, udp, wait_for};
use socket2::SockRef;

fn site(behaviour: &str, hosts: u32) -> (World, Gateway, Host) {
    assert_eq!(fast_path::availability(), fast_path::Availability::Whole, "the kernel has what it needs");
    let mut world = World::new();
    let mut gateway = world.gateway(&nat_with(behaviour), &firewall("open"), 1, None);
    let host = world.host(&mut gateway, hosts);
    nat_common::stay_on_one_processor();
    (world, gateway, host)
}

fn client(host: &Host, number: u32, port: u16) -> UdpSocket {
    let address = (host.address.to_bits() + number).into();
    udp::socket(&host.namespace, SocketAddrV4::new(address, port))
}

/// Lets both ends send so often, one after another; each packet arrives as it was sent.
fn converse(client: &UdpSocket, servers: &udp::Servers, times: u32) -> SocketAddrV4 {
    let outside = servers.seen_from(client, A, P);
    for number in 0..times {
        let text = format!("packet {number} {}", "x".repeat(number as usize % 50));
        client.send_to(text.as_bytes(), (A, P)).unwrap();
        assert_eq!(udp::receive(servers.get(A, P)), (text.clone().into_bytes(), outside));
        servers.get(A, P).send_to(text.as_bytes(), outside).unwrap();
        assert_eq!(udp::receive(client).0, text.as_bytes());
    }
    outside
}

/// Checksums are computed by the senders and looked at by the receivers, as on a wire.
fn without_offloads(world: &World, gateway: &Gateway, host: &Host, hosts: u32) {
    let port = &format!("h{hosts}");
    for (namespace, interface) in [
        (&world.servers(), "eth0"),
        (&world.wan(), "srv"),
        (&world.wan(), "eth1"),
        (&gateway.namespace, "wan"),
        (&gateway.namespace, port),
        (&host.namespace, "eth0"),
    ] {
        NetNs::open(namespace).unwrap().run(|| offload::turn_off(interface)).unwrap().unwrap();
    }
}

/// What the kernel of a namespace has found wrong, from `/proc/net/snmp`.
fn mistakes(namespace: &str) -> u64 {
    let text = nat_common::run_in(namespace, &["cat", "/proc/net/snmp"]);
    let lines: Vec<_> = text.lines().collect();
    let of = |pair: &[&str]| {
        let names = pair[0].split_whitespace();
        let wrong = |name: &str| matches!(name, "InCsumErrors" | "InHdrErrors");
        names
            .zip(pair[1].split_whitespace())
            .filter(|(name, _)| wrong(name))
            .map(|(_, n)| n.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    lines.chunks(2).map(of).sum()
}

#[test]
fn addresses_ports_and_checksums_are_right_and_every_packet_is_counted_once() {
    for offloads in [true, false] {
        let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: APDF }\n", 1);
        if !offloads {
            without_offloads(&world, &gateway, &host, 1);
        }
        let servers = udp::Servers::new(&world);
        converse(&client(&host, 0, 5000), &servers, 300);
        let passed = gateway.passed().unwrap();
        assert!(passed.sent.packets > 0 && passed.received.packets > 0, "{passed:?}");
        assert_eq!((gateway.counted("sent"), gateway.counted("received")), (301, 300));
        for namespace in [&world.servers(), &world.wan(), &host.namespace] {
            assert_eq!(mistakes(namespace), 0, "{namespace}, offloads: {offloads}");
        }
        assert_eq!(gateway.counted("unsolicited") + gateway.counted("invalid"), 0);
    }
}

#[test]
fn ports_that_are_not_kept_are_translated_too_and_hosts_are_not_mixed_up() {
    let behaviour = "  udp: { mapping: EIM, filtering: EIF }\n  allocation: random\n";
    let (world, gateway, host) = site(behaviour, 3);
    without_offloads(&world, &gateway, &host, 3);
    let servers = udp::Servers::new(&world);
    let clients: Vec<_> = (0..3).map(|number| client(&host, number, 5000)).collect();
    let outside: Vec<_> = clients.iter().map(|client| converse(client, &servers, 1)).collect();
    for round in 0..100 {
        for (client, outside) in clients.iter().zip(&outside) {
            let text = format!("{outside} {round}");
            servers.get(A, P).send_to(text.as_bytes(), outside).unwrap();
            assert_eq!(udp::receive(client).0, text.as_bytes());
            client.send_to(text.as_bytes(), (A, P)).unwrap();
            assert_eq!(udp::receive(servers.get(A, P)), (text.into_bytes(), *outside));
        }
    }
    let passed = gateway.passed().unwrap();
    assert!(passed.sent.packets > 0 && passed.received.packets > 0, "{passed:?}");
    assert_eq!(mistakes(&world.servers()) + mistakes(&host.namespace), 0);
}

#[test]
fn a_datagram_without_a_checksum_has_none_afterwards() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: EIF }\n  allocation: random\n", 1);
    let servers = udp::Servers::new(&world);
    let _port = client(&host, 0, 5000);
    let from = SocketAddrV4::new(host.address, 5000);
    let to = SocketAddrV4::new(A, P);
    for number in 0..200_u16 {
        let datagram = raw::udp(from, to, &number.to_be_bytes(), false);
        raw::send(&host.namespace, A, &[raw::packet(host.address, A, number, 0, false, &datagram)]);
        assert_eq!(udp::receive(servers.get(A, P)).0, number.to_be_bytes());
    }
    assert!(gateway.passed().unwrap().sent.packets > 0);
    assert_eq!(mistakes(&world.servers()), 0);
}

#[test]
fn each_packet_loses_one_hop_and_the_last_hop_is_told_of() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: APDF }\n", 1);
    let servers = udp::Servers::new(&world);
    let client = client(&host, 0, 5000);
    let before = |gateway: &Gateway| gateway.passed().unwrap().sent.packets;
    loop {
        converse(&client, &servers, 20);
        let fast = before(&gateway);
        // The gateway and the WAN forward: the first of the two has its last hop in the WAN.
        client.set_ttl(2).unwrap();
        client.send_to(b"two", (A, P)).unwrap();
        client.set_ttl(3).unwrap();
        // The WAN says that the packet has died; the socket is told with what it does next.
        while client.send_to(b"three", (A, P)).is_err() {}
        assert_eq!(udp::receive(servers.get(A, P)).0, b"three");
        client.set_ttl(64).unwrap();
        while servers.get(A, P).set_nonblocking(true).is_err() {}
        while servers.get(A, P).recv(&mut [0; 8]).is_ok() {}
        servers.get(A, P).set_nonblocking(false).unwrap();
        if before(&gateway) >= fast + 2 {
            break;
        }
    }
    // The gateway itself answers one that it may not send on, although it knows the flow.
    let errors = || {
        let text = nat_common::run_in(&gateway.namespace, &["cat", "/proc/net/snmp"]);
        let numbers: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("Icmp: ")).collect();
        let at = numbers[0].split_whitespace().position(|name| name == "OutTimeExcds").unwrap();
        numbers[1].split_whitespace().nth(at).unwrap().parse::<u64>().unwrap()
    };
    let told = errors();
    client.set_ttl(1).unwrap();
    let _ = client.send_to(b"one", (A, P));
    while errors() == told {}
}

#[test]
fn a_packet_that_the_next_link_is_too_small_for_is_sent_back() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: APDF }\n", 1);
    nat_common::run_in(&gateway.namespace, &["ip", "link", "set", "wan", "mtu", "1000"]);
    let servers = udp::Servers::new(&world);
    let client = client(&host, 0, 5000);
    let fragments = || {
        let text = nat_common::run_in(&host.namespace, &["cat", "/proc/net/snmp"]);
        let numbers: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("Ip: ")).collect();
        let at = numbers[0].split_whitespace().position(|name| name == "FragCreates").unwrap();
        numbers[1].split_whitespace().nth(at).unwrap().parse::<u64>().unwrap()
    };
    converse(&client, &servers, 20);
    assert!(gateway.passed().unwrap().sent.packets > 0);
    // Its sender hears what fits, and makes fragments: none arrives whole.
    while fragments() == 0 {
        let _ = client.send_to(&[1; 1200], (A, P));
    }
    assert_eq!(udp::receive(servers.get(A, P)).0.len(), 1200);
    assert_eq!(gateway.counted("fragments"), 0);
    let whole = gateway.passed().unwrap().sent.bytes;
    let _ = client.send_to(&[2; 1200], (A, P));
    assert_eq!(udp::receive(servers.get(A, P)).0.len(), 1200);
    assert_eq!(gateway.passed().unwrap().sent.bytes, whole, "the rules put fragments together");
}

#[test]
fn tcp_takes_it_too_and_both_ends_hear_each_byte() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: APDF }\n", 1);
    without_offloads(&world, &gateway, &host, 1);
    let servers = tcp::Servers::new(&world);
    let client = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5000));
    let (mut near, mut far, _) = servers.seen_from(&client, A, P);
    let data: Vec<u8> =
        (0..4_000_000_u32).map(|number| number.to_be_bytes()[3] ^ number.to_be_bytes()[2]).collect();
    // Longer than what was learned holds, so that connection tracking sees segments far from those that it knew.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        thread::scope(|scope| {
            scope.spawn(|| near.write_all(&data).unwrap());
            let mut heard = vec![0; data.len()];
            far.read_exact(&mut heard).unwrap();
            assert!(heard == data, "other bytes than those sent");
        });
        far.write_all(b"answer").unwrap();
        near.read_exact(&mut [0; 6]).unwrap();
    }
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(far.read(&mut [0; 8]).unwrap(), 0, "its end is heard of");
    let passed = gateway.passed().unwrap();
    assert!(passed.sent.packets > 0 && passed.received.packets > 0, "{passed:?}");
    assert_eq!(gateway.counted("invalid"), 0);
    assert_eq!(mistakes(&world.servers()) + mistakes(&host.namespace), 0);
}

#[test]
fn a_connection_that_was_reset_is_forgotten_like_any_that_closes() {
    let (world, gateway, host) =
        site("  udp: { mapping: EIM, filtering: APDF }\n  tcp: { established: 3h, transitory: 100s }\n", 1);
    let servers = tcp::Servers::new(&world);
    let client = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5000));
    let (mut near, mut far, _) = servers.seen_from(&client, A, P);
    let namespace = NetNs::open(&gateway.namespace).unwrap();
    let left = || {
        let flows = wait_for(conntrack::read(&namespace)).unwrap();
        flows.iter().find(|flow| flow.protocol == "tcp").unwrap().left.as_secs()
    };
    while gateway.passed().unwrap().sent.packets < 200 {
        near.write_all(&[7; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
    }
    assert!(left() > 3 * 3600 - 60, "open");
    // Connection tracking has not seen the last segments, so that it cannot place the reset.
    SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    assert!(far.read(&mut [0; 8]).is_err(), "the reset has arrived");
    assert!(left() <= 100, "{} s left", left());
    let map = nat_common::run_in(&gateway.namespace, &["nft", "list", "map", "ip", "labctl", "tcp_outside"]);
    assert!(!map.contains("expires 2h") && map.contains("expires 1m"), "{map}");
}

#[test]
fn strangers_do_not_come_in_beside_a_flow() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: APDF }\n", 1);
    let servers = udp::Servers::new(&world);
    let client = client(&host, 0, 5000);
    let outside = converse(&client, &servers, 10);
    for _ in 0..200 {
        converse(&client, &servers, 1);
        for (address, port) in [(A, Q), (B, P), (B, Q)] {
            servers.get(address, port).send_to(b"let me in", outside).unwrap();
        }
    }
    assert!(gateway.passed().unwrap().received.packets > 0);
    gateway.wait_until_counted("filtered", 600);
    assert_eq!(gateway.counted("filtered"), 600);
    client.set_nonblocking(true).unwrap();
    assert!(client.recv(&mut [0; 16]).is_err(), "nothing else came in");
}

#[test]
fn a_mapping_lives_by_the_packets_that_its_profile_says_however_many_there_are() {
    for (refresh, lives) in [("both", true), ("outbound", false)] {
        let behaviour =
            format!("  udp: {{ mapping: EIM, filtering: EIF, timeout: 3s, refresh: {refresh} }}\n");
        let (world, gateway, host) = site(&behaviour, 1);
        let servers = udp::Servers::new(&world);
        let (quiet, busy) = (client(&host, 0, 5000), client(&host, 0, 5001));
        let outside = servers.seen_from(&quiet, A, P);
        // Packets from outside all the time, and a flow beside it that has nothing to do with the mapping.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(4500) {
            servers.get(A, P).send_to(b"still there?", outside).unwrap();
            converse(&busy, &servers, 5);
        }
        let passed = gateway.passed().unwrap();
        assert!(passed.sent.packets > 0, "{refresh}: {passed:?}");
        assert_eq!(passed.received.packets > 0, lives, "{refresh}: {passed:?}");
        let unsolicited = gateway.counted("unsolicited");
        let arrived = gateway.counted("received");
        servers.get(B, Q).send_to(b"?", outside).unwrap();
        while gateway.counted("unsolicited") == unsolicited && gateway.counted("received") == arrived {}
        assert_eq!(gateway.counted("received") > arrived, lives, "{refresh}");
    }
}

#[test]
fn a_fast_flow_that_ends_leaves_a_mapping_that_ends_with_its_timeout() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: EIF, timeout: 3s }\n", 1);
    let servers = udp::Servers::new(&world);
    let outside = converse(&client(&host, 0, 5000), &servers, 500);
    let unsolicited = gateway.counted("unsolicited");
    thread::sleep(Duration::from_millis(3500));
    servers.get(A, P).send_to(b"?", outside).unwrap();
    gateway.wait_until_counted("unsolicited", unsolicited + 1);
}

#[test]
fn what_was_learned_is_forgotten_with_the_mappings() {
    let behaviour = "  udp: { mapping: EIM, filtering: EIF }\n";
    let (world, gateway, host) = site(behaviour, 1);
    let servers = udp::Servers::new(&world);
    let client = client(&host, 0, 5000);
    loop {
        let outside = converse(&client, &servers, 100);
        let learned = Instant::now();
        // As a restart does it: the rules anew, nothing tracked.
        gateway.apply(&nat_with(behaviour), &firewall("open"));
        wait_for(conntrack::flush(&NetNs::open(&gateway.namespace).unwrap())).unwrap();
        servers.get(A, P).send_to(b"?", outside).unwrap();
        while gateway.counted("unsolicited") + gateway.counted("received") == 0 {}
        assert_eq!(gateway.counted("received"), 0);
        assert_eq!(gateway.passed().unwrap(), fast_path::Passed::default());
        // Later it would have been forgotten in any case.
        if learned.elapsed() < Duration::from_millis(800) {
            break;
        }
    }
}

#[test]
fn a_firewall_sees_and_counts_every_packet() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: APDF }\n", 1);
    let servers = udp::Servers::new(&world);
    let client = client(&host, 0, 5000);
    converse(&client, &servers, 20);
    assert!(gateway.passed().unwrap().sent.packets > 0);
    assert_eq!(liberal(&gateway), "1 1");

    gateway.apply(&nat("port-restricted"), &firewall("block-inbound"));
    assert_eq!(liberal(&gateway), "0 0");
    converse(&client, &servers, 50);
    assert_eq!(gateway.passed(), None);
    assert_eq!((gateway.counted_by_rules("sent"), gateway.counted_by_rules("received")), (51, 50));
    let counted = nat_common::run_in(&gateway.namespace, &["iptables-save", "-c", "-t", "filter"]);
    let sum: u64 = counted
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once(':')?.0.parse::<u64>().ok())
        .chain(counted.lines().filter_map(|line| {
            let (_, tail) = line.strip_prefix(":FORWARD")?.split_once('[')?;
            tail.split_once(':')?.0.parse::<u64>().ok()
        }))
        .sum();
    assert_eq!(sum, 101, "{counted}");

    // And gone again.
    nat_common::run_in(&gateway.namespace, &["iptables", "-F"]);
    nat_common::run_in(&gateway.namespace, &["iptables", "-P", "FORWARD", "ACCEPT"]);
    gateway.apply(&nat("port-restricted"), &firewall("open"));
    assert_eq!(liberal(&gateway), "1 1");
    converse(&client, &servers, 50);
    assert!(gateway.passed().unwrap().sent.packets > 0);

    // A second would be too much of such a short time: TCP passes the rules, and is judged.
    gateway.apply(
        &nat_with("  udp: { mapping: EIM, filtering: APDF }\n  tcp: { established: 9s, transitory: 2s }\n"),
        &firewall("open"),
    );
    assert_eq!(liberal(&gateway), "0 0");
    assert_ne!(gateway.passed(), None);
}

/// Whether connection tracking takes segments, and resets, that follow on nothing that it has seen.
fn liberal(gateway: &Gateway) -> String {
    let setting = |name: &str| {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_tcp_{name}");
        nat_common::run_in(&gateway.namespace, &["cat", &path]).trim().to_owned()
    };
    format!("{} {}", setting("be_liberal"), setting("ignore_invalid_rst"))
}

#[test]
fn beside_somebody_elses_programs_everything_passes_the_rules() {
    let mut world = World::new();
    let gateway = world.gateway(&nat("port-restricted"), &firewall("block-inbound"), 1, None);
    let tc = |words: &[&str]| nat_common::run_in(&gateway.namespace, &[&["tc", "qdisc"], words].concat());
    let open = || {
        nat_common::run_in(&gateway.namespace, &["iptables", "-F"]);
        gateway.apply(&nat("port-restricted"), &firewall("open"));
        (gateway.passed().is_some(), liberal(&gateway))
    };
    let (without, with) = ((false, "0 0".to_owned()), (true, "1 1".to_owned()));

    tc(&["add", "dev", "wan", "clsact"]);
    assert_eq!(open(), without);
    assert!(tc(&["show", "dev", "wan"]).contains("clsact"), "theirs stays");
    assert!(!tc(&["show", "dev", "lan"]).contains("clsact"), "ours is gone");

    tc(&["del", "dev", "wan", "clsact"]);
    assert_eq!(open(), with);
    assert!(tc(&["show", "dev", "lan"]).contains("clsact"));

    // As if somebody had been stopped when only `lan` had it.
    tc(&["del", "dev", "wan", "clsact"]);
    assert_eq!(gateway.passed(), None);
    assert_eq!(open(), with);
}
