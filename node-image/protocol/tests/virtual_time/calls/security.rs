//! Who is let in, and what a stranger can do.

use overlay_protocol::certificate::{Certificate, Signature};
use overlay_protocol::crypto::keys::ClientKeyPair;
use overlay_protocol::wire::call::{Rejection, RelayList, Share, Signal};
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::wire::super_node::Presence;
use overlay_protocol::wire::{List, Wire};
use overlay_protocol::{CallEnd, CallEvent, ConnectionId, Input, Machine, NatVerdict, Output, ServerKeyPair};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{Pair, pair};
use crate::world::Role;
use crate::world::gateway::Policy;
use crate::world::setup::{name, server_keys};

/// Somebody who connects straight to bob and invites, with a certificate and a key of its own choice.
fn knock(pair: &mut Pair, certificate: Certificate, keys: &ClientKeyPair, repeat_nonce: bool) -> Signal {
    let mut random = ChaCha20Rng::seed_from_u64(9);
    let mut stream = Stream::default();
    let connection = ConnectionId(9_999);
    let now = pair.world.now;
    let Role::Client(bob) = &mut pair.world.nodes[pair.bob].role else { panic!("bob is a client") };
    let from = "198.18.7.7:7000".parse().expect("an address");
    bob.handle(now, Input::Accepted { connection, local_port: 80, from });
    let answer = |bob: &mut overlay_protocol::Client, stream: &mut Stream| {
        while let Some(output) = bob.poll_output() {
            if let Output::Send { connection: to, data } = output
                && to == connection
            {
                stream.receive(&data);
            }
        }
        stream.next_message::<Signal>().expect("a signal").expect("whole")
    };
    let Signal::Greeting { nonce } = answer(bob, &mut stream) else { panic!("a greeting comes first") };
    let nonce = if repeat_nonce { nonce } else { [0; 16] };
    let presence = Presence { private: from, public: from, nat: NatVerdict::Open };
    let relays: RelayList = List::new([]);
    let share = Share::new(vec![1; 128]).expect("short");
    let mut text = b"invite".to_vec();
    nonce.put(&mut text);
    name("bob").put(&mut text);
    presence.put(&mut text);
    relays.put(&mut text);
    share.put(&mut text);
    let signature = Signature::new(keys.sign(&mut random, &text)).expect("short");
    let invite = Signal::Invite { callee: name("bob"), certificate, presence, relays, share, signature };
    let data = stream.send(&mut random, &invite);
    bob.handle(now, Input::Data { connection, data: &data });
    answer(bob, &mut stream)
}

fn certificate(by: &ServerKeyPair, keys: &ClientKeyPair) -> Certificate {
    let mut random = ChaCha20Rng::seed_from_u64(10);
    Certificate::issue(by, &mut random, name("alice"), keys.public(), 1)
}

#[test]
fn a_caller_who_is_not_who_the_certificate_says_is_refused() {
    let mut random = ChaCha20Rng::seed_from_u64(8);
    let alices = ClientKeyPair::generate(&mut random, 1_024).expect("a size that is used");
    let others = ClientKeyPair::generate(&mut random, 1_024).expect("a size that is used");
    let rogue = ServerKeyPair::generate(66, 1_536).expect("a size that is used");
    let not_authentic = Signal::Rejected { reason: Rejection::NotAuthentic };
    for (text, certificate, keys, repeat_nonce) in [
        ("alice's certificate without her key", certificate(server_keys(), &alices), &others, true),
        ("a certificate that no login server signed", certificate(&rogue, &alices), &alices, true),
        (
            "an invitation that was recorded on another connection",
            certificate(server_keys(), &alices),
            &alices,
            false,
        ),
    ] {
        let mut pair = pair(None, None);
        assert_eq!(knock(&mut pair, certificate, keys, repeat_nonce), not_authentic, "{text}");
        assert_eq!(pair.world.client(pair.bob).call_state(), "none");
        assert!(!pair.seen(pair.bob, |event| matches!(event, CallEvent::Incoming { .. })));
    }
}

#[test]
fn whoever_changes_a_signal_on_the_way_stops_the_call_but_cannot_bend_it() {
    // RC4 lets anybody on the way flip bits. The callee's super node does: in the last byte of what it
    // sends, which is a signature, a tag or a sealed text where it is long.
    let mut pair = pair(Some(Policy::port_restricted()), Some(Policy::port_restricted()));
    let clients = [pair.alice, pair.bob];
    pair.world.tamper = Some(Box::new(move |sender, bytes| {
        if !clients.contains(&sender) && bytes.len() > 400 {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
    }));
    pair.call();
    assert_ne!(pair.ended(pair.alice), CallEnd::HungUp);
    assert!(
        !pair.seen(pair.alice, |event| matches!(event, CallEvent::Ringing { .. } | CallEvent::Answered {}))
    );
}
