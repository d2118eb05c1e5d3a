//! After the login: presence advertised by UDP to the backup connectivity list (step 4), and relay
//! candidates probed.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::core::Core;
use crate::machine::Time;
use crate::paced::{Pace, Paced};
use crate::user::UserName;
use crate::wire::datagram::Datagram;
use crate::wire::super_node::Presence;

fn pace(core: &Core) -> Pace {
    Pace {
        interval: core.parameters.advertisement_interval.duration(),
        patience: core.parameters.advertisement_retransmit_interval.duration(),
        tries: core.parameters.advertisement_tries.get(),
    }
}

/// The advertisements.
#[derive(Debug)]
pub(super) struct Advertising {
    questions: Paced,
    presence: Presence,
    super_node: SocketAddrV4,
    /// Nodes that answered: the backup connectivity list.
    pub backup: Vec<SocketAddrV4>,
}

impl Advertising {
    /// Tells `nodes` where the client is reached, and which super node has its certificate.
    pub fn new(
        core: &mut Core,
        nodes: Vec<SocketAddrV4>,
        presence: Presence,
        super_node: SocketAddrV4,
    ) -> Self {
        let pace = pace(core);
        Self {
            questions: Paced::new(core.now, &mut core.random, nodes, pace),
            presence,
            super_node,
            backup: Vec::new(),
        }
    }

    /// Sends what is due.
    pub fn advance(&mut self, core: &mut Core, user: &UserName) {
        for (to, transaction) in self.questions.take_due(core.now) {
            let message = Datagram::Advertisement {
                transaction,
                user: user.clone(),
                nat: self.presence.nat,
                private: self.presence.private,
                public: self.presence.public,
                super_node: self.super_node,
            };
            core.datagram(to, &message);
        }
    }

    /// A node answered; `false` if it was not asked. A client behind a NAT confirms.
    pub fn answered(
        &mut self,
        core: &mut Core,
        from: SocketAddrV4,
        transaction: u32,
        mapped: SocketAddrV4,
        confirm: bool,
    ) -> bool {
        if self.questions.answer(core.now, from, transaction).is_none() {
            return false;
        }
        self.backup.push(from);
        if confirm {
            core.datagram(from, &Datagram::AdvertisementConfirmation { transaction, mapped });
        }
        true
    }

    pub fn asked(&self) -> u32 {
        self.questions.asked()
    }

    pub fn answers(&self) -> u32 {
        self.questions.answered()
    }

    pub fn is_over(&self) -> bool {
        self.questions.is_over()
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.questions.next_timeout()
    }
}

/// Relay candidates of a client behind a NAT or firewall: probed by UDP where there is UDP, so that a call
/// takes the nearest.
#[derive(Debug)]
pub(super) struct Relays {
    probes: Paced,
    /// The candidates with their round trips; the nearest first. Without UDP, as the super node gave them.
    pub candidates: Vec<(SocketAddrV4, Option<Duration>)>,
}

impl Relays {
    pub fn new(core: &mut Core, nodes: Vec<SocketAddrV4>, udp: bool) -> Self {
        let pace = pace(core);
        let (probed, kept) = if udp { (nodes, Vec::new()) } else { (Vec::new(), nodes) };
        let candidates = kept.into_iter().map(|node| (node, None)).collect();
        Self { probes: Paced::new(core.now, &mut core.random, probed, pace), candidates }
    }

    /// Sends what is due.
    pub fn advance(&mut self, core: &mut Core) {
        for (to, transaction) in self.probes.take_due(core.now) {
            core.datagram(to, &Datagram::Probe { transaction });
        }
    }

    /// A candidate answered; ignored if it was not asked.
    pub fn answered(&mut self, core: &Core, from: SocketAddrV4, transaction: u32) {
        if let Some(round_trip) = self.probes.answer(core.now, from, transaction) {
            self.candidates.push((from, Some(round_trip)));
            self.candidates.sort_by_key(|&(_, round_trip)| round_trip);
        }
    }

    pub fn is_over(&self) -> bool {
        self.probes.is_over()
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.probes.next_timeout()
    }
}
