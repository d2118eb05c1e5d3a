//! The super node: answers probes and STUN-like tests, serves clients by TCP, keeps certificates and
//! presence.

mod clients;
mod datagrams;
mod index;
mod relay;
mod signalling;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use self::clients::{Session, UserRecord};
pub use self::datagrams::Contact;
use self::relay::Relays;
use self::signalling::Channels;
use crate::crypto::keys::ServerPublicKey;
use crate::deadlines::Deadlines;
use crate::directory::Directory;
use crate::event::ServerEvent;
use crate::login::below;
use crate::machine::{ConnectionId, Input, Machine, Output, Time, UdpSocket};
use crate::parameters::Parameters;
use crate::recent::Recent;
use crate::user::UserName;

/// What a super node's owner can ask for, so that an experiment need not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuperNodeCommand {
    /// Make what is held of a user older: a record's lifetime is three days.
    AgeRecord {
        /// The user.
        user: UserName,
        /// As if so much time had passed since the user was seen.
        by: Duration,
    },
    /// Forget the results of earlier searches.
    ForgetResults,
    /// Leave the overlay: hand the records over, and tell the others. [`SuperNode::is_settled`] says when that is done.
    Leave,
}

/// What a super node is told before it starts.
#[derive(Clone, Debug)]
pub struct SuperNodeConfig {
    /// Its own public address, with its UDP and TCP port.
    pub address: SocketAddrV4,
    /// All super nodes of the overlay; its own address may be among them.
    pub peers: Vec<SocketAddrV4>,
    /// Public keys of the login servers whose certificates it accepts.
    pub login_server_keys: Vec<ServerPublicKey>,
    /// Seed of everything random in it.
    pub seed: u64,
    /// The overlay's parameters.
    pub parameters: Parameters,
}

/// A node with a public address that clients log in through.
///
/// It has two UDP sockets: [`UdpSocket::Main`] on its own port, and [`UdpSocket::Alternate`] on any other
/// port of the same address.
#[derive(Debug)]
pub struct SuperNode {
    config: SuperNodeConfig,
    random: ChaCha20Rng,
    /// The other super nodes, in a random order that changes with use.
    peers: Vec<SocketAddrV4>,
    known_peers: BTreeSet<SocketAddrV4>,
    sessions: BTreeMap<ConnectionId, Session>,
    deadlines: Deadlines,
    records: Recent<UserName, UserRecord>,
    /// Who advertised presence here, by the address that the advertisement came from.
    contacts: Recent<SocketAddrV4, Contact>,
    /// Its part of the global index.
    directory: Directory,
    channels: Channels,
    relays: Relays,
    outputs: VecDeque<Output<ServerEvent>>,
}

impl SuperNode {
    /// A super node that serves from the first input on.
    #[must_use]
    pub fn new(config: SuperNodeConfig) -> Self {
        let peers: BTreeSet<_> =
            config.peers.iter().copied().filter(|peer| *peer != config.address).collect();
        let limit = config.parameters.server_records.get();
        let directory = Directory::new(
            config.address,
            peers.iter().copied(),
            config.login_server_keys.clone(),
            config.seed,
            config.parameters.clone(),
        );
        let random = ChaCha20Rng::seed_from_u64(config.seed);
        // Not the node's own stream of random numbers, which decides whom it names to whom.
        let mut secrets = random.clone();
        secrets.set_stream(2);
        Self {
            directory,
            channels: Channels::default(),
            relays: Relays::new(&mut secrets),
            random,
            peers: peers.iter().copied().collect(),
            known_peers: peers,
            sessions: BTreeMap::new(),
            deadlines: Deadlines::default(),
            records: Recent::new(limit),
            contacts: Recent::new(limit),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// The TCP ports that it listens on: its own, and those that firewalls let through.
    #[must_use]
    pub fn listening_ports(&self) -> Vec<u16> {
        self.config.parameters.listening_ports(self.config.address.port())
    }

    /// TCP connections that are established.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Users whose certificate it holds.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// True when no record is on its way to another super node.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.directory.is_settled()
    }

    /// Calls that it relays media for.
    #[must_use]
    pub fn relayed_calls(&self) -> usize {
        self.relays.len()
    }

    /// Who advertised presence here by UDP, by address: what this node can tell of users whose super node is
    /// lost.
    pub fn contacts(&self) -> impl Iterator<Item = (&SocketAddrV4, &Contact)> {
        self.contacts.iter()
    }

    /// Up to `most` other super nodes, chosen at random.
    fn some_peers(&mut self, most: usize) -> Vec<SocketAddrV4> {
        let count = most.min(self.peers.len());
        for place in 0..count {
            let other = place + below(&mut self.random, self.peers.len() - place);
            self.peers.swap(place, other);
        }
        self.peers[..count].to_vec()
    }

    fn event(&mut self, event: ServerEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn close(&mut self, now: Time, connection: ConnectionId) {
        self.outputs.push_back(Output::Close { connection });
        self.forget(now, connection);
    }
}

impl Machine for SuperNode {
    type Command = SuperNodeCommand;
    type Event = ServerEvent;

    fn handle(&mut self, now: Time, input: Input<'_, SuperNodeCommand>) {
        match input {
            Input::Datagram { socket: UdpSocket::Main, from, data } => self.datagram(now, from, data),
            Input::Accepted { connection, from, .. } => self.accepted(now, connection, from),
            Input::Data { connection, data } => self.data(now, connection, data),
            Input::Closed { connection, .. } => self.forget(now, connection),
            // Nothing asks its other port anything, and it opens no connection itself.
            Input::Datagram { socket: UdpSocket::Alternate, .. }
            | Input::Connected { .. }
            | Input::ConnectFailed { .. }
            | Input::Timeout => {}
            Input::Command(SuperNodeCommand::AgeRecord { user, by }) => self.directory.age(&user, by),
            Input::Command(SuperNodeCommand::ForgetResults) => self.directory.forget_results(),
            Input::Command(SuperNodeCommand::Leave) => self.directory.leave(now),
        }
        while let Some(connection) = self.deadlines.take_passed(now) {
            self.close(now, connection);
        }
        self.sweep_relays(now);
        self.directory.advance(now);
        self.do_directory_work();
    }

    fn poll_output(&mut self) -> Option<Output<ServerEvent>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        [self.deadlines.next(), self.directory.next_timeout(), self.relays.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }
}
