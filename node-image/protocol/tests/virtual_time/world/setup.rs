//! The overlays that the tests and the calibration log in to.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::OnceLock;
use std::time::Duration;

use overlay_protocol::{
    Client, ClientCommand, ClientConfig, Input, LoginEvent, LoginFailure, LoginServer, LoginServerCommand,
    LoginServerConfig, LoginSummary, Machine, ParameterFile, Parameters, Password, ServerKeyPair, SuperNode,
    SuperNodeConfig, Time, UserName, installation_port,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::gateway::{Gateway, Policy};
use super::{NodeId, Role, World};

/// The parameter file that the labs use.
pub fn parameters() -> Parameters {
    let text = include_str!("../../../../parameters/skype-2006.yaml");
    let file: ParameterFile = serde_yaml::from_str(text).expect("the file is one");
    file.parameters().expect("its values are within their ranges")
}

/// The login server's keys: one pair for all tests, because it takes long to generate.
pub fn server_keys() -> &'static ServerKeyPair {
    static KEYS: OnceLock<ServerKeyPair> = OnceLock::new();
    KEYS.get_or_init(|| ServerKeyPair::generate(2006, 1_536).expect("a size that is used"))
}

pub fn name(user: &str) -> UserName {
    UserName::new(user).expect("a user name")
}

/// Address of the `index`th super node.
pub fn super_node_address(index: usize) -> SocketAddrV4 {
    let [high, low] = u16::try_from(index + 10).expect("few super nodes").to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(198, 18, high, low), 33_033)
}

/// An overlay, before clients are added.
#[derive(Clone)]
pub struct Setup {
    pub seed: u64,
    pub super_nodes: usize,
    pub parameters: Parameters,
    /// Clients have an account and a full host cache of so many entries, so many percent of them stale;
    /// without, they log in for the first time with bootstrap entries.
    pub subsequent: Option<(usize, usize)>,
    pub buddies: Vec<UserName>,
    /// Every user's.
    pub password: &'static str,
}

impl Setup {
    /// The labs' overlay: a first-time login.
    pub fn first_time(seed: u64) -> Self {
        Self {
            seed,
            super_nodes: 112,
            parameters: parameters(),
            subsequent: None,
            buddies: vec![name("bob")],
            password: "correct horse",
        }
    }

    /// The labs' overlay: a later login, with a full host cache of which 45 % is stale.
    pub fn subsequent(seed: u64) -> Self {
        Self { subsequent: Some((200, 45)), ..Self::first_time(seed) }
    }

    /// The servers.
    pub fn world(&self) -> World {
        let mut world = World::new(self.seed);
        let address = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 2), 33_034);
        let server = LoginServer::new(LoginServerConfig {
            private_key: server_keys().clone(),
            address,
            seed: self.seed,
            parameters: self.parameters.clone(),
        });
        world.add(Role::LoginServer(Box::new(server)), address, None, None);
        let peers: Vec<_> = (0..self.super_nodes).map(super_node_address).collect();
        for (index, &address) in peers.iter().enumerate() {
            self.add_super_node(&mut world, index, address, peers.clone());
        }
        world
    }

    /// Adds a super node that knows `peers`.
    pub fn add_super_node(
        &self,
        world: &mut World,
        index: usize,
        address: SocketAddrV4,
        peers: Vec<SocketAddrV4>,
    ) -> NodeId {
        let node = SuperNode::new(SuperNodeConfig {
            address,
            peers,
            login_server_keys: vec![server_keys().public()],
            seed: self.seed.wrapping_mul(1_000) + index as u64,
            parameters: self.parameters.clone(),
        });
        let alternate = SocketAddrV4::new(*address.ip(), 33_035);
        world.add(Role::SuperNode(Box::new(node)), address, Some(alternate), None)
    }

    /// What a client called `user` is told.
    pub fn client(&self, user: &str) -> ClientConfig {
        let seed =
            user.bytes().fold(self.seed, |seed, byte| seed.wrapping_mul(257).wrapping_add(byte.into()));
        ClientConfig {
            name: user.to_owned(),
            listen_port: installation_port(seed),
            local_address: None,
            login_servers: vec![(
                SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 2), 33_034),
                server_keys().public(),
            )],
            host_cache: self.host_cache(seed),
            user: name(user),
            password: Password::new(self.password),
            buddies: self.buddies.clone(),
            first_time: self.subsequent.is_none(),
            seed,
            parameters: self.parameters.clone(),
        }
    }

    fn host_cache(&self, seed: u64) -> Vec<SocketAddrV4> {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let mut alive: Vec<_> = (0..self.super_nodes).map(super_node_address).collect();
        shuffle(&mut random, &mut alive);
        let Some((entries, stale)) = self.subsequent else {
            alive.truncate(self.parameters.bootstrap_entries.get());
            return alive;
        };
        // 55 % of 200 entries are alive: of 112 super nodes that is nearly each one.
        alive.truncate(entries - entries * stale / 100);
        let stale = (0..entries - alive.len()).map(|index| {
            SocketAddrV4::new(Ipv4Addr::new(198, 19, 0, u8::try_from(index).expect("few")), 33_033)
        });
        let mut entries: Vec<_> = alive.into_iter().chain(stale).collect();
        shuffle(&mut random, &mut entries);
        entries
    }

    /// Adds a client; with an account if this is not its first login.
    pub fn add(&self, world: &mut World, config: ClientConfig, policy: Option<Policy>, host: u8) -> NodeId {
        if !config.first_time {
            add_user(world, &config.user, self.password);
        }
        attach(world, config, policy, host)
    }
}

/// Adds a client as it is.
pub fn attach(world: &mut World, mut config: ClientConfig, policy: Option<Policy>, host: u8) -> NodeId {
    let port = config.listen_port;
    let public = Ipv4Addr::new(198, 18, 200, host);
    let translated = policy.as_ref().is_some_and(|policy| policy.mapping.is_some());
    let ip = if translated { Ipv4Addr::new(192, 168, 1, 2) } else { public };
    let address = SocketAddrV4::new(ip, port);
    config.local_address = Some(ip);
    let gateway = policy.map(|policy| Gateway::new(policy, public, address));
    world.add(Role::Client(Box::new(Client::new(config))), address, None, gateway)
}

fn shuffle(random: &mut ChaCha20Rng, things: &mut [SocketAddrV4]) {
    for last in (1..things.len()).rev() {
        things.swap(last, random.next_u32() as usize % (last + 1));
    }
}

/// Enters a user at the login server.
pub fn add_user(world: &mut World, user: &UserName, password: &str) {
    let Role::LoginServer(server) = &mut world.nodes[0].role else {
        panic!("node 0 is the login server");
    };
    let command = LoginServerCommand::AddUser { user: user.clone(), password: Password::new(password) };
    server.handle(Time::ZERO, Input::Command(command));
}

/// How a login went.
#[derive(Clone, Debug)]
pub struct Login {
    /// Time from the command to logged in.
    pub logged_in: Option<Duration>,
    /// Time from the command to the end.
    pub ended: Duration,
    pub result: Result<LoginSummary, LoginFailure>,
}

/// Lets a client log in now, and runs until it has finished or failed.
pub fn log_in(world: &mut World, client: NodeId) -> Login {
    let start = world.now;
    world.command(client, ClientCommand::Login);
    let limit = start + Duration::from_secs(3_600);
    let over = |event: &LoginEvent| matches!(event, LoginEvent::Finished { .. } | LoginEvent::Failed { .. });
    let mut seen = 0;
    world.run_until(limit, |world| {
        let fresh = &world.events[seen..];
        seen = world.events.len();
        fresh.iter().any(|(_, node, event)| *node == client && over(event))
    });
    login_of(world, client, start)
}

/// How the login of a client went that began at `start`.
pub fn login_of(world: &World, client: NodeId, start: Time) -> Login {
    let mut login = None;
    let mut logged_in = None;
    for (at, event) in world.events_of(client) {
        match event {
            LoginEvent::LoggedIn => logged_in = Some(at - start),
            LoginEvent::Finished { summary } => {
                login = Some(Login { logged_in, ended: at - start, result: Ok(summary.clone()) });
            }
            LoginEvent::Failed { reason, .. } => {
                login = Some(Login { logged_in, ended: at - start, result: Err(*reason) });
            }
            _ => {}
        }
    }
    login.unwrap_or_else(|| panic!("the login neither finished nor failed: {:?}", world.client(client)))
}
