//! The client: everything from the login command to the advertisements, and keep-alive afterwards.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::crypto::keys::ServerPublicKey;
use crate::event::LoginEvent;
use crate::machine::{Input, Machine, Output, Time};
use crate::parameters::Parameters;
use crate::user::{Password, UserName};

/// What a client is told before a login. A client value makes one login; the next needs a new one.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Name in the topology.
    pub name: String,
    /// UDP and TCP port of its own: [`installation_port`] of the seed.
    pub listen_port: u16,
    /// Address of its interface, to compare with what super nodes see. If it is not given, the local
    /// address of the first TCP connection stands in for it ([`Input::Connected`]).
    pub local_address: Option<Ipv4Addr>,
    /// The built-in list of login servers with their public keys, in the order in which they are tried.
    pub login_servers: Vec<(SocketAddrV4, ServerPublicKey)>,
    /// The host cache, in the order in which it is tried.
    pub host_cache: Vec<SocketAddrV4>,
    /// User name.
    pub user: UserName,
    /// Password.
    pub password: Password,
    /// The users on this user's buddy list.
    pub buddies: Vec<UserName>,
    /// True for the first login after installation: the user is registered first.
    pub first_time: bool,
    /// Seed of everything random in this login.
    pub seed: u64,
    /// The overlay's parameters.
    pub parameters: Parameters,
}

/// What a client's user can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Log in. Once per client value; ignored afterwards.
    Login,
    /// Log out, or give up the login that is under way. All connections are closed.
    Logout,
}

/// What a client tells: see [`LoginEvent`].
pub type ClientEvent = LoginEvent;

/// A user's node.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
}

impl Client {
    /// A client that has not begun to log in.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self { config }
    }

    /// The TCP ports that a client listens on where it can: its own, and those that firewalls let through.
    #[must_use]
    pub fn listening_ports(&self) -> Vec<u16> {
        self.config.parameters.listening_ports(self.config.listen_port)
    }

    /// TCP connections that are established.
    #[must_use]
    pub fn connections(&self) -> usize {
        0
    }

    /// Where the client stands: `idle`, `logging-in`, `logged-in`, `failed` or `logged-out`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        "idle"
    }
}

impl Machine for Client {
    type Command = ClientCommand;
    type Event = ClientEvent;

    fn handle(&mut self, _now: Time, _input: Input<'_, ClientCommand>) {}

    fn poll_output(&mut self) -> Option<Output<ClientEvent>> {
        None
    }

    fn next_timeout(&self) -> Option<Time> {
        None
    }
}

/// The listening port that an installation with this seed chooses: 1024 to 65535.
#[must_use]
pub fn installation_port(seed: u64) -> u16 {
    use rand_core::{RngCore, SeedableRng};
    let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(seed ^ 0x006c_6973_7465_6e00);
    1_024 + u16::try_from(random.next_u32() % (65_536 - 1_024)).expect("less than 65,536")
}
