//! The media path of one end: straight, or through a relay; and another one when it breaks.
//!
//! # How both ends come to the same path
//!
//! Paths are numbered by **generation**. Generation 0 is the straight one, where there is one; generation n is
//! the relay in place n - 1 of the list that both ends have, over and over. The ticket for the relay follows from
//! the session key and the generation, so the ends need not talk to meet at the next relay:
//!
//! 1. An end that is refused or not answered by a relay goes on to the next generation at once.
//! 2. An end that heard the peer on this path, and then not for `media_silence` (`media_silence_by_tcp` where an
//!    end's media go by TCP), goes on.
//! 3. An end that is on a path for `media_patience` without hearing the peer goes on.
//! 4. Who goes on tells the peer through signalling, if that still works; who is told of a later
//!    generation than its own goes there. When a relay dies, both ends notice by rule 2 alike.
//! 5. After `call_silence` without the peer the call is over.
//!
//! Before the call is answered only rule 1 and 4 hold: nobody is to be heard yet. Each end also tells when it has its
//! place, so that the callee takes the call when the first words will not be lost.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::event::{CallEvent, MediaProtocol};
use super::keys::{CallKeys, Side};
use super::path;
pub(crate) use super::plan::Plan;
use super::plan::Target;
use crate::login::Core;
use crate::machine::{ConnectionId, Time};
use crate::wire::Bytes;
use crate::wire::call::{Control, Ticket};
use crate::wire::datagram::Datagram;
use crate::wire::stream::Stream;
use crate::wire::super_node::{FromSuperNode, ToSuperNode};

/// From this sequence number on, a media packet holds a [`crate::wire::call::Control`].
pub(crate) const CONTROL_FROM: u32 = 1 << 31;

/// How far this end is with the path in use.
#[derive(Debug)]
enum Leg {
    Straight { peer: SocketAddrV4 },
    Asking { transaction: u32, cookie: [u8; 8], tries: u32, next_at: Time },
    Udp { transaction: u32, cookie: [u8; 8], refresh_at: Time },
    Dialling { connection: ConnectionId, ports: Vec<u16>, deadline: Time },
    Joining { connection: ConnectionId, stream: Stream, deadline: Time },
    Tcp { connection: ConnectionId, stream: Stream, refresh_at: Time },
}

/// What came of an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub sequence: u32,
    pub content: Vec<u8>,
}

/// Sums of a call's media, as this end saw them.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaCounts {
    pub sent: u64,
    pub received: u64,
    pub gaps: Vec<Duration>,
}

/// The farthest that a peer goes on at once: twice over all relays.
const FARTHEST_JUMP: u32 = 16;
/// Gaps that are kept for the summary.
const MOST_GAPS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Media {
    plan: Plan,
    side: Side,
    generation: u32,
    ticket: Ticket,
    leg: Leg,
    /// When the path in use was begun.
    since: Time,
    /// When the peer was last heard on it.
    heard: Option<Time>,
    /// When the peer was last heard at all; at first, when the call was answered.
    last_heard: Time,
    ever_heard: bool,
    flowing: bool,
    /// To be told to the peer: whether this end has its place.
    news: Option<bool>,
    /// The latest generation that the peer has its place at.
    peer_ready: Option<u32>,
    next_sequence: u32,
    next_control: u32,
    pub counts: MediaCounts,
}

impl Media {
    /// Begins with the first path; `None` if there is neither a straight one nor a relay.
    pub fn new(core: &mut Core, keys: &CallKeys, side: Side, plan: Plan) -> Option<Self> {
        let generation = plan.first_generation();
        plan.target(generation)?;
        let mut media = Self {
            leg: Leg::Straight { peer: plan.straight.unwrap_or(plan.relays.first().copied()?) },
            plan,
            side,
            generation,
            ticket: keys.ticket(generation),
            since: core.now,
            heard: None,
            last_heard: core.now,
            ever_heard: false,
            flowing: false,
            news: None,
            peer_ready: None,
            next_sequence: 0,
            next_control: CONTROL_FROM,
            counts: MediaCounts::default(),
        };
        media.begin(core, keys, generation);
        // That this end is on the way to the first path goes without saying.
        media.news = media.news.filter(|&ready| ready);
        Some(media)
    }

    /// The call is answered: from now on the peer should be heard.
    pub fn start(&mut self, core: &Core) {
        self.flowing = true;
        self.since = core.now;
        self.last_heard = core.now;
    }

    /// What the peer should know of this end's path, once.
    pub fn take_news(&mut self) -> Option<Control> {
        let generation = self.generation;
        self.news.take().map(|ready| Control::Path { generation, ready })
    }

    /// Both ends have their places on the path in use.
    pub fn both_ready(&self) -> bool {
        let own = matches!(self.leg, Leg::Straight { .. } | Leg::Udp { .. } | Leg::Tcp { .. });
        own && self.peer_ready == Some(self.generation)
    }

    /// The peer is on this generation.
    pub fn peer_moved(&mut self, core: &mut Core, keys: &CallKeys, generation: u32, ready: bool) {
        if ready {
            self.peer_ready = Some(generation);
        }
        let most = self.generation.saturating_add(FARTHEST_JUMP);
        if generation > self.generation && generation <= most {
            self.begin(core, keys, generation);
            self.news = self.news.filter(|&ready| ready);
        }
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        match &self.leg {
            Leg::Dialling { connection: own, .. }
            | Leg::Joining { connection: own, .. }
            | Leg::Tcp { connection: own, .. } => *own == connection,
            _ => false,
        }
    }

    fn begin(&mut self, core: &mut Core, keys: &CallKeys, generation: u32) {
        self.close(core);
        self.generation = generation;
        self.ticket = keys.ticket(generation);
        self.since = core.now;
        self.heard = None;
        self.news = Some(false);
        match self.plan.target(generation) {
            Some(Target::Straight(peer)) => {
                self.leg = Leg::Straight { peer };
                self.ready(core, MediaProtocol::Udp);
            }
            Some(Target::Relay(_)) if path::udp_leg(self.plan.own) => {
                let transaction = core.transaction();
                self.leg = Leg::Asking { transaction, cookie: [0; 8], tries: 0, next_at: core.now };
            }
            Some(Target::Relay(relay)) => {
                let mut ports = core.parameters.listening_ports(relay.port());
                if let Some(place) = ports.iter().position(|&port| Some(port) == self.plan.port) {
                    let known = ports.remove(place);
                    ports.insert(0, known);
                }
                ports.reverse();
                self.dial(core, relay, ports);
            }
            None => {}
        }
    }

    /// Tries the last of `ports`.
    fn dial(&mut self, core: &mut Core, relay: SocketAddrV4, mut ports: Vec<u16>) -> bool {
        let Some(port) = ports.pop() else {
            return false;
        };
        let connection = core.connect(SocketAddrV4::new(*relay.ip(), port));
        let deadline = core.now + core.parameters.call_dial_timeout.duration();
        self.leg = Leg::Dialling { connection, ports, deadline };
        true
    }

    fn relay(&self) -> Option<SocketAddrV4> {
        match self.plan.target(self.generation) {
            Some(Target::Relay(relay)) => Some(relay),
            _ => None,
        }
    }

    fn next_generation(&mut self, core: &mut Core, keys: &CallKeys) {
        self.begin(core, keys, self.generation.saturating_add(1));
    }

    fn ready(&mut self, core: &mut Core, protocol: MediaProtocol) {
        self.news = Some(true);
        core.event(CallEvent::MediaPath { generation: self.generation, relay: self.relay(), protocol });
    }

    fn refresh_at(core: &Core) -> Time {
        core.now + core.parameters.relay_refresh_interval.duration()
    }

    pub fn connected(&mut self, core: &mut Core, connection: ConnectionId) {
        if let Leg::Dialling { deadline, .. } = self.leg {
            let mut stream = Stream::default();
            let mut bytes = stream.send(&mut core.random, &ToSuperNode::Hello {});
            bytes.extend(stream.send(&mut core.random, &ToSuperNode::JoinRelay { ticket: self.ticket }));
            core.send(connection, bytes);
            self.leg = Leg::Joining { connection, stream, deadline };
        }
    }

    /// A connection was not made, or ended.
    pub fn ended(&mut self, core: &mut Core, keys: &CallKeys) {
        let ports = match &mut self.leg {
            Leg::Dialling { ports, .. } => std::mem::take(ports),
            _ => Vec::new(),
        };
        let relay = self.relay();
        if !relay.is_some_and(|relay| self.dial(core, relay, ports)) {
            self.next_generation(core, keys);
        }
    }

    /// Bytes of the relay by TCP.
    pub fn data(&mut self, core: &mut Core, keys: &CallKeys, data: &[u8]) -> Vec<Heard> {
        let (Leg::Joining { stream, .. } | Leg::Tcp { stream, .. }) = &mut self.leg else {
            return Vec::new();
        };
        stream.receive(data);
        let mut heard = Vec::new();
        loop {
            let (Leg::Joining { stream, .. } | Leg::Tcp { stream, .. }) = &mut self.leg else {
                return heard;
            };
            match stream.next_message::<FromSuperNode>() {
                Ok(None) => return heard,
                Ok(Some(FromSuperNode::RelayJoined {})) => self.joined_by_tcp(core),
                Ok(Some(FromSuperNode::RelayedMedia { packet })) => {
                    heard.extend(self.packet(core, keys, packet.as_slice()));
                }
                Ok(Some(FromSuperNode::Welcome { .. })) => {}
                Ok(Some(_)) | Err(_) => self.next_generation(core, keys),
            }
        }
    }

    fn joined_by_tcp(&mut self, core: &mut Core) {
        if let Leg::Joining { connection, stream, .. } = &mut self.leg {
            let (connection, stream) = (*connection, std::mem::take(stream));
            self.leg = Leg::Tcp { connection, stream, refresh_at: Self::refresh_at(core) };
            self.ready(core, MediaProtocol::Tcp);
        }
    }

    /// A datagram that may be a media packet; `None` if it is something else.
    pub fn datagram(
        &mut self,
        core: &mut Core,
        keys: &CallKeys,
        from: SocketAddrV4,
        data: &[u8],
    ) -> Option<Heard> {
        let expected = match &self.leg {
            Leg::Straight { peer } => Some(*peer),
            Leg::Asking { .. } | Leg::Udp { .. } => self.relay(),
            _ => None,
        };
        (expected == Some(from)).then(|| self.packet(core, keys, data)).flatten()
    }

    fn packet(&mut self, core: &mut Core, keys: &CallKeys, packet: &[u8]) -> Option<Heard> {
        let (sequence, content) = keys.open_media(self.side.other(), &self.ticket, packet)?;
        if sequence < CONTROL_FROM {
            self.counts.received += 1;
            let silence = core.now - self.last_heard;
            if self.ever_heard && silence >= self.silence(core) {
                if self.counts.gaps.len() < MOST_GAPS {
                    self.counts.gaps.push(silence);
                }
                core.event(CallEvent::Gap { ms: silence.as_secs_f64() * 1e3 });
            }
            self.heard = Some(core.now);
            self.last_heard = core.now;
            self.ever_heard = true;
        }
        Some(Heard { sequence, content })
    }

    /// A relay answered by UDP.
    pub fn answer(&mut self, core: &mut Core, keys: &CallKeys, from: SocketAddrV4, answer: &Datagram) {
        if self.relay() != Some(from) {
            return;
        }
        match (&mut self.leg, answer) {
            (
                Leg::Asking { transaction, cookie, next_at, .. },
                Datagram::RelayCookie { transaction: answered, cookie: given },
            ) if transaction == answered => {
                *cookie = *given;
                *next_at = core.now;
            }
            (Leg::Asking { transaction, cookie, .. }, Datagram::RelayJoined { transaction: answered })
                if transaction == answered =>
            {
                let (transaction, cookie) = (*transaction, *cookie);
                self.leg = Leg::Udp { transaction, cookie, refresh_at: Self::refresh_at(core) };
                self.ready(core, MediaProtocol::Udp);
            }
            (
                Leg::Asking { transaction, .. } | Leg::Udp { transaction, .. },
                Datagram::RelayFull { transaction: answered },
            ) if transaction == answered => self.next_generation(core, keys),
            _ => {}
        }
    }

    /// Sends a packet's voice, if there is a path; it is lost if there is none.
    pub fn send_voice(&mut self, core: &mut Core, keys: &CallKeys, voice: &[u8]) {
        let sequence = self.next_sequence;
        if sequence == CONTROL_FROM {
            return;
        }
        self.next_sequence += 1;
        self.counts.sent += u64::from(self.send(core, keys, sequence, voice));
    }

    /// Sends a control message the way that media go: for when signalling is lost.
    pub fn send_control(&mut self, core: &mut Core, keys: &CallKeys, frame: &[u8]) {
        let sequence = self.next_control;
        self.next_control = sequence.saturating_add(1);
        self.send(core, keys, sequence, frame);
    }

    fn send(&mut self, core: &mut Core, keys: &CallKeys, sequence: u32, content: &[u8]) -> bool {
        let packet = keys.seal_media(self.side, &self.ticket, sequence, content);
        let refresh_at = Self::refresh_at(core);
        match &mut self.leg {
            Leg::Straight { peer } => core.media(*peer, packet),
            Leg::Udp { refresh_at: at, .. } => {
                *at = refresh_at;
                if let Some(relay) = self.relay() {
                    core.media(relay, packet);
                }
            }
            Leg::Tcp { connection, stream, refresh_at: at } => {
                *at = refresh_at;
                let Ok(packet) = Bytes::new(packet) else {
                    return false;
                };
                let bytes = stream.send(&mut core.random, &ToSuperNode::RelayedMedia { packet });
                core.send(*connection, bytes);
            }
            _ => return false,
        }
        true
    }

    /// Does what is due; `false` when the peer was not heard for so long that the call is over.
    pub fn advance(&mut self, core: &mut Core, keys: &CallKeys) -> bool {
        if self.flowing && core.now >= self.last_heard + core.parameters.call_silence.duration() {
            return false;
        }
        if self.broken_at(core).is_some_and(|at| core.now >= at) {
            self.next_generation(core, keys);
        }
        self.ask(core, keys);
        let (now, ticket) = (core.now, self.ticket);
        match &mut self.leg {
            Leg::Dialling { connection, deadline, .. } | Leg::Joining { connection, deadline, .. }
                if now >= *deadline =>
            {
                core.close(*connection);
                self.ended(core, keys);
            }
            Leg::Udp { transaction, cookie, refresh_at } if now >= *refresh_at => {
                let question = Datagram::JoinRelay { transaction: *transaction, ticket, cookie: *cookie };
                *refresh_at = Self::refresh_at(core);
                if let Some(relay) = self.relay() {
                    core.datagram(relay, &question);
                }
            }
            Leg::Tcp { connection, stream, refresh_at } if now >= *refresh_at => {
                *refresh_at = Self::refresh_at(core);
                let bytes = stream.send(&mut core.random, &ToSuperNode::JoinRelay { ticket });
                core.send(*connection, bytes);
            }
            _ => {}
        }
        true
    }

    /// Asks a relay by UDP for a place, as often as any other question.
    fn ask(&mut self, core: &mut Core, keys: &CallKeys) {
        let (ticket, relay) = (self.ticket, self.relay());
        let Leg::Asking { transaction, cookie, tries, next_at } = &mut self.leg else {
            return;
        };
        if core.now < *next_at {
            return;
        }
        // One try more than a test has: the first is answered by a cookie.
        if *tries > core.parameters.stun_tries.0 {
            self.next_generation(core, keys);
            return;
        }
        *tries += 1;
        *next_at = core.now + core.parameters.stun_retransmit_interval.duration();
        let question = Datagram::JoinRelay { transaction: *transaction, ticket, cookie: *cookie };
        if let Some(relay) = relay {
            core.datagram(relay, &question);
        }
    }

    /// Silence after which the path counts as broken.
    fn silence(&self, core: &Core) -> Duration {
        let by_udp = path::udp_leg(self.plan.own) && path::udp_leg(self.plan.peer);
        let parameters = &core.parameters;
        if by_udp { parameters.media_silence } else { parameters.media_silence_by_tcp }.duration()
    }

    /// When the path in use counts as broken (rules 2 and 3).
    fn broken_at(&self, core: &Core) -> Option<Time> {
        if !self.flowing {
            return None;
        }
        Some(match self.heard {
            Some(heard) => heard + self.silence(core),
            None => self.since + core.parameters.media_patience.duration(),
        })
    }

    pub fn next_timeout(&self, core: &Core) -> Option<Time> {
        let leg = match &self.leg {
            Leg::Straight { .. } => None,
            Leg::Asking { next_at, .. } => Some(*next_at),
            Leg::Dialling { deadline, .. } | Leg::Joining { deadline, .. } => Some(*deadline),
            Leg::Udp { refresh_at, .. } | Leg::Tcp { refresh_at, .. } => Some(*refresh_at),
        };
        let over = self.flowing.then(|| self.last_heard + core.parameters.call_silence.duration());
        [leg, self.broken_at(core), over].into_iter().flatten().min()
    }

    /// Leaves the path.
    pub fn close(&mut self, core: &mut Core) {
        if let Leg::Dialling { connection, .. }
        | Leg::Joining { connection, .. }
        | Leg::Tcp { connection, .. } = &self.leg
        {
            core.close(*connection);
        }
    }
}
