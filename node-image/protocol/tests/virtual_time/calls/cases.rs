//! Which way signalling and media take.

use std::time::Duration;

use overlay_protocol::{CallEnd, ClientCommand, MediaProtocol};

use super::{Pair, pair, pair_in};
use crate::world::gateway::{Dependence, Policy};
use crate::world::setup::{Setup, log_in};

#[test]
fn between_public_addresses_signalling_and_media_go_straight() {
    let mut pair = pair(None, None);
    pair.talk();
    let before: Vec<_> = pair.world.nodes.iter().map(|node| node.meter).collect();
    pair.speak(Duration::from_secs(3));
    pair.settle();
    assert!(!pair.through_a_node());
    assert_eq!(pair.path(pair.alice), Some((None, MediaProtocol::Udp)));
    assert_eq!(pair.path(pair.bob), Some((None, MediaProtocol::Udp)));
    assert_eq!((pair.heard(pair.alice), pair.heard(pair.bob)), (200, 200));
    for (place, (now, then)) in pair.world.nodes.iter().zip(before).enumerate() {
        let (out, tcp) = (now.meter.udp_out - then.udp_out, now.meter.tcp_out - then.tcp_out);
        if place == pair.alice || place == pair.bob {
            assert_eq!((out, tcp), (200 * 71, 0), "71 bytes a packet, and nothing else");
        } else {
            assert!(out < 40 * 71, "node {place} carries no media: {out} bytes");
        }
    }
}

#[test]
fn from_behind_a_nat_to_a_public_address_both_go_through_nodes_by_tcp_and_udp() {
    let mut pair = pair(Some(Policy::port_restricted()), None);
    pair.talk();
    pair.speak(Duration::from_secs(3));
    pair.settle();
    assert!(pair.through_a_node());
    let (relay, protocol) = pair.path(pair.alice).expect("a path");
    assert!(relay.is_some());
    assert_eq!(protocol, MediaProtocol::Udp);
    assert_eq!(pair.path(pair.bob), Some((relay, MediaProtocol::Udp)));
    let heard = (pair.heard(pair.alice), pair.heard(pair.bob));
    assert!(heard == (200, 200), "{heard:?}");
}

#[test]
fn where_udp_is_blocked_before_both_all_is_tcp() {
    let mut pair = pair(Some(Policy::udp_restricted()), Some(Policy::udp_restricted()));
    pair.talk();
    let before = [pair.alice, pair.bob].map(|node| pair.world.nodes[node].meter.udp_out);
    pair.speak(Duration::from_secs(3));
    pair.settle();
    assert!(pair.through_a_node());
    let (relay, protocol) = pair.path(pair.alice).expect("a path");
    assert!(relay.is_some());
    assert_eq!(protocol, MediaProtocol::Tcp);
    assert_eq!(pair.path(pair.bob), Some((relay, MediaProtocol::Tcp)));
    let heard = (pair.heard(pair.alice), pair.heard(pair.bob));
    assert!(heard == (200, 200), "{heard:?}");
    assert_eq!([pair.alice, pair.bob].map(|node| pair.world.nodes[node].meter.udp_out), before);
}

#[test]
fn where_udp_is_blocked_before_one_its_own_leg_is_tcp_and_the_other_udp() {
    let mut pair = pair(Some(Policy::udp_restricted()), Some(Policy::port_restricted()));
    pair.talk();
    pair.speak(Duration::from_secs(3));
    let (relay, protocol) = pair.path(pair.alice).expect("a path");
    assert_eq!(protocol, MediaProtocol::Tcp);
    assert_eq!(pair.path(pair.bob), Some((relay, MediaProtocol::Udp)));
    pair.settle();
    assert_eq!((pair.heard(pair.alice), pair.heard(pair.bob)), (200, 200));
}

#[test]
fn every_pair_of_nat_types_can_talk_both_ways() {
    use Dependence::{Address, AddressAndPort, Endpoint};
    let nats = [Endpoint, Address, AddressAndPort]
        .map(|filtering| Some(Policy::nat(Endpoint, filtering)))
        .into_iter()
        .chain([
            None,
            Some(Policy { filtering: Some(AddressAndPort), ..Policy::open() }),
            Some(Policy::nat(AddressAndPort, AddressAndPort)),
            Some(Policy::udp_restricted()),
            Some(Policy { tcp_ports: Some([80, 443].into()), ..Policy::udp_restricted() }),
        ]);
    let nats: Vec<_> = nats.collect();
    let setup = Setup::subsequent(77);
    let mut world = setup.world();
    let mut add = |user: &str, policy: &Option<Policy>, host| {
        let client = setup.add(&mut world, setup.client(user), policy.clone(), host);
        log_in(&mut world, client).result.expect("the login succeeds");
        client
    };
    let clients: Vec<_> = (0..)
        .zip(&nats)
        .map(|(place, nat)| {
            (add(&format!("a{place}"), nat, place + 1), add(&format!("b{place}"), nat, place + 101))
        })
        .collect();
    for (one, &(alice, _)) in nats.iter().zip(&clients) {
        for (other, &(_, bob)) in nats.iter().zip(&clients) {
            world.calls.clear();
            world.voices.clear();
            let mut pair = Pair { world, alice, bob };
            pair.talk();
            pair.speak(Duration::from_secs(2));
            pair.settle();
            let heard = (pair.heard(alice), pair.heard(bob));
            assert_eq!(heard, (133, 133), "{one:?} to {other:?}");
            pair.world.command(bob, ClientCommand::HangUp);
            assert_eq!(pair.ended(alice), CallEnd::PeerHungUp);
            world = pair.world;
        }
    }
}

#[test]
fn where_udp_is_blocked_the_nearest_relay_is_found_by_tcp_when_the_call_begins() {
    let blocked = || Some(Policy::udp_restricted());
    for seed in [77, 78, 79] {
        let mut pair = pair_in(&Setup::subsequent(seed), blocked(), blocked());
        let named: Vec<_> =
            pair.world.client(pair.alice).relay_candidates().iter().map(|(node, _)| *node).collect();
        assert!(named.len() >= 8, "{named:?}");
        let before = pair.world.nodes[pair.alice].meter;
        pair.talk();
        let (relay, _) = pair.path(pair.alice).expect("a path");
        let relay = relay.expect("a relay");
        let round_trip = |node| pair.world.round_trip(pair.alice, node);
        let best = named.iter().filter_map(|address| pair.world.node_at(*address)).map(round_trip).min();
        assert!(round_trip(relay) <= best.expect("candidates"), "{:?} of {best:?}", round_trip(relay));
        assert_eq!(pair.path(pair.bob).and_then(|(relay, _)| relay), Some(relay));
        assert_eq!(pair.world.nodes[pair.alice].meter.udp_out, before.udp_out, "not by UDP");
    }
}
