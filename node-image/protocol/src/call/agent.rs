//! A client's calls: the one that it is in, and whoever else knocks.

use std::net::SocketAddrV4;

use rand_core::RngCore;

use super::Callee;
use super::channel::{Channel, Dialling, ForLink, Target};
use super::current::{Agreed, Call, Stage};
use super::event::{CallEnd, CallEvent, CallSummary};
use super::keys::Side;
use super::media::{CONTROL_FROM, Heard};
use super::path;
use super::survey::Survey;
use crate::certificate::Certificate;
use crate::crypto::keys::{ClientKeyPair, ServerPublicKey};
use crate::event::ClientEvent;
use crate::login::Core;
use crate::machine::{ConnectionId, Time};
use crate::user::UserName;
use crate::wire::Message;
use crate::wire::call::{Control, Signal, whole};
use crate::wire::datagram::Datagram;
use crate::wire::login_server::Nonce;
use crate::wire::super_node::Presence;

/// Strangers that may knock at a time.
const MOST_PENDING: usize = 8;
/// How often a hang-up is sent on a media path, which may lose it.
const HANG_UPS: usize = 3;

/// What a call needs to know of the client that makes it.
pub(crate) struct Own<'a> {
    pub user: &'a UserName,
    pub certificate: &'a Certificate,
    pub keys: &'a ClientKeyPair,
    pub presence: Presence,
    pub login_servers: &'a [(SocketAddrV4, ServerPublicKey)],
    /// Relays that it knows, the best first.
    pub relays: Vec<SocketAddrV4>,
    /// The port that it reached its super node at, if it is not that node's own.
    pub port: Option<u16>,
}

/// Somebody who connected and did not say yet who it is.
#[derive(Debug)]
pub(super) struct Pending {
    pub channel: Channel,
    pub nonce: Nonce,
    deadline: Time,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(super) current: Option<Box<Call>>,
    pub(super) pending: Vec<Pending>,
    /// To be sent on links to super nodes.
    pub(super) for_link: Vec<ForLink>,
    survey: Survey,
}

impl Calls {
    pub fn take_for_link(&mut self) -> Vec<ForLink> {
        std::mem::take(&mut self.for_link)
    }

    /// Brings relays into the order in which they are named: the nearest first, as far as that was measured.
    pub fn nearest_first(&self, relays: &mut [SocketAddrV4]) {
        self.survey.sort(relays);
    }

    /// A call begins: whoever cannot measure relays by UDP does so now.
    fn measure_relays(&mut self, core: &mut Core, own: &Own<'_>) {
        if !path::udp_leg(own.presence.nat) {
            self.survey.start(core, &own.relays, own.port);
        }
    }

    /// Links that signalling goes over.
    pub fn links(&self) -> Vec<ConnectionId> {
        let channels = self.pending.iter().map(|pending| &pending.channel);
        let current = self.current.as_ref().and_then(|call| call.channel.as_ref());
        channels.chain(current).filter_map(Channel::link).collect()
    }

    /// Where the client's call stands: `none`, `calling`, `ringing` or `active`.
    pub fn state(&self) -> &'static str {
        match self.current.as_ref().map(|call| &call.stage) {
            None => "none",
            Some(Stage::Ringing) => "ringing",
            Some(Stage::Active) => "active",
            Some(_) => "calling",
        }
    }

    // --- What the user wants -------------------------------------------------------------------------

    /// Calls somebody.
    pub fn call(&mut self, core: &mut Core, own: &Own<'_>, callee: Callee) {
        let peer = callee.certificate.user.clone();
        if self.current.is_some() || peer == *own.user {
            turned_away(core, &peer, CallEnd::Busy);
            return;
        }
        core.event(CallEvent::Calling { user: peer.to_string() });
        self.measure_relays(core, own);
        let mut targets = Vec::new();
        targets.extend(path::straight_to(own.presence.nat, &callee.presence).map(Target::Straight));
        targets.extend(callee.super_nodes.iter().copied().map(Target::Through));
        let dialling = Dialling::start(core, peer.clone(), targets, own.port);
        let call = Call::outgoing(core, peer, callee, dialling);
        self.current = Some(Box::new(call));
    }

    /// Takes the call that rings.
    pub fn answer(&mut self, core: &mut Core) {
        if let Some(call) = &mut self.current
            && call.side == Side::Callee
            && matches!(call.stage, Stage::Ringing)
        {
            call.answer_by = Some(core.now + core.parameters.call_dial_timeout.duration());
            self.answer_when_ready(core);
        }
    }

    /// Tells the caller that the call is taken, as soon as the first words will not be lost.
    fn answer_when_ready(&mut self, core: &mut Core) {
        if let Some(call) = &mut self.current
            && let Some(by) = call.answer_by
            && let Some(agreed) = &call.agreed
            && (agreed.media.both_ready() || core.now >= by)
        {
            call.answer_by = None;
            self.for_link.extend(call.control(core, &Control::Answer {}));
            call.activate(core);
        }
    }

    /// Refuses the call that rings, cancels the own one, or hangs up.
    pub fn hang_up(&mut self, core: &mut Core) {
        let Some(call) = &mut self.current else {
            return;
        };
        let (control, reason) = match (&call.stage, call.side) {
            (Stage::Active, _) => (Control::HangUp {}, CallEnd::HungUp),
            (_, Side::Callee) => (Control::Refuse {}, CallEnd::Refused),
            (_, Side::Caller) => (Control::HangUp {}, CallEnd::Cancelled),
        };
        if call.channel.is_some() {
            self.for_link.extend(call.control(core, &control));
        } else if let Some(Agreed { keys, media }) = &mut call.agreed {
            for _ in 0..HANG_UPS {
                media.send_control(core, keys, &control.to_frame());
            }
        }
        self.end(core, reason);
    }

    /// Sends a packet's voice, once the call is answered.
    pub fn voice(&mut self, core: &mut Core, voice: &[u8]) {
        if let Some(call) = &mut self.current
            && matches!(call.stage, Stage::Active)
            && let Some(Agreed { keys, media }) = &mut call.agreed
        {
            media.send_voice(core, keys, voice);
        }
    }

    /// The client logs out: nobody is told, all connections are closed.
    pub fn close_all(&mut self, core: &mut Core) {
        self.hang_up(core);
        for pending in std::mem::take(&mut self.pending) {
            self.for_link.extend(pending.channel.close(core));
        }
        self.survey.close(core);
    }

    // --- What happens on the network -----------------------------------------------------------------

    /// Somebody connected straight to the client.
    pub fn accepted(&mut self, core: &mut Core, own: &Own<'_>, connection: ConnectionId) {
        let channel = Channel::Straight { connection, stream: crate::wire::stream::Stream::default() };
        self.greet(core, own, channel);
    }

    /// Somebody is there through a super node.
    pub fn reached(&mut self, core: &mut Core, own: &Own<'_>, connection: ConnectionId, channel: u32) {
        self.greet(core, own, Channel::Link { connection, channel });
    }

    fn greet(&mut self, core: &mut Core, own: &Own<'_>, mut channel: Channel) {
        if self.pending.len() >= MOST_PENDING {
            self.for_link.extend(channel.close(core));
            return;
        }
        let mut nonce = Nonce::default();
        core.random.fill_bytes(&mut nonce);
        self.for_link.extend(channel.send(core, &Signal::Greeting { nonce }));
        if self.current.is_none() {
            self.measure_relays(core, own);
        }
        let deadline = core.now + core.parameters.call_setup_timeout.duration();
        self.pending.push(Pending { channel, nonce, deadline });
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.survey.owns(connection)
            || self.pending.iter().any(|pending| pending.channel.owns(connection))
            || self.current.as_ref().is_some_and(|call| call.owns(connection))
    }

    /// A connection that the call opened is made.
    pub fn connected(&mut self, core: &mut Core, connection: ConnectionId) {
        if self.survey.owns(connection) {
            self.survey.connected(core, connection);
            return;
        }
        let Some(call) = &mut self.current else {
            return;
        };
        if let Some(Agreed { media, .. }) = &mut call.agreed
            && media.owns(connection)
        {
            media.connected(core, connection);
        } else if let Stage::Dialling(dialling) = &mut call.stage {
            let dialled = dialling.connected(core);
            self.dialled(core, dialled);
        }
    }

    /// A connection was not made, or ended.
    pub fn ended(&mut self, core: &mut Core, connection: ConnectionId) {
        self.survey.ended(connection);
        self.pending.retain(|pending| !pending.channel.owns(connection));
        let Some(call) = &mut self.current else {
            return;
        };
        if let Some(Agreed { keys, media }) = &mut call.agreed
            && media.owns(connection)
        {
            media.ended(core, keys);
            return;
        }
        if let Stage::Dialling(dialling) = &mut call.stage
            && dialling.owns(connection)
        {
            let dialled = dialling.ended(core);
            self.dialled(core, dialled);
        } else if call.channel.as_ref().is_some_and(|channel| channel.owns(connection)) {
            self.channel_lost(core);
        }
    }

    /// A link to a super node is gone, and the channels on it.
    pub fn link_lost(&mut self, core: &mut Core, link: ConnectionId) {
        self.pending.retain(|pending| !pending.channel.is_on_link(link));
        if self.is_current(|channel| channel.is_on_link(link)) {
            self.channel_lost(core);
        }
    }

    /// The other end left a channel on a link.
    pub fn channel_closed(&mut self, core: &mut Core, link: ConnectionId, number: u32) {
        self.pending.retain(|pending| !pending.channel.is_link(link, number));
        if self.is_current(|channel| channel.is_link(link, number)) {
            self.channel_lost(core);
        }
    }

    fn is_current(&self, which: impl Fn(&Channel) -> bool) -> bool {
        self.current.as_ref().is_some_and(|call| call.channel.as_ref().is_some_and(which))
    }

    pub(super) fn channel_lost(&mut self, core: &mut Core) {
        let Some(call) = &mut self.current else {
            return;
        };
        call.channel = None;
        match (&call.stage, call.side) {
            (Stage::Active | Stage::Yielded, _) => {}
            (_, Side::Callee) => self.end(core, CallEnd::Cancelled),
            (_, Side::Caller) => self.end(core, CallEnd::Unreachable),
        }
    }

    /// Bytes on a connection of the call.
    pub fn data(&mut self, core: &mut Core, own: &Own<'_>, connection: ConnectionId, data: &[u8]) {
        if let Some(place) = self.pending.iter().position(|pending| pending.channel.owns(connection)) {
            let pending = &mut self.pending[place];
            pending.channel.receive(data);
            match pending.channel.next_signal() {
                Ok(None) => {}
                Ok(Some(signal)) => self.knocked(core, own, place, signal),
                Err(_) => {
                    let pending = self.pending.swap_remove(place);
                    self.for_link.extend(pending.channel.close(core));
                }
            }
            return;
        }
        let Some(call) = &mut self.current else {
            return;
        };
        if let Some(Agreed { keys, media }) = &mut call.agreed
            && media.owns(connection)
        {
            let heard = media.data(core, keys, data);
            self.heard(core, heard);
        } else if let Stage::Dialling(dialling) = &mut call.stage {
            let dialled = dialling.data(core, data);
            self.dialled(core, dialled);
            self.signals(core, own);
        } else if let Some(channel) = &mut call.channel {
            channel.receive(data);
            self.signals(core, own);
        }
    }

    /// A signal on a link.
    pub fn passed(
        &mut self,
        core: &mut Core,
        own: &Own<'_>,
        link: ConnectionId,
        number: u32,
        signal: Signal,
    ) {
        if let Some(place) = self.pending.iter().position(|pending| pending.channel.is_link(link, number)) {
            self.knocked(core, own, place, signal);
        } else if self.is_current(|channel| channel.is_link(link, number)) {
            self.signal(core, own, signal);
        }
    }

    /// A datagram that may be the call's; `false` if it is not.
    pub fn datagram(&mut self, core: &mut Core, from: SocketAddrV4, data: &[u8]) -> bool {
        if let Some(call) = &mut self.current
            && let Some(Agreed { keys, media }) = &mut call.agreed
            && let Some(heard) = media.datagram(core, keys, from, data)
        {
            self.heard(core, vec![heard]);
            return true;
        }
        false
    }

    /// A relay's answer by UDP.
    pub fn relay_answered(&mut self, core: &mut Core, from: SocketAddrV4, answer: &Datagram) {
        if let Some(call) = &mut self.current
            && let Some(Agreed { keys, media }) = &mut call.agreed
        {
            media.answer(core, keys, from, answer);
        }
    }

    fn heard(&mut self, core: &mut Core, heard: Vec<Heard>) {
        for Heard { sequence, content } in heard {
            let active = self.current.as_ref().is_some_and(|call| matches!(call.stage, Stage::Active));
            if sequence < CONTROL_FROM && active {
                core.event(ClientEvent::Voice { sequence, voice: content });
            } else if active && matches!(whole(&content), Ok(Control::HangUp {})) {
                self.end(core, CallEnd::PeerHungUp);
            }
        }
    }

    // --- Time ----------------------------------------------------------------------------------------

    pub fn advance(&mut self, core: &mut Core) {
        self.survey.advance(core);
        while let Some(place) = self.pending.iter().position(|pending| core.now >= pending.deadline) {
            let pending = self.pending.swap_remove(place);
            self.for_link.extend(pending.channel.close(core));
        }
        let Some(call) = &mut self.current else {
            return;
        };
        if let Stage::Dialling(dialling) = &mut call.stage {
            let dialled = dialling.advance(core);
            self.dialled(core, dialled);
        }
        self.advance_media(core);
        let Some(call) = &mut self.current else {
            return;
        };
        if core.now >= call.keep_alive_at {
            call.keep_alive_at = core.now + core.parameters.keep_alive_interval.duration();
            if let Some(channel) = &mut call.channel {
                channel.keep_alive(core);
            }
        }
        if call.deadline.is_some_and(|deadline| core.now >= deadline) {
            let rings = matches!(call.stage, Stage::Ringing);
            if rings && call.side == Side::Caller {
                self.for_link.extend(call.control(core, &Control::HangUp {}));
            }
            self.end(core, if rings { CallEnd::NoAnswer } else { CallEnd::Unreachable });
        }
    }

    fn advance_media(&mut self, core: &mut Core) {
        let Some(call) = &mut self.current else {
            return;
        };
        let Some(Agreed { keys, media }) = &mut call.agreed else {
            return;
        };
        if !media.advance(core, keys) {
            self.end(core, CallEnd::Lost);
        } else if let Some(news) = media.take_news() {
            self.for_link.extend(call.control(core, &news));
        }
        self.answer_when_ready(core);
    }

    pub fn next_timeout(&self, core: &Core) -> Option<Time> {
        let pending = self.pending.iter().map(|pending| pending.deadline).min();
        let call = self.current.as_ref().and_then(|call| {
            let dialling = match &call.stage {
                Stage::Dialling(dialling) => dialling.next_timeout(),
                _ => None,
            };
            let media = call.agreed.as_ref().and_then(|agreed| agreed.media.next_timeout(core));
            [dialling, media, call.deadline, call.answer_by, Some(call.keep_alive_at)]
                .into_iter()
                .flatten()
                .min()
        });
        [pending, call, self.survey.next_timeout()].into_iter().flatten().min()
    }

    /// Ends the call that the client is in.
    pub(super) fn end(&mut self, core: &mut Core, reason: CallEnd) {
        let Some(call) = self.current.take() else {
            return;
        };
        let counts = call.agreed.as_ref().map(|agreed| agreed.media.counts.clone()).unwrap_or_default();
        let summary = CallSummary {
            setup_ms: call.answered.map(|at| (at - call.started).as_secs_f64() * 1e3),
            sent: counts.sent,
            received: counts.received,
            gaps_ms: counts.gaps.iter().map(|gap| gap.as_secs_f64() * 1e3).collect(),
        };
        let user = call.peer.to_string();
        self.for_link.extend(call.close(core));
        core.event(CallEvent::Ended { user, reason, summary });
    }
}

pub(super) fn turned_away(core: &mut Core, user: &UserName, reason: CallEnd) {
    core.event(CallEvent::TurnedAway { user: user.to_string(), reason });
}
