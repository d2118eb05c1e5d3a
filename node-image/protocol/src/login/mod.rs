//! The client: everything from the login command to the advertisements, and keep-alive afterwards.
//!
//! # The login algorithm
//!
//! Every wait is a timer of the parameter file, named in code type; nothing else waits.
//!
//! 1. A **round** begins. Host-cache entries are sent a UDP probe in order, one each `udp_probe_interval`, at
//!    most `udp_probe_limit` of them. An answer within `answer_timeout` of its probe counts. Probing ends when
//!    `super_nodes_wanted` have answered, or when all probes are answered or timed out.
//! 2. If any answered, the client connects by **TCP** to all that did, at once; each at its own port, then at
//!    `first_fallback_port`, then at `second_fallback_port`. A port that does not let it in and say hello
//!    within `answer_timeout` counts as closed; a refusal counts at once. The first super node that welcomes the
//!    client is the one in use.
//! 3. If none answered, **UDP is taken for blocked**. The host-cache entries are tried by TCP in order, the
//!    attempts started one each `tcp_attempt_interval`, at most `tcp_entry_limit` of them, each through the same
//!    three ports, until `super_nodes_wanted` super nodes have welcomed the client. With fewer, it goes on
//!    when all attempts have ended.
//! 4. If no super node welcomed it, the client waits `round_pause` and begins again at 1. After `rounds`
//!    rounds the login fails ([`LoginFailure::NoSuperNode`]).
//! 5. Beside all this the **NAT type** is found, as soon as two super nodes have answered by UDP:
//!    tests that are not answered are sent `stun_tries` times, `stun_retransmit_interval` apart.
//! 6. The first `host_lists` super nodes are asked for up to `host_list_entries` entries for the host cache.
//! 7. The client takes the first **login server** of its built-in list, through the same three ports, then the
//!    next. At a first-time login it registers the user: Ks+(nonce, K', user, H(pwd)). Then it generates K and
//!    (KA+, KA-), sends Ks+(K), K(nonce, KA+, user, H(pwd)), and verifies the certificate that it gets.
//!    If none answers, that round has failed, as in 4 ([`LoginFailure::NoLoginServer`]); the pair is kept.
//! 8. When it has the certificate and knows its NAT type, it **registers** both with every super node that
//!    welcomed it: certificate and presence, signed with KA- over that super node's nonce. The first that
//!    accepts makes the client logged in.
//! 9. It asks the super node in use for its buddies and, unless anybody can reach it, for
//!    `relay_candidates` nodes; by UDP it probes these, to know the nearest.
//! 10. It **advertises** its presence by UDP to `advertisement_nodes` nodes of the host lists, one each
//!     `advertisement_interval`, each up to `advertisement_tries` times, `advertisement_retransmit_interval`
//!     apart. Behind a NAT it confirms each answer. Where UDP is blocked it instead registers with
//!     `tcp_backup_nodes` more super nodes by TCP and stays connected with all.
//! 11. When all that is answered or timed out the login is finished. By UDP one super node connection is kept,
//!     and refreshed each `keep_alive_interval`. If it is lost, another super node of the cache is taken.

mod advertising;
mod authentication;
mod calls;
mod core;
mod dial;
mod links;
mod nat_detection;
mod presence;
mod probing;
mod search;
mod steps;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

pub(crate) use self::core::Core;
pub(crate) use self::core::below;
use self::links::Links;
use self::nat_detection::NatDetection;
use self::presence::LoggedIn;
use self::search::Searches;
use self::steps::{Identity, Phase};
use crate::call::Calls;
use crate::crypto::keys::{ClientKeyPair, ServerPublicKey};
use crate::event::ClientEvent;
#[cfg(doc)]
use crate::event::LoginFailure;
use crate::host_cache::HostCache;
use crate::machine::{ConnectionId, Input, Machine, Output, Time, UdpSocket};
use crate::parameters::Parameters;
use crate::user::{Password, UserName};
use crate::wire::datagram::Datagram;
use crate::wire::super_node::{RegistrationRefusal, UserEntry};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Log in. Once per client value; ignored afterwards.
    Login,
    /// Log out, or give up the login that is under way. All connections are closed.
    Logout,
    /// Search for a user. What comes of it is told by [`ClientEvent::Search`].
    Search {
        /// The user.
        user: UserName,
    },
    /// Search for a user and call. What comes of it is told by [`ClientEvent::Call`]. One call at a time.
    Call {
        /// The user.
        user: UserName,
    },
    /// Take the call that rings.
    Answer,
    /// Refuse the call that rings, cancel the own one, or hang up.
    HangUp,
    /// Send a packet of coded voice, once the call is answered.
    Voice(Vec<u8>),
}

/// A user's node.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    core: Core,
    phase: Phase,
    round: u32,
    cache: HostCache,
    local: Option<Ipv4Addr>,
    nat: NatDetection,
    nat_told: bool,
    links: Links,
    hosts_asked: usize,
    identity: Option<Identity>,
    /// Made in an earlier round, in which no login server answered.
    keys: Option<Box<ClientKeyPair>>,
    refusal: Option<RegistrationRefusal>,
    /// What happens once the user is logged in.
    after: Option<LoggedIn>,
    buddies: BTreeMap<UserName, UserEntry>,
    searches: Searches,
    calls: Calls,
    /// Who is searched for in order to be called.
    wanted: Option<UserName>,
}

impl Client {
    /// A client that has not begun to log in.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self {
            core: Core::new(config.parameters.clone(), config.seed),
            phase: Phase::Idle,
            round: 0,
            cache: HostCache::new(&config.host_cache, config.parameters.host_cache_limit.get()),
            local: config.local_address,
            nat: NatDetection::default(),
            nat_told: false,
            links: Links::default(),
            hosts_asked: 0,
            identity: None,
            keys: None,
            refusal: None,
            after: None,
            buddies: BTreeMap::new(),
            searches: Searches::default(),
            calls: Calls::default(),
            wanted: None,
            config,
        }
    }

    /// The TCP ports that a client listens on where it can: its own, and those that firewalls let through.
    #[must_use]
    pub fn listening_ports(&self) -> Vec<u16> {
        self.config.parameters.listening_ports(self.config.listen_port)
    }

    /// TCP connections that are established.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.links.count(links::Stage::Greeting)
    }

    /// Whose client it is.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.config.user
    }

    /// Where the client stands: `idle`, `logging-in`, `logged-in`, `failed` or `logged-out`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Idle => "idle",
            Phase::Probing(_)
            | Phase::Connecting { .. }
            | Phase::Pausing(_)
            | Phase::Authenticating(_)
            | Phase::Registering => "logging-in",
            Phase::LoggedIn => "logged-in",
            Phase::Failed => "failed",
            Phase::LoggedOut => "logged-out",
        }
    }

    /// The host cache as it is now, for the next login.
    #[must_use]
    pub fn host_cache(&self) -> Vec<SocketAddrV4> {
        self.cache.entries()
    }

    /// What super nodes told of the users on the buddy list: certificates that were verified.
    #[must_use]
    pub fn buddies(&self) -> &BTreeMap<UserName, UserEntry> {
        &self.buddies
    }

    /// Nodes that can relay for this client, with their round trips where they were measured; the nearest
    /// first.
    #[must_use]
    pub fn relay_candidates(&self) -> &[(SocketAddrV4, Option<Duration>)] {
        self.after.as_ref().map_or(&[], LoggedIn::relay_candidates)
    }

    /// The super node in use, while one holds the client's registration.
    #[must_use]
    pub fn super_node(&self) -> Option<SocketAddrV4> {
        self.links.registered().first().copied()
    }

    /// The backup connectivity list: nodes that answered an advertisement.
    #[must_use]
    pub fn backup_nodes(&self) -> &[SocketAddrV4] {
        self.after.as_ref().map_or(&[], LoggedIn::backup_nodes)
    }

    fn datagram(&mut self, from: SocketAddrV4, message: Datagram) {
        match message {
            Datagram::ProbeAnswer { transaction, mapped, load } => {
                if let Phase::Probing(probing) = &mut self.phase
                    && let Some(answer) = probing.answer(&mut self.core, from, transaction, mapped, load)
                {
                    self.nat.observed(answer.from, answer.mapped);
                } else if let Some(after) = &mut self.after {
                    after.relay_answered(&self.core, from, transaction);
                }
            }
            Datagram::TestAnswer { transaction } => self.nat.answered(&self.core, from, transaction),
            Datagram::NobodyElse { transaction } => self.nat.nobody_else(&self.core, from, transaction),
            Datagram::AdvertisementAnswer { transaction, mapped, hosts } => {
                if let Some(after) = &mut self.after
                    && after.advertisement_answered(&mut self.core, from, transaction, mapped)
                {
                    hosts.into_vec().into_iter().for_each(|host| self.cache.told(host));
                }
            }
            Datagram::LookupAnswer { transaction, found, source } => {
                self.lookup_answered(from, transaction, found, source);
            }
            Datagram::RelayCookie { .. } | Datagram::RelayJoined { .. } | Datagram::RelayFull { .. } => {
                self.calls.relay_answered(&mut self.core, from, &message);
            }
            // What only super nodes serve.
            _ => {}
        }
    }

    fn connected(&mut self, connection: ConnectionId, local: SocketAddrV4) {
        self.local.get_or_insert(*local.ip());
        if let Phase::Authenticating(authentication) = &mut self.phase
            && authentication.owns(connection)
        {
            authentication.connected(&self.core);
        } else if self.calls.owns(connection) {
            self.calls.connected(&mut self.core, connection);
        } else {
            self.links.connected(&mut self.core, connection);
        }
    }

    fn ended(&mut self, connection: ConnectionId) {
        if let Phase::Authenticating(authentication) = &mut self.phase
            && authentication.owns(connection)
        {
            let progress = authentication.not_reached(&mut self.core);
            self.authentication_progress(progress);
        } else if self.calls.owns(connection) {
            self.calls.ended(&mut self.core, connection);
        } else {
            self.links.not_reached(&mut self.core, connection);
        }
    }

    fn data(&mut self, connection: ConnectionId, data: &[u8]) {
        if let Phase::Authenticating(authentication) = &mut self.phase
            && authentication.owns(connection)
        {
            let progress = authentication.data(&mut self.core, data);
            self.authentication_progress(progress);
        } else if self.calls.owns(connection) {
            self.call_data(connection, data);
        } else if let Some(news) = self.links.data(&mut self.core, connection, data) {
            for piece in news {
                self.news(piece);
            }
        }
    }
}

impl Machine for Client {
    type Command = ClientCommand;
    type Event = ClientEvent;

    fn handle(&mut self, now: Time, input: Input<'_, ClientCommand>) {
        self.core.now = now;
        match input {
            Input::Datagram { socket: UdpSocket::Main, from, data } => {
                if !self.calls.datagram(&mut self.core, from, data)
                    && let Ok(message) = Datagram::from_payload(data)
                {
                    self.datagram(from, message);
                }
            }
            Input::Connected { connection, local } => self.connected(connection, local),
            Input::ConnectFailed { connection, .. } | Input::Closed { connection, .. } => {
                self.ended(connection);
            }
            Input::Accepted { connection, .. } => self.accepted(connection),
            Input::Data { connection, data } => self.data(connection, data),
            Input::Datagram { socket: UdpSocket::Alternate, .. } | Input::Timeout => {}
            Input::Command(ClientCommand::Login) => self.log_in(),
            Input::Command(ClientCommand::Logout) => self.log_out(),
            Input::Command(ClientCommand::Search { user }) => self.search(user),
            Input::Command(ClientCommand::Call { user }) => self.call(user),
            Input::Command(ClientCommand::Answer) => self.calls.answer(&mut self.core),
            Input::Command(ClientCommand::HangUp) => self.hang_up(),
            Input::Command(ClientCommand::Voice(voice)) => self.calls.voice(&mut self.core, &voice),
        }
        self.advance();
    }

    fn poll_output(&mut self) -> Option<Output<ClientEvent>> {
        self.core.poll_output()
    }

    fn next_timeout(&self) -> Option<Time> {
        let phase = match &self.phase {
            Phase::Idle | Phase::Failed | Phase::LoggedOut => return None,
            Phase::Probing(probing) => probing.next_timeout(),
            Phase::Pausing(until) => Some(*until),
            Phase::Authenticating(authentication) => Some(authentication.next_timeout()),
            Phase::LoggedIn => self.after.as_ref().and_then(|after| after.next_timeout(self.core.now)),
            Phase::Connecting { .. } | Phase::Registering => None,
        };
        let calls = self.calls.next_timeout(&self.core);
        [phase, self.nat.next_timeout(), self.links.next_timeout(), self.searches.next_timeout(), calls]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The listening port that an installation with this seed chooses: 1024 to 65535.
///
/// # Panics
///
/// Never: the sum is less than 65,536.
#[must_use]
pub fn installation_port(seed: u64) -> u16 {
    use rand_core::SeedableRng;
    // Not the login's own stream of random numbers, so that the port tells nothing of its keys.
    let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
    random.set_stream(1);
    1_024 + u16::try_from(below(&mut random, 65_536 - 1_024)).expect("less than 65,536")
}
