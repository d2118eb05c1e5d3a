//! What a client's calls need of its login, and the other way round.

use super::Client;
use super::links::Stage;
use super::steps::Phase;
use crate::call::event::{CallEnd, CallEvent, CallSummary};
use crate::call::{Callee, Own};
use crate::machine::ConnectionId;
use crate::user::UserName;
use crate::wire::call::whole;
use crate::wire::directory::DirectoryRecord;

impl Client {
    /// Where the client's call stands: `none`, `calling`, `ringing` or `active`.
    #[must_use]
    pub fn call_state(&self) -> &'static str {
        if self.wanted.is_some() { "calling" } else { self.calls.state() }
    }

    /// Calls a user: searches, then calls who was found.
    pub(super) fn call(&mut self, user: UserName) {
        if !matches!(self.phase, Phase::LoggedIn) {
            self.no_call(&user, CallEnd::NotLoggedIn);
        } else if self.call_state() != "none" {
            self.core.event(CallEvent::TurnedAway { user: user.to_string(), reason: CallEnd::Busy });
        } else {
            self.wanted = Some(user.clone());
            self.search(user);
        }
    }

    pub(super) fn hang_up(&mut self) {
        if let Some(user) = self.wanted.take() {
            self.no_call(&user, CallEnd::Cancelled);
        }
        self.calls.hang_up(&mut self.core);
    }

    /// Ends what is under way: the client logs out.
    pub(super) fn end_calls(&mut self) {
        self.hang_up();
        self.calls.close_all(&mut self.core);
        self.send_for_links();
    }

    /// A search has ended: if it was for a call, the call begins or ends.
    pub(super) fn call_found(&mut self, user: &UserName, found: Option<&DirectoryRecord>) {
        if self.wanted.as_ref() != Some(user) {
            return;
        }
        let Some(user) = self.wanted.take() else {
            return;
        };
        let Some(record) = found.filter(|record| record.online) else {
            self.no_call(&user, CallEnd::Unreachable);
            return;
        };
        let callee = Callee {
            certificate: record.certificate.clone(),
            presence: record.presence.clone(),
            super_nodes: record.super_nodes.as_slice().to_vec(),
        };
        self.with_calls(|calls, core, own| calls.call(core, own, callee));
    }

    fn no_call(&mut self, user: &UserName, reason: CallEnd) {
        let summary = CallSummary::default();
        self.core.event(CallEvent::Ended { user: user.to_string(), reason, summary });
    }

    /// Somebody connected to this client.
    pub(super) fn accepted(&mut self, connection: ConnectionId) {
        if matches!(self.phase, Phase::LoggedIn) {
            let mut known = false;
            self.with_calls(|calls, core, own| {
                known = true;
                calls.accepted(core, own, connection);
            });
            if !known {
                self.core.close(connection);
            }
        } else {
            self.core.close(connection);
        }
    }

    /// Somebody is there through a super node.
    pub(super) fn call_reached(&mut self, link: ConnectionId, channel: u32) {
        self.with_calls(|calls, core, own| calls.reached(core, own, link, channel));
    }

    pub(super) fn call_data(&mut self, connection: ConnectionId, data: &[u8]) {
        self.with_calls(|calls, core, own| calls.data(core, own, connection, data));
    }

    /// A super node passed on a signal.
    pub(super) fn call_signal(&mut self, link: ConnectionId, channel: u32, signal: &[u8]) {
        match whole(signal) {
            Ok(signal) => self.with_calls(|calls, core, own| calls.passed(core, own, link, channel, signal)),
            Err(_) => self.calls.channel_closed(&mut self.core, link, channel),
        }
    }

    /// Does what is due.
    pub(super) fn advance_calls(&mut self) {
        for link in self.calls.links() {
            if !self.links.has(link) {
                self.calls.link_lost(&mut self.core, link);
            }
        }
        self.calls.advance(&mut self.core);
        self.send_for_links();
    }

    fn send_for_links(&mut self) {
        for crate::call::ForLink { connection, message } in self.calls.take_for_link() {
            self.links.ask(&mut self.core, connection, &message);
        }
    }

    /// Lets `act` work on the calls, if the client has a certificate and knows its NAT type.
    fn with_calls(&mut self, act: impl FnOnce(&mut crate::call::Calls, &mut super::core::Core, &Own<'_>)) {
        let Some((presence, _)) = self.presence() else {
            return;
        };
        let Some(identity) = &self.identity else {
            return;
        };
        let measured = self.after.as_ref().map_or(&[][..], |after| after.relay_candidates());
        let backup = self.after.as_ref().map_or(&[][..], |after| after.backup_nodes());
        let mut relays = Vec::new();
        // The nearest by UDP first; what did not answer is no candidate where others did.
        let answered = measured.iter().any(|(_, round_trip)| round_trip.is_some());
        let candidates = measured.iter().filter(|(_, round_trip)| round_trip.is_some() || !answered);
        for node in
            candidates.map(|(node, _)| *node).chain(self.links.registered()).chain(backup.iter().copied())
        {
            if !relays.contains(&node) {
                relays.push(node);
            }
        }
        self.calls.nearest_first(&mut relays);
        let port = self.links.in_use().filter(|(_, link)| link.stage == Stage::Registered);
        let port = port.and_then(|(_, link)| link.other_port());
        let own = Own {
            user: &self.config.user,
            certificate: &identity.certificate,
            keys: &identity.keys,
            presence,
            login_servers: &self.config.login_servers,
            relays,
            port,
        };
        act(&mut self.calls, &mut self.core, &own);
        self.send_for_links();
    }
}
