//! From ringing to hanging up.

use std::time::Duration;

use overlay_protocol::{CallEnd, CallEvent, ClientCommand, ServerEvent};

use super::{pair, pair_in};
use crate::world::gateway::Policy;
use crate::world::setup::{Setup, log_in, name};

#[test]
fn a_call_can_be_refused() {
    let mut pair = pair(None, Some(Policy::port_restricted()));
    pair.call();
    pair.until_incoming();
    pair.world.command(pair.bob, ClientCommand::HangUp);
    assert_eq!(pair.ended(pair.alice), CallEnd::Refused);
    assert_eq!(pair.ended(pair.bob), CallEnd::Refused);
}

#[test]
fn a_call_can_be_cancelled_while_it_rings_and_before() {
    let mut pair = pair(Some(Policy::port_restricted()), None);
    pair.call();
    pair.until_incoming();
    pair.until(pair.alice, |event| matches!(event, CallEvent::Ringing { .. }));
    pair.world.command(pair.alice, ClientCommand::HangUp);
    assert_eq!(pair.ended(pair.bob), CallEnd::Cancelled);
    pair.world.calls.clear();
    pair.call();
    pair.world.command(pair.alice, ClientCommand::HangUp);
    assert_eq!(pair.ended(pair.alice), CallEnd::Cancelled);
    pair.world.pass(Duration::from_secs(5));
    assert!(!pair.seen(pair.bob, |event| matches!(event, CallEvent::Incoming { .. })));
}

#[test]
fn nobody_answers_until_the_ringing_ends() {
    let mut pair = pair(None, None);
    pair.call();
    pair.until_incoming();
    let rings = pair.world.now;
    assert_eq!(pair.ended(pair.alice), CallEnd::NoAnswer);
    let rang = pair.world.now - rings;
    assert!(rang >= Duration::from_secs(59) && rang < Duration::from_secs(62), "{rang:?}");
    pair.until(pair.bob, |event| matches!(event, CallEvent::Ended { .. }));
}

#[test]
fn either_end_hangs_up_and_both_are_free_for_the_next_call() {
    let mut pair = pair(Some(Policy::udp_restricted()), Some(Policy::port_restricted()));
    for by in [pair.alice, pair.bob] {
        pair.world.calls.clear();
        pair.talk();
        pair.speak(Duration::from_secs(1));
        pair.world.command(by, ClientCommand::HangUp);
        let other = pair.alice + pair.bob - by;
        assert_eq!(pair.ended(other), CallEnd::PeerHungUp);
        assert_eq!(pair.end(by).map(|(reason, _)| reason), Some(CallEnd::HungUp));
        assert_eq!(pair.world.client(pair.alice).call_state(), "none");
    }
    pair.world.pass(Duration::from_secs(60));
    let relayed = pair.world.server_events.iter();
    let relayed =
        relayed.filter(|(_, event)| matches!(event, ServerEvent::Relayed { packets, .. } if *packets > 100));
    assert_eq!(relayed.count(), 2, "the relays took their places back");
}

#[test]
fn a_third_caller_hears_busy() {
    let setup = Setup::subsequent(77);
    let mut pair = pair_in(&setup, None, Some(Policy::port_restricted()));
    let carol = setup.add(&mut pair.world, setup.client("carol"), None, 3);
    log_in(&mut pair.world, carol).result.expect("the login succeeds");
    pair.talk();
    pair.world.command(carol, ClientCommand::Call { user: name("bob") });
    assert_eq!(pair.ended(carol), CallEnd::Busy);
    assert!(
        pair.seen(pair.bob, |event| matches!(event, CallEvent::TurnedAway { reason: CallEnd::Busy, .. }))
    );
    assert_eq!(pair.world.client(pair.bob).call_state(), "active");
}

#[test]
fn when_both_call_each_other_one_call_comes_about() {
    for (one, other) in [
        (None, None),
        (Some(Policy::port_restricted()), None),
        (Some(Policy::udp_restricted()), Some(Policy::udp_restricted())),
    ] {
        for head_start in [0, 20, 60, 150] {
            let mut pair = pair(one.clone(), other.clone());
            pair.world.command(pair.bob, ClientCommand::Call { user: name("alice") });
            pair.world.pass(Duration::from_millis(head_start));
            pair.call();
            pair.world.pass(Duration::from_secs(10));
            if pair.world.client(pair.alice).call_state() == "ringing" {
                // Bob's invitation came before alice called: no glare, a plain call.
                pair.world.command(pair.alice, ClientCommand::Answer);
                pair.world.pass(Duration::from_secs(2));
            }
            pair.speak(Duration::from_secs(1));
            for client in [pair.alice, pair.bob] {
                assert_eq!(
                    pair.world.client(client).call_state(),
                    "active",
                    "{head_start} ms: {:#?}",
                    pair.world.calls
                );
            }
            assert!(pair.heard(pair.alice) > 40 && pair.heard(pair.bob) > 40);
        }
    }
}

#[test]
fn who_does_not_exist_or_is_offline_is_not_reached() {
    let mut pair = pair(None, None);
    pair.world.command(pair.alice, ClientCommand::Call { user: name("nobody") });
    assert_eq!(pair.ended(pair.alice), CallEnd::Unreachable);
    pair.world.command(pair.bob, ClientCommand::Logout);
    pair.world.pass(Duration::from_secs(20));
    pair.world.calls.clear();
    pair.call();
    assert_eq!(pair.ended(pair.alice), CallEnd::Unreachable);
}

#[test]
fn a_callee_who_is_gone_without_a_word_ends_the_call() {
    let mut pair = pair(None, Some(Policy::port_restricted()));
    pair.talk();
    pair.speak(Duration::from_secs(1));
    pair.world.nodes[pair.bob].dead = true;
    let gone = pair.world.now;
    assert_eq!(pair.ended(pair.alice), CallEnd::Lost);
    let took = pair.world.now - gone;
    assert!(took > Duration::from_secs(29) && took < Duration::from_secs(31), "{took:?}");
}
