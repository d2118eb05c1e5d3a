//! The UDP phase of a round: host-cache entries are probed one after another.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::core::Core;
use crate::event::LoginEvent;
use crate::host_cache::HostCache;
use crate::machine::Time;
use crate::paced::{Pace, Paced};
use crate::wire::datagram::Datagram;

/// A super node that answered a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub from: SocketAddrV4,
    /// Where it sees the client.
    pub mapped: SocketAddrV4,
    round_trip: Duration,
    load: u16,
}

/// How the phase ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// These answered, the best first: by round trip in steps of 10 ms, then by load.
    Answered(Vec<SocketAddrV4>),
    /// None of so many answered.
    Blocked { probes: u32 },
}

/// The phase under way.
#[derive(Debug)]
pub(super) struct Probing {
    probes: Paced,
    answers: Vec<Answer>,
}

impl Probing {
    pub fn new(core: &mut Core, cache: &HostCache) -> Self {
        let parameters = &core.parameters;
        let pace = Pace {
            interval: parameters.udp_probe_interval.duration(),
            patience: parameters.answer_timeout.duration(),
            tries: 1,
        };
        let limit = parameters.udp_probe_limit.get();
        Self {
            probes: Paced::new(core.now, &mut core.random, cache.entries().into_iter().take(limit), pace),
            answers: Vec::new(),
        }
    }

    /// Sends what is due.
    pub fn advance(&mut self, core: &mut Core) {
        for (to, transaction) in self.probes.take_due(core.now) {
            core.event(LoginEvent::UdpProbe { to });
            core.datagram(to, &Datagram::Probe { transaction });
        }
    }

    /// Takes an answer; `None` if it answers no probe that is waited for.
    pub fn answer(
        &mut self,
        core: &mut Core,
        from: SocketAddrV4,
        transaction: u32,
        mapped: SocketAddrV4,
        load: u16,
    ) -> Option<Answer> {
        let round_trip = self.probes.answer(core.now, from, transaction)?;
        core.event(LoginEvent::UdpAnswer { from });
        let answer = Answer { from, mapped, round_trip, load };
        self.answers.push(answer);
        Some(answer)
    }

    /// How it ended; `None` while it goes on. The cache learns which entries answered and which did not.
    pub fn outcome(&mut self, core: &Core, cache: &mut HostCache) -> Option<Outcome> {
        let enough = self.answers.len() >= core.parameters.super_nodes_wanted.get();
        if !enough && !self.probes.is_over() {
            return None;
        }
        self.probes.silent().for_each(|address| cache.silent(address));
        self.answers.iter().for_each(|answer| cache.answered(answer.from));
        if self.answers.is_empty() {
            return Some(Outcome::Blocked { probes: self.probes.asked() });
        }
        self.answers.sort_by_key(|answer| (answer.round_trip.as_millis() / 10, answer.load));
        Some(Outcome::Answered(self.answers.iter().map(|answer| answer.from).collect()))
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.probes.next_timeout()
    }
}
