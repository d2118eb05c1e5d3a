//! The client's connections to super nodes: from the first attempt to keep-alive.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::core::Core;
use super::dial::Dial;
use crate::certificate::{Certificate, Signature};
use crate::crypto::keys::ClientKeyPair;
use crate::event::{LoginEvent, RecordSource};
use crate::machine::{ConnectionId, Time};
use crate::wire::call::LONGEST_SIGNAL;
use crate::wire::directory::DirectoryRecord;
use crate::wire::stream::Stream;
use crate::wire::super_node::{FromSuperNode, Presence, RegistrationRefusal, ToSuperNode, UserEntry};
use crate::wire::{Bytes, DecodeError, Message};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Being connected.
    Connecting,
    /// Hello is sent.
    Greeting,
    /// The super node serves the client.
    Welcomed,
    /// The registration is sent.
    Registering,
    /// The super node holds the certificate and presence.
    Registered,
}

/// A connection to a super node.
#[derive(Debug)]
pub(super) struct Link {
    dial: Dial,
    pub stage: Stage,
    /// Where it stands among the links: the first to be welcomed is the first to be used.
    rank: u32,
    stream: Stream,
    nonce: [u8; 8],
    /// Where the super node sees the connection come from.
    pub observed: Option<SocketAddrV4>,
    /// When what is waited for counts as unanswered.
    due: Option<Time>,
    keep_alive_at: Option<Time>,
    /// A host list was asked for and has not come.
    pub hosts_awaited: bool,
}

impl Link {
    /// The super node, with its own port.
    pub fn node(&self) -> SocketAddrV4 {
        self.dial.node
    }

    /// The port that let the client in, if it is not the super node's own.
    pub fn other_port(&self) -> Option<u16> {
        Some(self.dial.to.port()).filter(|&port| port != self.dial.node.port())
    }
}

/// What a super node did that concerns the login as a whole.
#[derive(Debug)]
pub(super) enum News {
    Welcomed(ConnectionId),
    Registered(ConnectionId),
    Refused(RegistrationRefusal),
    Hosts(Vec<SocketAddrV4>),
    Buddy(Box<UserEntry>),
    /// A buddy that the super node does not know.
    NoBuddy,
    Relays(Vec<SocketAddrV4>),
    /// Somebody wants to talk, through a channel.
    Reached(ConnectionId, u32),
    /// From the other end of a channel.
    Signal(ConnectionId, u32, Bytes<LONGEST_SIGNAL>),
    /// The other end has left a channel.
    ChannelClosed(ConnectionId, u32),
    /// Nodes to ask in a search.
    SearchBatch(ConnectionId, u32, Vec<SocketAddrV4>),
    /// The end of a search: what was found, where the super node has it from, and how many nodes it asked.
    SearchResult(ConnectionId, u32, Option<Box<DirectoryRecord>>, RecordSource, u8),
}

/// Nodes that are tried by TCP one after another until enough serve the client.
#[derive(Debug)]
struct Sweep {
    nodes: std::vec::IntoIter<SocketAddrV4>,
    next_at: Time,
    interval: std::time::Duration,
    /// How many links must be welcomed for the sweep to end.
    goal: usize,
}

/// All connections to super nodes.
#[derive(Debug, Default)]
pub(super) struct Links {
    all: BTreeMap<ConnectionId, Link>,
    sweep: Option<Sweep>,
    welcomed: u32,
}

impl Links {
    /// Connects to a node.
    pub fn dial(&mut self, core: &mut Core, node: SocketAddrV4) {
        let dial = Dial::start(core, node);
        core.event(LoginEvent::TcpAttempt { to: node });
        let due = Some(dial.deadline);
        let link = Link {
            stage: Stage::Connecting,
            rank: u32::MAX,
            stream: Stream::default(),
            nonce: [0; 8],
            observed: None,
            due,
            keep_alive_at: None,
            hosts_awaited: false,
            dial,
        };
        self.all.insert(link.dial.connection, link);
    }

    /// Connects to `nodes` in order, one each `tcp_attempt_interval`, until `goal` links are welcomed.
    pub fn start_sweep(&mut self, core: &Core, nodes: Vec<SocketAddrV4>, goal: usize) {
        let interval = core.parameters.tcp_attempt_interval.duration();
        self.sweep = Some(Sweep { nodes: nodes.into_iter(), next_at: core.now, interval, goal });
    }

    /// Sends what is due, and gives up what was waited for too long.
    pub fn advance(&mut self, core: &mut Core) {
        let overdue: Vec<_> = self
            .all
            .iter()
            .filter(|(_, link)| link.due.is_some_and(|due| core.now >= due))
            .map(|(&connection, _)| connection)
            .collect();
        for connection in overdue {
            core.close(connection);
            self.not_reached(core, connection);
        }
        for (&connection, link) in &mut self.all {
            if link.keep_alive_at.is_some_and(|at| core.now >= at) {
                link.keep_alive_at = None;
                link.due = Some(core.answer_due());
                let bytes = link.stream.send(&mut core.random, &ToSuperNode::KeepAlive {});
                core.send(connection, bytes);
            }
        }
        self.advance_sweep(core);
    }

    fn advance_sweep(&mut self, core: &mut Core) {
        let reached = self.count(Stage::Welcomed);
        let Some(sweep) = &mut self.sweep else {
            return;
        };
        if reached >= sweep.goal {
            self.sweep = None;
            self.drop_where(core, |link| link.stage < Stage::Welcomed);
        } else if sweep.nodes.as_slice().is_empty() {
            if self.all.values().all(|link| link.stage >= Stage::Welcomed) {
                self.sweep = None;
            }
        } else if core.now >= sweep.next_at {
            sweep.next_at = core.now + sweep.interval;
            if let Some(node) = sweep.nodes.next() {
                self.dial(core, node);
            }
        }
    }

    /// An attempt succeeded.
    pub fn connected(&mut self, core: &mut Core, connection: ConnectionId) -> bool {
        let Some(link) = self.all.get_mut(&connection) else {
            return false;
        };
        link.stage = Stage::Greeting;
        link.due = Some(core.answer_due());
        let bytes = link.stream.send(&mut core.random, &ToSuperNode::Hello {});
        core.send(connection, bytes);
        true
    }

    /// An attempt failed, or the connection ended: goes on to the next port while none has answered.
    pub fn not_reached(&mut self, core: &mut Core, connection: ConnectionId) -> bool {
        let Some(mut link) = self.all.remove(&connection) else {
            return false;
        };
        if link.stage <= Stage::Greeting && link.dial.next_port(core) {
            core.event(LoginEvent::TcpAttempt { to: link.dial.to });
            link.stage = Stage::Connecting;
            link.stream = Stream::default();
            link.due = Some(link.dial.deadline);
            self.all.insert(link.dial.connection, link);
        }
        true
    }

    /// Bytes came in: what they mean for the login. A super node that breaks the protocol is dropped.
    pub fn data(&mut self, core: &mut Core, connection: ConnectionId, data: &[u8]) -> Option<Vec<News>> {
        let link = self.all.get_mut(&connection)?;
        link.stream.receive(data);
        let mut news = Vec::new();
        loop {
            let Some(link) = self.all.get_mut(&connection) else {
                return Some(news);
            };
            let step = match link.stream.next_message::<FromSuperNode>() {
                Ok(Some(message)) => self.message(core, connection, message),
                Ok(None) => return Some(news),
                Err(error) => Err(error),
            };
            if let Ok(piece) = step {
                news.extend(piece);
            } else {
                core.close(connection);
                self.all.remove(&connection);
            }
        }
    }

    fn message(
        &mut self,
        core: &mut Core,
        connection: ConnectionId,
        message: FromSuperNode,
    ) -> Result<Option<News>, DecodeError> {
        let Some(link) = self.all.get_mut(&connection) else {
            return Ok(None);
        };
        let unexpected = DecodeError::Type(message.kind());
        match (link.stage, message) {
            (Stage::Greeting, FromSuperNode::Welcome { nonce, observed }) => {
                link.stage = Stage::Welcomed;
                link.rank = self.welcomed;
                self.welcomed += 1;
                link.nonce = nonce;
                link.observed = Some(observed);
                link.due = None;
                core.event(LoginEvent::SuperNode { address: link.node() });
                Ok(Some(News::Welcomed(connection)))
            }
            (Stage::Greeting, FromSuperNode::Busy {}) => {
                core.close(connection);
                self.all.remove(&connection);
                Ok(None)
            }
            (Stage::Registering, FromSuperNode::Registered {}) => {
                link.stage = Stage::Registered;
                link.due = None;
                link.keep_alive_at = Some(core.now + core.parameters.keep_alive_interval.duration());
                Ok(Some(News::Registered(connection)))
            }
            (Stage::Registering, FromSuperNode::RegistrationRefused { reason }) => {
                core.close(connection);
                self.all.remove(&connection);
                Ok(Some(News::Refused(reason)))
            }
            (Stage::Registered, FromSuperNode::StillHere {}) => {
                link.due = None;
                link.keep_alive_at = Some(core.now + core.parameters.keep_alive_interval.duration());
                Ok(None)
            }
            (_, FromSuperNode::Hosts { entries }) if link.hosts_awaited => {
                link.hosts_awaited = false;
                Ok(Some(News::Hosts(entries.into_vec())))
            }
            (Stage::Registered, FromSuperNode::Buddy { found: Some(entry), user }) => {
                if entry.certificate.user == user {
                    Ok(Some(News::Buddy(Box::new(entry))))
                } else {
                    Err(DecodeError::Value("another user's certificate"))
                }
            }
            (Stage::Registered, FromSuperNode::Buddy { found: None, .. }) => Ok(Some(News::NoBuddy)),
            (Stage::Registered, FromSuperNode::Relays { entries }) => {
                Ok(Some(News::Relays(entries.into_vec())))
            }
            (Stage::Registered, FromSuperNode::Reached { channel }) => {
                Ok(Some(News::Reached(connection, channel)))
            }
            (Stage::Registered, FromSuperNode::PassedSignal { channel, signal }) => {
                Ok(Some(News::Signal(connection, channel, signal)))
            }
            (Stage::Registered, FromSuperNode::ChannelClosed { channel }) => {
                Ok(Some(News::ChannelClosed(connection, channel)))
            }
            (Stage::Registered, FromSuperNode::SearchBatch { search, nodes }) => {
                Ok(Some(News::SearchBatch(connection, search, nodes.into_vec())))
            }
            (Stage::Registered, FromSuperNode::SearchResult { search, found, source, asked }) => {
                Ok(Some(News::SearchResult(connection, search, found.map(Box::new), source, asked)))
            }
            _ => Err(unexpected),
        }
    }

    /// Asks a super node that serves the client.
    pub fn ask(&mut self, core: &mut Core, connection: ConnectionId, question: &ToSuperNode) {
        if let Some(link) = self.all.get_mut(&connection) {
            link.hosts_awaited |= matches!(question, ToSuperNode::HostsWanted { .. });
            let bytes = link.stream.send(&mut core.random, question);
            core.send(connection, bytes);
        }
    }

    /// Registers the user with every super node that serves the client and does not have it yet.
    pub fn register(
        &mut self,
        core: &mut Core,
        certificate: &Certificate,
        keys: &ClientKeyPair,
        presence: impl Fn(&Link) -> Presence,
    ) {
        for (&connection, link) in &mut self.all {
            if link.stage != Stage::Welcomed {
                continue;
            }
            let presence = presence(link);
            let signature = keys.sign(&mut core.random, &presence.signed_bytes(&link.nonce));
            let message = ToSuperNode::Register {
                certificate: certificate.clone(),
                presence,
                signature: Signature::new(signature).expect("a signature is as long as the modulus"),
            };
            link.stage = Stage::Registering;
            link.due = Some(core.answer_due());
            let bytes = link.stream.send(&mut core.random, &message);
            core.send(connection, bytes);
        }
    }

    /// How many links have come so far or further.
    pub fn count(&self, stage: Stage) -> usize {
        self.all.values().filter(|link| link.stage >= stage).count()
    }

    /// True while a link is on its way to be registered, or nodes are still to be tried.
    pub fn is_busy(&self) -> bool {
        self.sweep.is_some()
            || self.all.values().any(|link| link.stage < Stage::Registered || link.hosts_awaited)
    }

    /// True while attempts or greetings are under way, or nodes are still to be tried.
    pub fn is_connecting(&self) -> bool {
        self.sweep.is_some() || self.all.values().any(|link| link.stage < Stage::Welcomed)
    }

    /// True while a host list is awaited.
    pub fn awaits_hosts(&self) -> bool {
        self.all.values().any(|link| link.hosts_awaited)
    }

    /// The link in use: of those that have come furthest, the first to be welcomed.
    pub fn in_use(&self) -> Option<(ConnectionId, &Link)> {
        let served = self.all.iter().filter(|(_, link)| link.stage >= Stage::Welcomed);
        served
            .min_by_key(|(_, link)| (link.stage != Stage::Registered, link.rank))
            .map(|(&connection, link)| (connection, link))
    }

    /// True while there is such a connection.
    pub fn has(&self, connection: ConnectionId) -> bool {
        self.all.contains_key(&connection)
    }

    /// Closes a connection to a super node that does not do what it should.
    pub fn give_up(&mut self, core: &mut Core, connection: ConnectionId) {
        if self.all.remove(&connection).is_some() {
            core.close(connection);
        }
    }

    /// The super nodes that hold the registration, the one in use first.
    pub fn registered(&self) -> Vec<SocketAddrV4> {
        let mut links: Vec<_> = self.all.values().filter(|link| link.stage == Stage::Registered).collect();
        links.sort_by_key(|link| link.rank);
        links.into_iter().map(Link::node).collect()
    }

    /// All super nodes that a link is made to.
    pub fn nodes(&self) -> impl Iterator<Item = SocketAddrV4> + '_ {
        self.all.values().map(Link::node)
    }

    /// Closes all links but the one in use.
    pub fn keep_one(&mut self, core: &mut Core) {
        if let Some((kept, _)) = self.in_use() {
            self.drop_where(core, |link| link.dial.connection != kept);
        }
    }

    /// Closes all links, and tries no further nodes.
    pub fn close_all(&mut self, core: &mut Core) {
        self.sweep = None;
        self.drop_where(core, |_| true);
    }

    /// Waits no longer for host lists.
    pub fn stop_awaiting_hosts(&mut self) {
        self.all.values_mut().for_each(|link| link.hosts_awaited = false);
    }

    fn drop_where(&mut self, core: &mut Core, which: impl Fn(&Link) -> bool) {
        self.all.retain(|&connection, link| {
            let dropped = which(link);
            if dropped {
                core.close(connection);
            }
            !dropped
        });
    }

    pub fn next_timeout(&self) -> Option<Time> {
        let links = self.all.values().flat_map(|link| [link.due, link.keep_alive_at]).flatten();
        let sweep = self.sweep.as_ref().filter(|sweep| !sweep.nodes.as_slice().is_empty());
        links.chain(sweep.map(|sweep| sweep.next_at)).min()
    }
}
