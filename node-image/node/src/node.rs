//! The node as a whole: what its role makes it run, and what its control socket can reach.

use std::time::Duration;

use overlay_control::{Role, Status};
use overlay_protocol::{LoginServer, SuperNode, SuperNodeCommand};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::client::ClientNode;
use crate::config::{Kind, Setup};
use crate::driver::{BindError, Bindings, Stopped};
use crate::server::Server;

/// The longest that a node takes to leave: its owner waits for the process to end.
const LEAVE: Duration = Duration::from_secs(1);
/// How often a node that leaves looks whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: String,
    /// What runs.
    pub(crate) running: Running,
}

/// What a role runs.
#[derive(Debug)]
pub(crate) enum Running {
    Client(Box<ClientNode>),
    SuperNodes(Vec<Server<SuperNode>>),
    LoginServer(Server<LoginServer>),
}

impl Node {
    /// Starts what `setup` says. The tasks of servers are in the answer; each runs until the node ends.
    pub fn start(setup: Setup) -> Result<(Self, JoinSet<()>), BindError> {
        let mut serving = JoinSet::new();
        let running = match setup.kind {
            Kind::Client(client) => Running::Client(Box::new(ClientNode::new(*client))),
            Kind::SuperNodes(nodes) => {
                let start = |(name, config): (String, overlay_protocol::SuperNodeConfig)| {
                    let bindings = Bindings {
                        address: *config.address.ip(),
                        port: config.address.port(),
                        alternate: Some(alternate_port(config.address.port())),
                        also: config.parameters.listening_ports(config.address.port()),
                    };
                    Server::start(name, SuperNode::new(config), &bindings, &mut serving)
                };
                Running::SuperNodes(nodes.into_iter().map(start).collect::<Result<_, _>>()?)
            }
            Kind::LoginServer(name, config) => {
                let bindings = Bindings {
                    address: *config.address.ip(),
                    port: config.address.port(),
                    alternate: None,
                    also: config.parameters.listening_ports(config.address.port()),
                };
                let machine = LoginServer::new(*config);
                Running::LoginServer(Server::start(name, machine, &bindings, &mut serving)?)
            }
        };
        Ok((Self { name: setup.name, running }, serving))
    }

    /// What the node is.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.running {
            Running::Client(_) => Role::Client,
            Running::SuperNodes(_) => Role::SuperNode,
            Running::LoginServer(_) => Role::LoginServer,
        }
    }

    /// Takes leave of the overlay, as far as that goes within [`LEAVE`]: a client logs out, super nodes hand their records
    /// over and tell the others.
    pub async fn leave(&self) {
        if timeout(LEAVE, self.try_leave()).await.is_err() {
            info!("not all others know that this node leaves");
        }
    }

    async fn try_leave(&self) {
        match &self.running {
            Running::Client(client) => client.logout().await,
            Running::LoginServer(_) => {}
            Running::SuperNodes(servers) => {
                for server in servers {
                    // One that has ended has nothing to hand over.
                    let _ = server.command(SuperNodeCommand::Leave).await;
                }
                for server in servers {
                    while server.inspect(SuperNode::is_settled).await.is_ok_and(|settled| !settled) {
                        sleep(LOOK).await;
                    }
                }
            }
        }
    }

    /// The node's state.
    pub async fn status(&self) -> Result<Status, Stopped> {
        let mut instances = Vec::new();
        match &self.running {
            Running::Client(client) => instances.push(client.status().await),
            Running::LoginServer(server) => instances.push(server.status().await?),
            Running::SuperNodes(servers) => {
                for server in servers {
                    instances.push(server.status().await?);
                }
            }
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Status { name: self.name.clone(), role: self.role(), version, instances })
    }
}

/// The second UDP port of a super node: beside its own, so that a capture shows whose it is.
fn alternate_port(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(port - 1)
}
