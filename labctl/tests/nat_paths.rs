//! The ways through a NAT that are not a plain packet outwards and its answer: hairpins, forwarded ports,
//! ICMP errors, fragments, and NATs in a row.
//!
//! Needs root, `ip`, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nat_common;

use std::net::{SocketAddrV4, UdpSocket};
use std::thread;

use labctl::profile::{Filtering, Mapping};
use nat_common::{A, B, Gateway, Host, P, Q, World, firewall, nat, nat_with, raw, tcp, udp};

fn site(behaviour: &str, hosts: usize) -> (World, Gateway, Vec<Host>) {
    nat_common::stay_on_one_processor();
    let mut world = World::new();
    let mut gateway = world.gateway(&nat_with(behaviour), &firewall("open"), 1, None);
    let hosts = (0..hosts).map(|_| world.host(&mut gateway, 1)).collect();
    (world, gateway, hosts)
}

fn end(host: &Host, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(host.address, port)
}

fn client(host: &Host, port: u16) -> UdpSocket {
    udp::socket(&host.namespace, end(host, port))
}

fn nothing_came(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 64]).is_err(), "a packet that must not come");
    socket.set_nonblocking(false).unwrap();
}

#[test]
fn a_hairpinned_packet_comes_from_the_senders_outside_endpoint() {
    let (world, _gateway, hosts) =
        site("  udp: { mapping: EIM, filtering: EIF }\n  hairpin: external-source\n", 2);
    let servers = udp::Servers::new(&world);
    let (alice, bob) = (client(&hosts[0], 5000), client(&hosts[1], 5000));
    let alice_outside = servers.seen_from(&alice, A, P);
    // Bob's first packet ever goes to Alice: his mapping is made by it.
    bob.send_to(b"hello", alice_outside).unwrap();
    let (packet, bob_outside) = udp::receive(&alice);
    assert_eq!(packet, b"hello");
    assert_eq!(servers.seen_from(&bob, A, P), bob_outside);
    alice.send_to(b"hello yourself", bob_outside).unwrap();
    assert_eq!(udp::receive(&bob), (b"hello yourself".to_vec(), alice_outside));
}

#[test]
fn a_hairpinned_packet_can_come_from_the_senders_inside_endpoint() {
    let (world, _gateway, hosts) =
        site("  udp: { mapping: EIM, filtering: EIF }\n  hairpin: internal-source\n", 2);
    let servers = udp::Servers::new(&world);
    let (alice, bob) = (client(&hosts[0], 5000), client(&hosts[1], 5001));
    let alice_outside = servers.seen_from(&alice, A, P);
    bob.send_to(b"hello", alice_outside).unwrap();
    assert_eq!(udp::receive(&alice), (b"hello".to_vec(), end(&hosts[1], 5001)));
    // The answer takes the straight way, and comes from where Bob has not sent to.
    alice.send_to(b"hello yourself", end(&hosts[1], 5001)).unwrap();
    assert_eq!(udp::receive(&bob), (b"hello yourself".to_vec(), end(&hosts[0], 5000)));
}

#[test]
fn without_hairpinning_inside_hosts_do_not_meet_at_outside_endpoints() {
    let (world, gateway, hosts) = site("  udp: { mapping: EIM, filtering: EIF }\n  hairpin: off\n", 2);
    let servers = udp::Servers::new(&world);
    let (alice, bob) = (client(&hosts[0], 5000), client(&hosts[1], 5000));
    let outside = servers.seen_from(&alice, A, P);
    bob.send_to(b"hello", outside).unwrap();
    gateway.wait_until_counted("unsolicited", 1);
    nothing_came(&alice);
}

#[test]
fn hairpinned_packets_meet_the_receivers_filtering() {
    for hairpin in ["external-source", "internal-source"] {
        for filtering in ["ADF", "APDF"] {
            let (world, gateway, hosts) = site(
                &format!("  udp: {{ mapping: EIM, filtering: {filtering} }}\n  hairpin: {hairpin}\n"),
                2,
            );
            let servers = udp::Servers::new(&world);
            let (alice, bob) = (client(&hosts[0], 5000), client(&hosts[1], 5000));
            let alice_outside = servers.seen_from(&alice, A, P);
            let bob_outside = servers.seen_from(&bob, A, P);
            bob.send_to(b"first", alice_outside).unwrap();
            gateway.wait_until_counted("filtered", 1);
            nothing_came(&alice);
            // Alice's packet opens the way for Bob's, which has opened hers.
            alice.send_to(b"second", bob_outside).unwrap();
            assert_eq!(udp::receive(&bob).0, b"second", "{hairpin} {filtering}");
            bob.send_to(b"third", alice_outside).unwrap();
            assert_eq!(udp::receive(&alice).0, b"third", "{hairpin} {filtering}");
        }
    }
}

#[test]
fn tcp_is_hairpinned_too() {
    let (world, gateway, hosts) =
        site("  udp: { mapping: EIM, filtering: EIF }\n  hairpin: external-source\n", 2);
    let servers = tcp::Servers::new(&world);
    let alice = tcp::Client::new(&hosts[0].namespace, end(&hosts[0], 5000));
    let bob = tcp::Client::new(&hosts[1].namespace, end(&hosts[1], 6000));
    let (_near, _far, outside) = servers.seen_from(&alice, A, P);
    let _call = bob.connect(outside);
    let (_stream, from) = alice.accept();
    assert_eq!(from.ip(), gateway.outside());
}

#[test]
fn forwarded_ports_lead_inside_and_stay_when_idle_or_used() {
    let (world, gateway, hosts) = site(
        "  udp: { mapping: EIM, filtering: APDF, timeout: 1s }\n  hairpin: external-source\n  \
         forwards: [ { protocol: both, outside: 8080-8081, to: 2, port: 80 } ]\n",
        2,
    );
    let servers = udp::Servers::new(&world);
    let web = client(&hosts[0], 81);
    let outside = SocketAddrV4::new(gateway.outside(), 8081);
    for round in 0..2 {
        servers.get(B, Q).send_to(b"get", outside).unwrap();
        let (packet, from) = udp::receive(&web);
        assert_eq!((packet.as_slice(), from), (b"get".as_slice(), SocketAddrV4::new(B, Q)), "round {round}");
        web.send_to(b"page", from).unwrap();
        assert_eq!(udp::receive(servers.get(B, Q)), (b"page".to_vec(), outside));
        // Longer than a mapping would live.
        thread::sleep(std::time::Duration::from_millis(1500));
    }
    // The host's own packets leave from the port that leads to it, and nobody else gets that port.
    assert_eq!(servers.seen_from(&web, A, P), outside);
    assert_ne!(servers.seen_from(&client(&hosts[1], 8081), A, P), outside);
    // Inside hosts reach it there, too.
    let neighbour = client(&hosts[1], 5000);
    neighbour.send_to(b"get", outside).unwrap();
    assert_eq!(udp::receive(&web).0, b"get");

    let web = tcp::listen(&hosts[0].namespace, end(&hosts[0], 80));
    let _call = tcp::connect(
        &world.servers(),
        SocketAddrV4::new(B, 7000),
        SocketAddrV4::new(gateway.outside(), 8080),
    );
    assert_eq!(tcp::accept(&web).1, SocketAddrV4::new(B, 7000).into());
}

#[test]
fn the_dmz_host_gets_what_nobody_else_gets() {
    let (world, gateway, hosts) = site("  udp: { mapping: EIM, filtering: APDF }\n  dmz: 2\n", 2);
    let servers = udp::Servers::new(&world);
    let other = client(&hosts[1], 5000);
    let outside = servers.seen_from(&other, A, P);
    let exposed = client(&hosts[0], 9000);
    servers.get(B, Q).send_to(b"knock", (gateway.outside(), 9000)).unwrap();
    let (_, from) = udp::receive(&exposed);
    assert_eq!(from, SocketAddrV4::new(B, Q));
    exposed.send_to(b"who is there", from).unwrap();
    assert_eq!(udp::receive(servers.get(B, Q)).1, SocketAddrV4::new(gateway.outside(), 9000));
    // What belongs to the other host's mapping stays with it, by its filtering.
    assert!(servers.reaches(&other, outside, (A, P), (A, P)));
    assert!(!servers.reaches(&other, outside, (B, P), (A, P)));

    let web = tcp::listen(&hosts[0].namespace, end(&hosts[0], 80));
    let _call =
        tcp::connect(&world.servers(), SocketAddrV4::new(B, 7000), SocketAddrV4::new(gateway.outside(), 80));
    assert_eq!(tcp::accept(&web).1, SocketAddrV4::new(B, 7000).into());
}

#[test]
fn icmp_errors_about_a_mapping_reach_the_inside_host_unless_the_profile_drops_them() {
    for (word, passes) in [("translate", true), ("drop", false)] {
        let (world, _gateway, hosts) =
            site(&format!("  udp: {{ mapping: EIM, filtering: APDF }}\n  icmp-errors: {word}\n"), 2);
        let servers = udp::Servers::new(&world);
        // Another host has the port, so that the packet inside the error must be translated back.
        servers.seen_from(&client(&hosts[1], 5000), A, P);
        let client = client(&hosts[0], 5000);
        client.connect((A, 9)).unwrap();
        client.send(b"?").unwrap();
        // A packet there and back, sent after it, tells that the error has had its time.
        let witness = self::client(&hosts[0], 5999);
        let outside = servers.seen_from(&witness, A, P);
        assert!(servers.reaches(&witness, outside, (A, P), (A, P)));
        let error = client.take_error().unwrap();
        assert_eq!(error.is_some(), passes, "{word}: {error:?}");
    }
}

#[test]
fn fragments_are_put_together_in_any_order_unless_the_profile_drops_them() {
    for (word, passes) in [("reassemble", true), ("drop", false)] {
        let (world, gateway, hosts) =
            site(&format!("  udp: {{ mapping: EIM, filtering: APDF }}\n  fragments: {word}\n"), 1);
        let servers = udp::Servers::new(&world);
        let server = servers.get(A, P);
        let from = end(&hosts[0], 5000);
        let payload: Vec<u8> = (0..2400_u32).map(|number| number.to_le_bytes()[0]).collect();
        let datagram = raw::udp(from, SocketAddrV4::new(A, P), &payload, true);
        let part = |id, first: usize, last: usize| {
            raw::packet(hosts[0].address, A, id, first, last < datagram.len(), &datagram[first..last])
        };
        let length = datagram.len();
        // The last part first: only the first part has the ports.
        let parts = [part(7, 1600, length), part(7, 800, 1600), part(7, 0, 800)];
        raw::send(&hosts[0].namespace, A, &parts);
        if passes {
            let (packet, outside) = udp::receive(server);
            assert!(packet == payload && *outside.ip() == gateway.outside());
            // And back in: larger than the link takes in one packet.
            let client = client(&hosts[0], 5000);
            server.send_to(&payload, outside).unwrap();
            assert_eq!(udp::receive(&client).0, payload);
        } else {
            gateway.wait_until_counted("fragments", 3);
            nothing_came(server);
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_stays_without_one() {
    // A checksum that was made up would be wrong, and the receiver would drop the datagram.
    let (world, gateway, hosts) =
        site("  udp: { mapping: APDM, filtering: APDF }\n  allocation: random\n", 1);
    let servers = udp::Servers::new(&world);
    for port in [P, Q] {
        let to = SocketAddrV4::new(A, port);
        let datagram = raw::udp(end(&hosts[0], 5000), to, b"unchecked", false);
        raw::send(&hosts[0].namespace, A, &[raw::packet(hosts[0].address, A, 1, 0, false, &datagram)]);
        let (packet, from) = udp::receive(servers.get(A, port));
        assert_eq!((packet.as_slice(), *from.ip()), (b"unchecked".as_slice(), gateway.outside()));
    }
}

#[test]
fn of_two_nats_in_a_row_the_stricter_decides() {
    let cases = [
        ("cgn", "home-router", Mapping::EndpointIndependent, Filtering::AddressAndPortDependent),
        ("cgn", "full-cone", Mapping::EndpointIndependent, Filtering::EndpointIndependent),
        ("symmetric", "full-cone", Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent),
        ("restricted-cone", "full-cone", Mapping::EndpointIndependent, Filtering::AddressDependent),
    ];
    for (outer, inner, mapping, filtering) in cases {
        nat_common::stay_on_one_processor();
        let mut world = World::new();
        let carrier = world.gateway(&nat(outer), &firewall("open"), 1, None);
        let mut home = world.gateway(&nat(inner), &firewall("open"), 1, Some(&carrier));
        let host = world.host(&mut home, 1);
        let servers = udp::Servers::new(&world);
        let first = udp::socket(&host.namespace, end(&host, 5000));
        assert_eq!(servers.mapping(&first), mapping, "{inner} behind {outer}");
        let second = udp::socket(&host.namespace, end(&host, 5001));
        assert_eq!(servers.filtering(&second), filtering, "{inner} behind {outer}");
        assert_eq!(servers.seen_from(&second, A, P).ip(), &carrier.outside());
    }
}

#[test]
fn three_nats_in_a_row_carry_udp_and_tcp() {
    nat_common::stay_on_one_processor();
    let mut world = World::new();
    let carrier = world.gateway(&nat("cgn"), &firewall("open"), 1, None);
    let home = world.gateway(&nat("home-router"), &firewall("open"), 1, Some(&carrier));
    let mut room = world.gateway(&nat("home-router"), &firewall("block-inbound"), 1, Some(&home));
    let host = world.host(&mut room, 1);
    let servers = udp::Servers::new(&world);
    let client = udp::socket(&host.namespace, end(&host, 5000));
    let outside = servers.seen_from(&client, B, Q);
    servers.get(B, Q).send_to(b"back", outside).unwrap();
    assert_eq!(udp::receive(&client).0, b"back");
    let servers = tcp::Servers::new(&world);
    servers.seen_from(&tcp::Client::new(&host.namespace, end(&host, 5000)), B, Q);
}

#[test]
fn two_subscribers_of_a_carrier_meet_by_its_hairpin() {
    nat_common::stay_on_one_processor();
    let mut world = World::new();
    let carrier = world.gateway(&nat("cgn"), &firewall("open"), 2, None);
    let mut homes = Vec::new();
    for _ in 0..2 {
        let mut home = world.gateway(&nat("home-router"), &firewall("block-inbound"), 1, Some(&carrier));
        let host = world.host(&mut home, 1);
        homes.push((home, host));
    }
    let servers = udp::Servers::new(&world);
    let [alice, bob] = [0, 1].map(|index: usize| client(&homes[index].1, 5000));
    let alice_outside = servers.seen_from(&alice, A, P);
    let bob_outside = servers.seen_from(&bob, A, P);
    // Each home's filtering is opened by its own packet; the first one is lost at the other's.
    bob.send_to(b"first", alice_outside).unwrap();
    alice.send_to(b"second", bob_outside).unwrap();
    assert_eq!(udp::receive(&bob), (b"second".to_vec(), alice_outside));
    bob.send_to(b"third", alice_outside).unwrap();
    assert_eq!(udp::receive(&alice), (b"third".to_vec(), bob_outside));
}
