//! The client's own NAT type: a variation of STUN (RFC 3489, section 10.1) over the overlay's datagrams.
//!
//! 1. Test I is the probe: its answer tells the mapped address. Two super nodes that see different mapped
//!    addresses mean that the mapping depends on the destination ([`NatVerdict::Symmetric`]).
//! 2. Test II asks the first super node, X, to have another, Y, answer. Y is one that the client never sent
//!    anything to: the client tells X whom it contacted, and takes no answer from any of those.
//! 3. Test III asks X to answer from its other port. It is left out where there is no NAT.
//! 4. Tests II and III run side by side. An unanswered one is repeated, a bounded number of times.
//!
//! Where only one super node answered, the mapping is taken to be independent of the destination.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::core::Core;
use crate::event::NatVerdict;
use crate::machine::Time;
use crate::wire::List;
use crate::wire::datagram::{Datagram, MOST_CONTACTED};

#[derive(Debug)]
struct Test {
    transaction: u32,
    tries: usize,
    due: Time,
    /// `None` while it runs.
    answered: Option<bool>,
}

impl Test {
    fn new(core: &mut Core) -> Self {
        Self { transaction: core.transaction(), tries: 0, due: core.now, answered: None }
    }

    /// True if the request must be sent now.
    fn is_due(&mut self, core: &Core) -> bool {
        if self.answered.is_some() || core.now < self.due {
            return false;
        }
        if self.tries >= core.parameters.stun_tries.get() {
            self.answered = Some(false);
            return false;
        }
        self.tries += 1;
        self.due = core.now + core.parameters.stun_retransmit_interval.duration();
        true
    }
}

#[derive(Debug)]
struct Tests {
    address: Test,
    port: Option<Test>,
    /// Which of the observers is asked.
    asked: usize,
}

/// The detection of one round.
#[derive(Debug, Default)]
pub(super) struct NatDetection {
    /// Super nodes, and where they see the client.
    observers: Vec<(SocketAddrV4, SocketAddrV4)>,
    /// True when no more observers will come.
    complete: bool,
    tests: Option<Tests>,
    verdict: Option<NatVerdict>,
}

impl NatDetection {
    /// What was found; `None` while it is not known.
    pub fn verdict(&self) -> Option<NatVerdict> {
        self.verdict
    }

    /// Where super nodes see the client by UDP.
    pub fn mapped(&self) -> Option<SocketAddrV4> {
        self.observers.first().map(|&(_, mapped)| mapped)
    }

    /// A super node told where it sees the client.
    pub fn observed(&mut self, from: SocketAddrV4, mapped: SocketAddrV4) {
        if self.observers.iter().all(|(known, _)| known.ip() != from.ip()) {
            self.observers.push((from, mapped));
        }
    }

    /// Probing is over: what has come must do.
    pub fn no_more_observers(&mut self) {
        self.complete = true;
        if self.observers.is_empty() {
            self.verdict = Some(NatVerdict::UdpBlocked);
        }
    }

    /// Sends what is due and judges what is known. `local` is the address of the client's interface.
    pub fn advance(&mut self, core: &mut Core, local: Option<Ipv4Addr>) {
        let Some(&(_, mapped)) = self.observers.first() else {
            return;
        };
        if self.verdict.is_some() || (self.observers.len() < 2 && !self.complete) {
            return;
        }
        // Not known before the first connection, if the node's owner did not tell: all tests run then.
        let translated = local.map(|local| *mapped.ip() != local);
        if translated == Some(true) && self.observers.iter().any(|&(_, other)| other != mapped) {
            self.verdict = Some(NatVerdict::Symmetric);
            return;
        }
        let mut tests = match self.tests.take() {
            Some(tests) => tests,
            None => Tests {
                address: Test::new(core),
                port: (translated != Some(false)).then(|| Test::new(core)),
                asked: 0,
            },
        };
        self.send_due(core, &mut tests);
        self.verdict = translated.and_then(|translated| judge(translated, &tests));
        self.tests = Some(tests);
    }

    fn send_due(&self, core: &mut Core, tests: &mut Tests) {
        if tests.address.is_due(core) {
            let contacted = core.contacted.iter().copied().take(MOST_CONTACTED);
            let message = Datagram::ChangeAddress {
                transaction: tests.address.transaction,
                contacted: List::new(contacted),
            };
            core.datagram(self.observers[tests.asked].0, &message);
        }
        if let Some(port) = &mut tests.port
            && port.is_due(core)
        {
            core.datagram(self.observers[0].0, &Datagram::ChangePort { transaction: port.transaction });
        }
    }

    /// An answer to test II or III came in.
    pub fn answered(&mut self, core: &Core, from: SocketAddrV4, transaction: u32) {
        let Some(tests) = &mut self.tests else {
            return;
        };
        if transaction == tests.address.transaction && !core.contacted.contains(from.ip()) {
            tests.address.answered = Some(true);
        }
        let asked = self.observers[0].0;
        if let Some(port) = &mut tests.port
            && transaction == port.transaction
            && from.ip() == asked.ip()
            && from.port() != asked.port()
        {
            port.answered = Some(true);
        }
    }

    /// The super node knows nobody who could answer test II: asks another, or gives the test up.
    pub fn nobody_else(&mut self, core: &Core, from: SocketAddrV4, transaction: u32) {
        let Some(tests) = &mut self.tests else {
            return;
        };
        if transaction != tests.address.transaction
            || from != self.observers[tests.asked].0
            || tests.address.answered.is_some()
        {
            return;
        }
        if tests.asked + 1 < self.observers.len() {
            tests.asked += 1;
            tests.address.tries = 0;
            tests.address.due = core.now;
        } else {
            tests.address.answered = Some(false);
        }
    }

    pub fn next_timeout(&self) -> Option<Time> {
        let tests = self.tests.as_ref().filter(|_| self.verdict.is_none())?;
        [Some(&tests.address), tests.port.as_ref()]
            .into_iter()
            .flatten()
            .filter(|test| test.answered.is_none())
            .map(|test| test.due)
            .min()
    }
}

fn judge(translated: bool, tests: &Tests) -> Option<NatVerdict> {
    let port = tests.port.as_ref().and_then(|test| test.answered);
    match (translated, tests.address.answered, port) {
        (false, Some(true), _) => Some(NatVerdict::Open),
        (false, Some(false), _) => Some(NatVerdict::SymmetricUdpFirewall),
        (true, Some(true), _) => Some(NatVerdict::FullCone),
        (true, Some(false), Some(true)) => Some(NatVerdict::RestrictedCone),
        (true, Some(false), Some(false)) => Some(NatVerdict::PortRestricted),
        _ => None,
    }
}
