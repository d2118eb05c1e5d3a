//! The super node: answers probes and STUN-like tests, serves clients by TCP, keeps certificates and
//! presence.

mod clients;
mod datagrams;
mod recent;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddrV4;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use self::clients::{Session, UserRecord};
pub use self::datagrams::Contact;
use self::recent::Recent;
use crate::crypto::keys::ServerPublicKey;
use crate::deadlines::Deadlines;
use crate::event::ServerEvent;
use crate::login::below;
use crate::machine::{ConnectionId, Input, Machine, Output, Time, UdpSocket};
use crate::parameters::Parameters;
use crate::user::UserName;

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
    outputs: VecDeque<Output<ServerEvent>>,
}

impl SuperNode {
    /// A super node that serves from the first input on.
    #[must_use]
    pub fn new(config: SuperNodeConfig) -> Self {
        let peers: BTreeSet<_> =
            config.peers.iter().copied().filter(|peer| *peer != config.address).collect();
        let limit = config.parameters.server_records.get();
        Self {
            random: ChaCha20Rng::seed_from_u64(config.seed),
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

    fn close(&mut self, connection: ConnectionId) {
        self.outputs.push_back(Output::Close { connection });
        self.forget(connection);
    }
}

impl Machine for SuperNode {
    type Command = Infallible;
    type Event = ServerEvent;

    fn handle(&mut self, now: Time, input: Input<'_, Infallible>) {
        match input {
            Input::Datagram { socket: UdpSocket::Main, from, data } => self.datagram(from, data),
            Input::Accepted { connection, from, .. } => self.accepted(now, connection, from),
            Input::Data { connection, data } => self.data(now, connection, data),
            Input::Closed { connection, .. } => self.forget(connection),
            // Nothing asks its other port anything, and it opens no connection itself.
            Input::Datagram { socket: UdpSocket::Alternate, .. }
            | Input::Connected { .. }
            | Input::ConnectFailed { .. }
            | Input::Timeout => {}
            Input::Command(never) => match never {},
        }
        while let Some(connection) = self.deadlines.take_passed(now) {
            self.close(connection);
        }
    }

    fn poll_output(&mut self) -> Option<Output<ServerEvent>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }
}
