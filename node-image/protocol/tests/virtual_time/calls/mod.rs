//! Calls: paths, rules, failures.

mod cases;
mod course;
mod relays;
mod security;

use std::time::Duration;

use overlay_protocol::{CallEnd, CallEvent, CallSummary, ClientCommand, MediaProtocol};

use crate::world::gateway::Policy;
use crate::world::setup::{Setup, log_in};
use crate::world::{NodeId, World};

const PACKET: Duration = Duration::from_millis(15);
const VOICE: [u8; 59] = [7; 59];

pub struct Pair {
    pub world: World,
    pub alice: NodeId,
    pub bob: NodeId,
}

/// Alice and bob, logged in behind what they are behind.
pub fn pair_in(setup: &Setup, alice: Option<Policy>, bob: Option<Policy>) -> Pair {
    let mut world = setup.world();
    let alice = setup.add(&mut world, setup.client("alice"), alice, 1);
    let bob = setup.add(&mut world, setup.client("bob"), bob, 2);
    for client in [alice, bob] {
        log_in(&mut world, client).result.expect("the login succeeds");
    }
    Pair { world, alice, bob }
}

pub fn pair(alice: Option<Policy>, bob: Option<Policy>) -> Pair {
    pair_in(&Setup::subsequent(77), alice, bob)
}

impl Pair {
    pub fn call(&mut self) {
        let bob = self.world.client(self.bob).user().clone();
        self.world.command(self.alice, ClientCommand::Call { user: bob });
    }

    pub fn seen(&self, node: NodeId, which: impl Fn(&CallEvent) -> bool) -> bool {
        self.world.calls.iter().any(|(_, who, event)| *who == node && which(event))
    }

    /// Lets time pass until a client told something.
    pub fn until(&mut self, node: NodeId, which: impl Fn(&CallEvent) -> bool) {
        let limit = self.world.now + Duration::from_secs(200);
        let came = self
            .world
            .run_until(limit, |world| world.calls.iter().any(|(_, who, event)| *who == node && which(event)));
        assert!(came, "{:#?}", self.world.calls);
    }

    pub fn until_incoming(&mut self) {
        self.until(self.bob, |event| matches!(event, CallEvent::Incoming { .. }));
    }

    /// A call that is answered.
    pub fn talk(&mut self) {
        self.call();
        self.until_incoming();
        self.world.command(self.bob, ClientCommand::Answer);
        self.until(self.alice, |event| matches!(event, CallEvent::Answered {}));
    }

    /// Both speak for so long.
    pub fn speak(&mut self, time: Duration) {
        for _ in 0..time.as_micros() / PACKET.as_micros() {
            self.world.command(self.alice, ClientCommand::Voice(VOICE.to_vec()));
            self.world.command(self.bob, ClientCommand::Voice(VOICE.to_vec()));
            self.world.pass(PACKET);
        }
    }

    /// What is on its way arrives; not so long that the silence counts as a broken path.
    pub fn settle(&mut self) {
        self.world.pass(Duration::from_millis(200));
    }

    pub fn heard(&self, node: NodeId) -> usize {
        assert!(self.world.voices.iter().all(|(_, _, _, voice)| voice == &VOICE));
        self.world.voices.iter().filter(|(_, who, _, _)| *who == node).count()
    }

    pub fn end(&self, node: NodeId) -> Option<(CallEnd, CallSummary)> {
        self.world.calls.iter().rev().find_map(|(_, who, event)| match event {
            CallEvent::Ended { reason, summary, .. } if *who == node => Some((*reason, summary.clone())),
            _ => None,
        })
    }

    pub fn ended(&mut self, node: NodeId) -> CallEnd {
        self.until(node, |event| matches!(event, CallEvent::Ended { .. }));
        self.end(node).expect("seen").0
    }

    /// The last media path of a client: its relay by node, and the protocol.
    pub fn path(&self, node: NodeId) -> Option<(Option<NodeId>, MediaProtocol)> {
        self.world.calls.iter().rev().find_map(|(_, who, event)| match event {
            CallEvent::MediaPath { relay, protocol, .. } if *who == node => {
                let relay = relay.map(|relay| {
                    self.world.nodes.iter().position(|node| node.address == relay).expect("a node")
                });
                Some((relay, *protocol))
            }
            _ => None,
        })
    }

    pub fn through_a_node(&self) -> bool {
        self.seen(self.alice, |event| matches!(event, CallEvent::Reached { through: Some(_) }))
    }
}
