//! Relays that die, are full, or lose packets.

use std::time::Duration;

use overlay_protocol::{CallEnd, CallEvent, ClientCommand};

use super::{Pair, pair, pair_in};
use crate::world::gateway::Policy;
use crate::world::setup::{Setup, log_in};

#[test]
fn a_relay_that_dies_is_replaced_and_the_gap_is_told() {
    for (one, other) in [
        (Some(Policy::port_restricted()), None),
        (Some(Policy::udp_restricted()), Some(Policy::udp_restricted())),
    ] {
        for crash in [true, false] {
            let mut pair = pair(one.clone(), other.clone());
            pair.talk();
            pair.speak(Duration::from_secs(2));
            let (relay, protocol) = pair.path(pair.alice).expect("a path");
            let relay = relay.expect("a relay");
            if crash {
                pair.world.crash(relay);
            } else {
                pair.world.nodes[relay].dead = true;
            }
            pair.world.voices.clear();
            pair.speak(Duration::from_secs(10));
            let (next, same) = pair.path(pair.alice).expect("a path");
            assert_ne!(next, Some(relay));
            assert_eq!(same, protocol);
            assert_eq!(pair.path(pair.bob).expect("a path").0, next);
            assert!(pair.heard(pair.alice) > 300 && pair.heard(pair.bob) > 300);
            pair.world.command(pair.bob, ClientCommand::HangUp);
            pair.until(pair.alice, |event| matches!(event, CallEvent::Ended { .. }));
            let (_, summary) = pair.end(pair.alice).expect("ended");
            let longest = summary.gaps_ms.iter().fold(0.0_f64, |longest, gap| longest.max(*gap));
            assert!(longest < 5_000.0, "{summary:?}");
            assert!(!summary.gaps_ms.is_empty() || crash, "{summary:?}");
        }
    }
}

#[test]
fn with_a_third_of_the_super_nodes_dead_at_once_a_call_goes_on() {
    for (seed, third) in [(300, 0), (301, 1), (302, 2)] {
        let setup = Setup::subsequent(seed);
        let mut pair = pair_in(&setup, Some(Policy::port_restricted()), Some(Policy::udp_restricted()));
        pair.talk();
        pair.speak(Duration::from_secs(2));
        let relay = pair.path(pair.alice).and_then(|(relay, _)| relay).expect("a relay");
        // Super nodes are nodes 1 to 112.
        for node in (1..=112).filter(|node| *node == relay || (node + third).is_multiple_of(3)) {
            pair.world.nodes[node].dead = true;
        }
        pair.world.voices.clear();
        pair.speak(Duration::from_secs(25));
        assert_eq!(pair.world.client(pair.alice).call_state(), "active", "{:#?}", pair.world.calls);
        assert!(pair.heard(pair.alice) > 600 && pair.heard(pair.bob) > 600);
    }
}

#[test]
fn a_relay_takes_so_many_calls_and_the_next_call_takes_another_relay() {
    let mut setup = Setup::subsequent(77);
    setup.super_nodes = 12;
    setup.subsequent = Some((20, 40));
    setup.parameters.relay_calls.0 = 1;
    let mut world = setup.world();
    let names = ["alice", "bob", "carol", "dave"];
    let clients: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(user, host)| setup.add(&mut world, setup.client(user), Some(Policy::port_restricted()), host))
        .collect();
    for &client in &clients {
        log_in(&mut world, client).result.expect("the login succeeds");
    }
    let mut relays = Vec::new();
    let mut pair = Pair { world, alice: clients[0], bob: clients[1] };
    pair.talk();
    pair.speak(Duration::from_secs(1));
    relays.push(pair.path(pair.alice).and_then(|(relay, _)| relay).expect("a relay"));
    let mut second = Pair { world: pair.world, alice: clients[2], bob: clients[3] };
    second.call();
    second.until_incoming();
    second.world.command(second.bob, ClientCommand::Answer);
    second.world.pass(Duration::from_secs(3));
    second.speak(Duration::from_secs(2));
    relays.push(second.path(second.alice).and_then(|(relay, _)| relay).expect("a relay"));
    assert_eq!(second.path(second.bob).and_then(|(relay, _)| relay), Some(relays[1]));
    assert_ne!(relays[0], relays[1]);
    for relay in relays {
        assert!(second.world.super_node(relay).relayed_calls() <= 1);
    }
}

#[test]
fn lost_and_late_datagrams_neither_end_the_call_nor_move_it() {
    let mut pair = pair(Some(Policy::port_restricted()), None);
    pair.world.loss = 0.05;
    pair.talk();
    pair.speak(Duration::from_secs(20));
    // 20 s are 1,333 packets; each crosses two links that lose one in twenty.
    let heard = (pair.heard(pair.alice), pair.heard(pair.bob));
    assert!((1_130..1_290).contains(&heard.0) && (1_130..1_290).contains(&heard.1), "{heard:?}");
    let moves = pair.world.calls.iter().filter(|(_, _, event)| matches!(event, CallEvent::MediaPath { .. }));
    assert_eq!(moves.count(), 2);
    pair.world.loss = 0.0;
    pair.world.command(pair.alice, ClientCommand::HangUp);
    assert_eq!(pair.ended(pair.bob), CallEnd::PeerHungUp);
}

#[test]
fn without_the_super_node_that_passed_signals_on_the_call_goes_on_and_is_hung_up_all_the_same() {
    let mut pair = pair(Some(Policy::port_restricted()), None);
    pair.talk();
    pair.speak(Duration::from_secs(1));
    let through = pair.world.calls.iter().find_map(|(_, _, event)| match event {
        CallEvent::Reached { through } => *through,
        _ => None,
    });
    let node = pair.world.nodes.iter().position(|node| Some(node.address) == through).expect("a node");
    assert_ne!(pair.path(pair.alice).and_then(|(relay, _)| relay), Some(node), "another one relays media");
    pair.world.crash(node);
    pair.world.voices.clear();
    pair.speak(Duration::from_secs(5));
    assert!(pair.heard(pair.alice) > 320 && pair.heard(pair.bob) > 320);
    pair.world.command(pair.alice, ClientCommand::HangUp);
    assert_eq!(pair.ended(pair.bob), CallEnd::PeerHungUp);
}
