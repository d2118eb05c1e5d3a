//! The node's configuration: read once at the start, checked, and turned into what the machines take.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::{fs, io};

use overlay_control::{CONFIG_FILE, Instance, NodeConfig, Role};
use overlay_protocol::{
    KeyError, LoginServerConfig, Parameters, ServerKeyPair, ServerPublicKey, SuperNodeConfig,
};
use zeroize::Zeroizing;

/// Sets the seeds of the instances of one node far apart (the golden ratio as a 64-bit fraction), so that
/// they do not meet those of nodes with neighbouring seeds.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the node is to be.
#[derive(Debug)]
pub struct Setup {
    /// Name in the topology.
    pub name: String,
    /// By role.
    pub kind: Kind,
}

/// What each role needs.
#[derive(Debug)]
pub enum Kind {
    /// A client.
    Client(Box<ClientSetup>),
    /// One or more super nodes, each with its name.
    SuperNodes(Vec<(String, SuperNodeConfig)>),
    /// A login server, with its name.
    LoginServer(String, Box<LoginServerConfig>),
}

/// What a client keeps between logins.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// Name in the topology.
    pub name: String,
    /// The node's directory, which sound files are read from and written to.
    pub directory: PathBuf,
    /// Address that it binds.
    pub address: Ipv4Addr,
    /// Its port; 0 where each login's seed gives one.
    pub port: u16,
    /// The login servers that it knows.
    pub login_servers: Vec<(SocketAddrV4, ServerPublicKey)>,
    /// The overlay's parameters.
    pub parameters: Parameters,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct ConfigError {
    /// The file.
    file: PathBuf,
    /// What is wrong with it.
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot be read: {0}; labctl writes it before the node starts")]
    Read(io::Error),
    #[error("is not a node's configuration: {0}")]
    Json(serde_json::Error),
    #[error("`instances` has {found} entries; a {role} has {expected}")]
    Instances { found: usize, role: &'static str, expected: &'static str },
    #[error("instance {name}: {address} is not an address of its own; a {role} needs a public one")]
    Address { name: String, address: Ipv4Addr, role: &'static str },
    #[error("instance {name}: port 0; a {role} needs a port that others know")]
    Port { name: String, role: &'static str },
    #[error("instances {first} and {second} both have {address}; give each its own")]
    Twice { first: String, second: String, address: Ipv4Addr },
    #[error("`login_servers` is empty; a {role} must know at least one")]
    NoLoginServer { role: &'static str },
    #[error("`login_servers`, {address}: {source}")]
    PublicKey { address: SocketAddrV4, source: KeyError },
    #[error("`private_key` is missing; a login server signs with it")]
    NoPrivateKey,
    #[error("`private_key`: {0}")]
    PrivateKey(KeyError),
    #[error("`private_key` is not the other half of the `public_key` of {address}")]
    OtherKey { address: SocketAddrV4 },
}

impl Setup {
    /// Reads and checks the configuration in a node's directory.
    pub fn read(directory: &Path) -> Result<Self, ConfigError> {
        let file = directory.join(CONFIG_FILE);
        let mut setup = Self::read_file(&file).map_err(|fault| ConfigError { file, fault })?;
        if let Kind::Client(client) = &mut setup.kind {
            directory.clone_into(&mut client.directory);
        }
        Ok(setup)
    }

    fn read_file(file: &Path) -> Result<Self, Fault> {
        let text = Zeroizing::new(fs::read(file).map_err(Fault::Read)?);
        Self::new(serde_json::from_slice(&text).map_err(Fault::Json)?)
    }

    fn new(mut config: NodeConfig) -> Result<Self, Fault> {
        let private_key = config.private_key.take().map(Zeroizing::new);
        let kind = match config.role {
            Role::Client => Kind::Client(Box::new(client(&config)?)),
            Role::SuperNode => Kind::SuperNodes(super_nodes(&config)?),
            Role::LoginServer => {
                let (name, server) = login_server(&config, private_key)?;
                Kind::LoginServer(name, Box::new(server))
            }
        };
        Ok(Self { name: config.name, kind })
    }
}

fn client(config: &NodeConfig) -> Result<ClientSetup, Fault> {
    let instance = only_instance(config, "client")?;
    Ok(ClientSetup {
        name: instance.name.clone(),
        directory: PathBuf::new(),
        address: instance.address,
        port: instance.port,
        login_servers: login_servers(config, "client")?,
        parameters: config.parameters.clone(),
    })
}

fn super_nodes(config: &NodeConfig) -> Result<Vec<(String, SuperNodeConfig)>, Fault> {
    let role = "super node";
    let keys = login_servers(config, role)?;
    if config.instances.is_empty() {
        return Err(Fault::Instances { found: 0, role, expected: "one or more" });
    }
    let mut nodes: Vec<(String, SuperNodeConfig)> = Vec::with_capacity(config.instances.len());
    for (index, instance) in (0_u64..).zip(&config.instances) {
        let address = public_address(instance, role)?;
        if let Some((first, _)) = nodes.iter().find(|(_, other)| other.address.ip() == address.ip()) {
            return Err(Fault::Twice {
                first: first.clone(),
                second: instance.name.clone(),
                address: instance.address,
            });
        }
        nodes.push((
            instance.name.clone(),
            SuperNodeConfig {
                address,
                peers: config.super_nodes.clone(),
                login_server_keys: keys.iter().map(|(_, key)| key.clone()).collect(),
                seed: config.seed ^ index.wrapping_mul(SEED_STEP),
                parameters: config.parameters.clone(),
            },
        ));
    }
    Ok(nodes)
}

fn login_server(
    config: &NodeConfig,
    private_key: Option<Zeroizing<String>>,
) -> Result<(String, LoginServerConfig), Fault> {
    let role = "login server";
    let instance = only_instance(config, role)?;
    let address = public_address(instance, role)?;
    let private_key = private_key.ok_or(Fault::NoPrivateKey)?;
    let private_key = ServerKeyPair::from_der_hex(&private_key).map_err(Fault::PrivateKey)?;
    // A key mix-up would otherwise show as forged certificates at every client.
    let known = login_servers(config, role)?;
    if known.iter().any(|(at, key)| *at == address && *key != private_key.public()) {
        return Err(Fault::OtherKey { address });
    }
    let parameters = config.parameters.clone();
    Ok((instance.name.clone(), LoginServerConfig { private_key, address, seed: config.seed, parameters }))
}

fn only_instance<'a>(config: &'a NodeConfig, role: &'static str) -> Result<&'a Instance, Fault> {
    match config.instances.as_slice() {
        [instance] => Ok(instance),
        others => Err(Fault::Instances { found: others.len(), role, expected: "one" }),
    }
}

fn public_address(instance: &Instance, role: &'static str) -> Result<SocketAddrV4, Fault> {
    let &Instance { ref name, address, port } = instance;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(Fault::Address { name: name.clone(), address, role });
    }
    if port == 0 {
        return Err(Fault::Port { name: name.clone(), role });
    }
    Ok(SocketAddrV4::new(address, port))
}

fn login_servers(
    config: &NodeConfig,
    role: &'static str,
) -> Result<Vec<(SocketAddrV4, ServerPublicKey)>, Fault> {
    if config.login_servers.is_empty() {
        return Err(Fault::NoLoginServer { role });
    }
    let read = |server: &overlay_control::LoginServer| {
        let address = server.address;
        ServerPublicKey::from_der_hex(&server.public_key)
            .map(|key| (address, key))
            .map_err(|source| Fault::PublicKey { address, source })
    };
    config.login_servers.iter().map(read).collect()
}
