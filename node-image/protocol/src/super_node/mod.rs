//! The super node.

use std::convert::Infallible;
use std::net::SocketAddrV4;

use crate::crypto::keys::ServerPublicKey;
use crate::event::ServerEvent;
use crate::machine::{Input, Machine, Output, Time};
use crate::parameters::Parameters;

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
/// It has two UDP sockets: [`crate::UdpSocket::Main`] on its own port, and
/// [`crate::UdpSocket::Alternate`] on any other port of the same address.
#[derive(Debug)]
pub struct SuperNode {
    config: SuperNodeConfig,
}

impl SuperNode {
    /// A super node that serves from the first input on.
    #[must_use]
    pub fn new(config: SuperNodeConfig) -> Self {
        Self { config }
    }

    /// The TCP ports that it listens on: its own, and those that firewalls let through.
    #[must_use]
    pub fn listening_ports(&self) -> Vec<u16> {
        self.config.parameters.listening_ports(self.config.address.port())
    }

    /// TCP connections that are established.
    #[must_use]
    pub fn connections(&self) -> usize {
        0
    }

    /// Users whose certificate it holds.
    #[must_use]
    pub fn records(&self) -> usize {
        0
    }
}

impl Machine for SuperNode {
    type Command = Infallible;
    type Event = ServerEvent;

    fn handle(&mut self, _now: Time, _input: Input<'_, Infallible>) {}

    fn poll_output(&mut self) -> Option<Output<ServerEvent>> {
        None
    }

    fn next_timeout(&self) -> Option<Time> {
        None
    }
}
