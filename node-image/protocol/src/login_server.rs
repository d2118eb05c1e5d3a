//! The login server: knows the users' passwords and signs certificates.

use std::net::SocketAddrV4;

use crate::crypto::keys::ServerKeyPair;
use crate::event::ServerEvent;
use crate::machine::{Input, Machine, Output, Time};
use crate::parameters::Parameters;
use crate::user::{Password, UserName};

/// What a login server is told before it starts.
#[derive(Clone, Debug)]
pub struct LoginServerConfig {
    /// Its key pair (Ks+, Ks-).
    pub private_key: ServerKeyPair,
    /// Its own public address, with its TCP port.
    pub address: SocketAddrV4,
    /// Seed of everything random in it.
    pub seed: u64,
    /// The overlay's parameters.
    pub parameters: Parameters,
}

/// What a login server's owner can ask for.
#[derive(Clone, Debug)]
pub enum LoginServerCommand {
    /// Enter a user as if registered earlier; replaces the password of a user that is known.
    AddUser {
        /// The user.
        user: UserName,
        /// The password; the server keeps only its hash.
        password: Password,
    },
}

/// The one that knows the users' passwords and signs certificates.
#[derive(Debug)]
pub struct LoginServer {
    config: LoginServerConfig,
}

impl LoginServer {
    /// A login server that serves from the first input on.
    #[must_use]
    pub fn new(config: LoginServerConfig) -> Self {
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

    /// Users that it knows.
    #[must_use]
    pub fn records(&self) -> usize {
        0
    }
}

impl Machine for LoginServer {
    type Command = LoginServerCommand;
    type Event = ServerEvent;

    fn handle(&mut self, _now: Time, _input: Input<'_, LoginServerCommand>) {}

    fn poll_output(&mut self) -> Option<Output<ServerEvent>> {
        None
    }

    fn next_timeout(&self) -> Option<Time> {
        None
    }
}
