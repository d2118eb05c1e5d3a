//! Mappings live as long as their profile says, by the packets that it says.
//!
//! A test waits longer than a timeout, which a slow machine only makes longer, or keeps a mapping alive by
//! packets that come in time; if the machine was too slow to send them in time, it begins again.
//!
//! Needs root, `ip`, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nat_common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nat_common::{A, B, Gateway, Host, P, Q, World, firewall, nat_with, tcp, udp};

/// Short, but long against the time that a packet takes.
const TIMEOUT: Duration = Duration::from_secs(3);

fn site(behaviour: &str) -> (World, Gateway, Host) {
    let mut world = World::new();
    let mut gateway = world.gateway(&nat_with(behaviour), &firewall("open"), 1, None);
    let host = world.host(&mut gateway, 1);
    (world, gateway, host)
}

fn client(host: &Host, port: u16) -> UdpSocket {
    udp::socket(&host.namespace, SocketAddrV4::new(host.address, port))
}

/// Waits for longer than a mapping lives.
fn outlive(timeout: Duration) {
    thread::sleep(timeout + Duration::from_millis(500));
}

/// Whether a stranger's packet is taken for one without a mapping.
fn unknown(servers: &udp::Servers, gateway: &Gateway, outside: SocketAddrV4) -> bool {
    let (unsolicited, received) = (gateway.counted("unsolicited"), gateway.counted("received"));
    servers.get(B, Q).send_to(b"?", outside).unwrap();
    loop {
        // It is counted as one or the other.
        if gateway.counted("unsolicited") > unsolicited {
            return true;
        }
        if gateway.counted("received") > received {
            return false;
        }
    }
}

/// Calls `refresh` in time for three times the timeout; `false` if the machine was too slow for it.
fn kept_up(mut refresh: impl FnMut()) -> bool {
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < TIMEOUT * 3 {
        thread::sleep(TIMEOUT / 6);
        refresh();
        if last.elapsed() > TIMEOUT * 2 / 3 {
            return false;
        }
        last = Instant::now();
    }
    true
}

#[test]
fn an_idle_udp_mapping_is_gone_after_its_timeout() {
    for refresh in ["both", "outbound"] {
        let (world, gateway, host) =
            site(&format!("  udp: {{ mapping: EIM, filtering: EIF, timeout: 3s, refresh: {refresh} }}\n"));
        let servers = udp::Servers::new(&world);
        let client = client(&host, 5000);
        let outside = servers.seen_from(&client, A, P);
        assert!(!unknown(&servers, &gateway, outside), "{refresh}");
        outlive(TIMEOUT);
        assert!(unknown(&servers, &gateway, outside), "{refresh}");
    }
}

#[test]
fn packets_from_inside_keep_a_udp_mapping_alive() {
    for refresh in ["both", "outbound"] {
        let (world, gateway, host) =
            site(&format!("  udp: {{ mapping: EIM, filtering: EIF, timeout: 3s, refresh: {refresh} }}\n"));
        let servers = udp::Servers::new(&world);
        let client = client(&host, 5000);
        let outside = servers.seen_from(&client, A, P);
        // To another destination than the first: the mapping is one.
        while !kept_up(|| assert_eq!(servers.seen_from(&client, B, P), outside)) {}
        assert!(!unknown(&servers, &gateway, outside), "{refresh}");
    }
}

#[test]
fn packets_from_outside_keep_a_udp_mapping_alive_if_the_profile_says_so() {
    let (world, gateway, host) =
        site("  udp: { mapping: EIM, filtering: EIF, timeout: 3s, refresh: both }\n");
    let servers = udp::Servers::new(&world);
    let client = client(&host, 5000);
    let mut outside = servers.seen_from(&client, A, P);
    while !kept_up(|| {
        servers.get(A, P).send_to(b"still there?", outside).unwrap();
        udp::receive(&client);
    }) {
        outside = servers.seen_from(&client, A, P);
    }
    assert!(!unknown(&servers, &gateway, outside));
}

#[test]
fn packets_from_outside_do_not_keep_a_udp_mapping_alive_if_the_profile_says_so() {
    let (world, gateway, host) =
        site("  udp: { mapping: EIM, filtering: EIF, timeout: 3s, refresh: outbound }\n");
    let servers = udp::Servers::new(&world);
    let client = client(&host, 5000);
    let outside = servers.seen_from(&client, A, P);
    let start = Instant::now();
    while start.elapsed() < TIMEOUT + Duration::from_millis(500) {
        servers.get(A, P).send_to(b"still there?", outside).unwrap();
        thread::sleep(TIMEOUT / 10);
    }
    assert!(unknown(&servers, &gateway, outside));
    assert_eq!(servers.seen_from(&client, A, P), outside, "the port has rested for its owner");
}

#[test]
fn a_permission_to_send_in_ends_with_its_timeout_while_the_mapping_lives_on() {
    let (world, gateway, host) = site("  udp: { mapping: EIM, filtering: ADF, timeout: 3s }\n");
    let servers = udp::Servers::new(&world);
    let client = client(&host, 5000);
    loop {
        let outside = servers.seen_from(&client, A, P);
        let filtered = gateway.counted("filtered");
        // Only the other server is spoken to.
        if kept_up(|| assert_eq!(servers.seen_from(&client, B, P), outside)) {
            servers.get(A, P).send_to(b"?", outside).unwrap();
            gateway.wait_until_counted("filtered", filtered + 1);
            return;
        }
    }
}

#[test]
fn an_open_tcp_connection_may_idle_as_long_as_established_and_a_closed_one_as_transitory() {
    let (world, gateway, host) =
        site("  udp: { mapping: EIM, filtering: EIF }\n  tcp: { established: 10m, transitory: 3s }\n");
    let servers = tcp::Servers::new(&world);
    let idle = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5000));
    let closed = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5001));
    let (mut near, mut far, outside) = servers.seen_from(&idle, A, P);
    let (closing, closing_far, closed_outside) = servers.seen_from(&closed, A, P);
    drop((closing, closing_far));
    outlive(TIMEOUT);

    // The one that was closed has no mapping any more.
    let unsolicited = gateway.counted("unsolicited");
    let socket = servers.call(closed_outside, (B, Q));
    gateway.wait_until_counted("unsolicited", unsolicited + 1);
    drop(socket);
    // The open one has, and carries data.
    far.write_all(b"still there").unwrap();
    let mut heard = [0; 11];
    near.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still there");
    assert!(servers.reaches(&idle, outside, (B, Q), (&mut near, &mut far)));
}

#[test]
fn an_established_tcp_connection_that_idles_too_long_is_cut() {
    let (world, gateway, host) =
        site("  udp: { mapping: EIM, filtering: EIF }\n  tcp: { established: 3s, transitory: 1s }\n");
    let servers = tcp::Servers::new(&world);
    let client = tcp::Client::new(&host.namespace, SocketAddrV4::new(host.address, 5000));
    let (near, mut far, _) = servers.seen_from(&client, A, P);
    outlive(TIMEOUT);
    let refused = gateway.counted("to_gateway");
    far.write_all(b"still there?").unwrap();
    gateway.wait_until_counted("to_gateway", refused + 1);
    near.set_nonblocking(true).unwrap();
    assert!((&near).read(&mut [0; 16]).is_err(), "nothing came in");
}
