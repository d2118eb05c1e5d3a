//! Logged in: buddies, relay candidates, backup connectivity, and then one super node kept at hand.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::Client;
use super::advertising::{Advertising, Relays};
use super::core::{Core, shuffle};
use super::links::{Links, Stage};
use crate::event::{LoginEvent, LoginSummary, NatVerdict};
use crate::machine::{ConnectionId, Time};
use crate::user::UserName;
use crate::wire::List;
use crate::wire::super_node::ToSuperNode;

/// What is under way once the user is logged in.
#[derive(Debug)]
pub(super) struct LoggedIn {
    nat: NatVerdict,
    /// Until when host lists, buddies and relay candidates are waited for.
    due: Time,
    buddies_awaited: usize,
    relays_awaited: bool,
    relays: Option<Relays>,
    /// Advertisements, or the connections in their place, have begun.
    spread: bool,
    advertising: Option<Advertising>,
    finished: bool,
    /// When another super node is looked for, if none is left.
    replace_at: Option<Time>,
}

impl LoggedIn {
    /// Asks the super node in use for what the client needs.
    pub fn start(
        core: &mut Core,
        links: &mut Links,
        connection: ConnectionId,
        nat: NatVerdict,
        buddies: Vec<UserName>,
    ) -> Self {
        let buddies_awaited = buddies.len();
        if buddies_awaited > 0 {
            links.ask(core, connection, &ToSuperNode::BuddiesWanted { users: List::new(buddies) });
        }
        let relays = core.parameters.relay_candidates.get();
        let relays_awaited = nat != NatVerdict::Open && relays > 0;
        if relays_awaited {
            let most = u8::try_from(relays).unwrap_or(u8::MAX);
            links.ask(core, connection, &ToSuperNode::RelaysWanted { most });
        }
        Self {
            nat,
            due: core.answer_due(),
            buddies_awaited,
            relays_awaited,
            relays: None,
            spread: false,
            advertising: None,
            finished: false,
            replace_at: None,
        }
    }

    pub fn relay_candidates(&self) -> &[(SocketAddrV4, Option<Duration>)] {
        self.relays.as_ref().map_or(&[], |relays| &relays.candidates)
    }

    pub fn backup_nodes(&self) -> &[SocketAddrV4] {
        self.advertising.as_ref().map_or(&[], |advertising| &advertising.backup)
    }

    pub fn buddy_answered(&mut self) {
        self.buddies_awaited = self.buddies_awaited.saturating_sub(1);
    }

    pub fn relays_told(&mut self, core: &mut Core, nodes: Vec<SocketAddrV4>, udp: bool) {
        if std::mem::take(&mut self.relays_awaited) {
            let most = core.parameters.relay_candidates.get();
            let nodes = nodes.into_iter().take(most).collect();
            self.relays = Some(Relays::new(core, nodes, udp));
        }
    }

    pub fn relay_answered(&mut self, core: &Core, from: SocketAddrV4, transaction: u32) {
        if let Some(relays) = &mut self.relays {
            relays.answered(core, from, transaction);
        }
    }

    /// True if the node had been asked.
    pub fn advertisement_answered(
        &mut self,
        core: &mut Core,
        from: SocketAddrV4,
        transaction: u32,
        mapped: SocketAddrV4,
    ) -> bool {
        let translated = !matches!(self.nat, NatVerdict::Open | NatVerdict::SymmetricUdpFirewall);
        self.advertising
            .as_mut()
            .is_some_and(|advertising| advertising.answered(core, from, transaction, mapped, translated))
    }

    fn is_waiting(&self, now: Time) -> bool {
        now < self.due && (self.buddies_awaited > 0 || self.relays_awaited)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        let waiting = self.buddies_awaited > 0 || self.relays_awaited || !self.spread;
        [
            (waiting && !self.finished).then_some(self.due),
            self.relays.as_ref().and_then(Relays::next_timeout),
            self.advertising.as_ref().and_then(Advertising::next_timeout),
            self.replace_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Client {
    /// Carries on with what is under way, until it is finished; then sees to it that a super node is at
    /// hand.
    pub(super) fn logged_in(&mut self) {
        self.register();
        let Some(mut after) = self.after.take() else {
            return;
        };
        if self.core.now >= after.due {
            self.links.stop_awaiting_hosts();
        }
        if !after.spread && !self.links.awaits_hosts() {
            after.spread = true;
            self.start_spreading(&mut after);
        }
        if let Some(relays) = &mut after.relays {
            relays.advance(&mut self.core);
        }
        if let (Some(advertising), Some((presence, super_node))) = (&mut after.advertising, self.presence()) {
            advertising.advance(&mut self.core, &self.config.user, &presence, super_node);
        }
        let over = after.spread
            && !after.is_waiting(self.core.now)
            && after.relays.as_ref().is_none_or(Relays::is_over)
            && after.advertising.as_ref().is_none_or(Advertising::is_over)
            && !self.links.is_busy()
            && self.links.count(Stage::Registered) > 0;
        if over && !after.finished {
            after.finished = true;
            self.finish(&after);
        }
        self.keep_super_node(&mut after);
        self.after = Some(after);
    }

    fn start_spreading(&mut self, after: &mut LoggedIn) {
        let connected: Vec<_> = self.links.nodes().collect();
        let mut nodes = self.cache.trusted();
        nodes.retain(|node| !connected.contains(node));
        shuffle(&mut self.core.random, &mut nodes);
        if after.nat == NatVerdict::UdpBlocked {
            let more = self.core.parameters.tcp_backup_nodes.get();
            if more > 0 {
                let goal = self.links.count(Stage::Welcomed) + more;
                self.links.start_sweep(&self.core, nodes, goal);
                self.links.advance(&mut self.core);
            }
        } else {
            nodes.truncate(self.core.parameters.advertisement_nodes.get());
            after.advertising = Some(Advertising::new(&mut self.core, nodes));
        }
    }

    fn finish(&mut self, after: &LoggedIn) {
        if after.nat != NatVerdict::UdpBlocked {
            self.links.keep_one(&mut self.core);
        }
        let summary = LoginSummary {
            nat: after.nat,
            super_nodes: self.links.registered(),
            advertised_to: after.advertising.as_ref().map_or(0, Advertising::asked),
            advertisements_answered: after.advertising.as_ref().map_or(0, Advertising::answers),
            rounds: self.round,
            host_cache_entries: self.cache.len(),
        };
        self.core.event(LoginEvent::Finished { summary });
    }

    /// Where every connection is lost, looks for another super node: at once, then each `round_pause`.
    fn keep_super_node(&mut self, after: &mut LoggedIn) {
        if self.links.count(Stage::Connecting) > 0 || self.links.is_connecting() {
            after.replace_at = None;
            return;
        }
        let at = *after.replace_at.get_or_insert(self.core.now);
        if self.core.now >= at {
            after.replace_at = Some(self.core.now + self.core.parameters.round_pause.duration());
            let mut nodes = self.cache.trusted();
            shuffle(&mut self.core.random, &mut nodes);
            self.links.start_sweep(&self.core, nodes, 1);
            self.links.advance(&mut self.core);
        }
    }
}
