//! [`Topology`](crate::topology::Topology) -> [`Plan`]: names, addresses, routes, link parameters and
//! rulesets as text. Pure: same topology and seed, same plan, byte for byte.

mod addresses;
mod make;
mod seeds;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use overlay_control::{Instance, LoginServer, NodeConfig, Role};
use overlay_protocol::Parameters;
use serde::{Deserialize, Serialize};

use crate::names::{LabName, NodeName};

pub use make::LOGIN_SERVER_PORT;
pub use seeds::derive_seed;

/// Everything that `up` makes, and everything that experiments must know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The lab.
    pub lab: LabName,
    /// One line for people.
    pub title: String,
    /// The published row to compare with.
    pub published: Option<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// The WAN core and its attachments.
    pub wan: WanPlan,
    /// Gateways, each after the one that it hangs off.
    pub gateways: Vec<GatewayPlan>,
    /// Nodes.
    pub nodes: Vec<NodePlan>,
    /// What login experiments need to know; `None` without an overlay.
    pub overlay: Option<OverlayPlan>,
}

/// The WAN core: a namespace that routes between attachments and reaches nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WanPlan {
    /// Its namespace.
    pub namespace: String,
    /// The core's own address, on its loopback interface: every attachment's next hop.
    pub address: Ipv4Addr,
    /// All public addresses; unassigned ones are silently dropped (a blackhole route).
    pub network: Ipv4Addr,
    /// Prefix length of `network`.
    pub prefix: u8,
    /// Seed of jitter and loss.
    pub seed: u64,
    /// Names of the regions.
    pub regions: Vec<String>,
    /// One-way delay between regions, half of the RTT.
    #[serde(with = "times::matrix")]
    pub delay: Vec<Vec<Duration>>,
    /// Jitter as a share of the delay between regions.
    pub jitter: f64,
    /// Who hangs off the core.
    pub attachments: Vec<Attachment>,
}

/// One link between the core and a public node or a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Interface name in the core: the name of the node or gateway at the other end.
    pub name: NodeName,
    /// Namespace at the other end.
    pub namespace: String,
    /// Interface at the other end: `eth0` of a node, `wan` of a gateway.
    pub interface: String,
    /// Index into [`WanPlan::regions`].
    pub region: usize,
    /// Public addresses that the core routes to the other end: its own, and those of the nodes behind a
    /// gateway that translates nothing.
    pub addresses: Vec<Ipv4Addr>,
    /// Rate from the core, bit/s.
    pub down: Option<u64>,
    /// Rate to the core, bit/s.
    pub up: Option<u64>,
    /// One-way delay of the access link.
    #[serde(with = "times")]
    pub access_delay: Duration,
    /// Jitter of the access link: uniform in plus or minus this.
    #[serde(with = "times")]
    pub access_jitter: Duration,
    /// Loss of the access link, each way, 0.0 to 1.0.
    pub loss: f64,
}

/// A site's router: a namespace with `wan` and `lan` (a bridge whose ports are named for the nodes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayPlan {
    /// Name of the site.
    pub name: NodeName,
    /// Its namespace.
    pub namespace: String,
    /// The gateway whose `lan` this one's `wan` is a port of; `None`: the WAN core.
    pub behind: Option<NodeName>,
    /// Addresses on `wan`.
    pub outside: Vec<Ipv4Addr>,
    /// Prefix length on `wan`: 32 towards the WAN core, the outer site's behind another gateway.
    pub outside_prefix: u8,
    /// Next hop of the default route.
    pub next_hop: Ipv4Addr,
    /// Address on `lan`.
    pub inside: Ipv4Addr,
    /// Prefix length on `lan`.
    pub inside_prefix: u8,
    /// Name of the NAT profile, for people.
    pub nat: String,
    /// Name of the firewall profile, for people.
    pub firewall: String,
    /// Settings below `/proc/sys`, by path with `/` (`net/ipv4/ip_forward`).
    pub sysctls: BTreeMap<String, String>,
    /// The NAT, for `nft -f`; empty: none.
    pub nft: String,
    /// The firewall, for `iptables-restore`; empty: none.
    pub iptables: String,
}

/// A node and its container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Name.
    pub name: NodeName,
    /// The name in the file, before `count:` was expanded.
    pub group: NodeName,
    /// What runs in its container.
    pub kind: NodeKindPlan,
    /// Its network namespace.
    pub namespace: String,
    /// Its container.
    pub container: String,
    /// The gateway whose `lan` it is on; `None`: a public node, attached to the WAN core.
    pub gateway: Option<NodeName>,
    /// Addresses on `eth0`.
    pub addresses: Vec<Ipv4Addr>,
    /// Prefix length on `eth0`: 32 for a public node.
    pub prefix: u8,
    /// Next hop of the default route.
    pub next_hop: Ipv4Addr,
    /// Seed of everything random in the node.
    pub seed: u64,
}

/// What runs in a node's container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKindPlan {
    /// A node of the overlay.
    Overlay(OverlayNodePlan),
    /// Any other program.
    Program(ProgramPlan),
}

/// A node of the overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlayNodePlan {
    /// Role.
    pub role: Role,
    /// Buddies of a client.
    pub buddies: Vec<NodeName>,
    /// The overlay nodes in the container, with their addresses and ports.
    pub instances: Vec<Instance>,
}

/// A program of the host, or of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramPlan {
    /// The image; `None`: the host's file system.
    pub image: Option<String>,
    /// The program and its arguments; in an image, the arguments of its entry point, and those that it has
    /// itself if there are none here.
    pub command: Vec<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
}

/// What a node that has no role is called where others have one.
pub const PROGRAM: &str = "program";

impl NodePlan {
    /// The role of an overlay node.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.overlay().map(|overlay| overlay.role)
    }

    /// The role as labels and tables show it, or [`PROGRAM`].
    #[must_use]
    pub fn role_name(&self) -> &'static str {
        match self.role() {
            Some(Role::Client) => "client",
            Some(Role::SuperNode) => "super-node",
            Some(Role::LoginServer) => "login-server",
            None => PROGRAM,
        }
    }

    /// What only an overlay node has.
    #[must_use]
    pub const fn overlay(&self) -> Option<&OverlayNodePlan> {
        match &self.kind {
            NodeKindPlan::Overlay(overlay) => Some(overlay),
            NodeKindPlan::Program(_) => None,
        }
    }

    /// The program of a node that is none of the overlay's.
    #[must_use]
    pub const fn program(&self) -> Option<&ProgramPlan> {
        match &self.kind {
            NodeKindPlan::Program(program) => Some(program),
            NodeKindPlan::Overlay(_) => None,
        }
    }

    /// Buddies of a client.
    #[must_use]
    pub fn buddies(&self) -> &[NodeName] {
        self.overlay().map_or(&[], |overlay| &overlay.buddies)
    }

    /// The overlay nodes in the container.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        self.overlay().map_or(&[], |overlay| &overlay.instances)
    }
}

/// What all nodes of the overlay share, and what a login experiment needs to know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlayPlan {
    /// Name of the parameter file.
    pub profile: String,
    /// Its values, the same for every node.
    pub parameters: Parameters,
    /// Every login server's address and port. Their keys are made by `up`.
    pub login_servers: Vec<SocketAddrV4>,
    /// Every super node's address and port.
    pub super_nodes: Vec<SocketAddrV4>,
    /// Host cache of a client that has logged in before: entries in all, live and stale together.
    pub host_cache_entries: usize,
    /// How many of them are stale.
    pub host_cache_stale: usize,
    /// Public addresses that nobody has, for stale entries.
    pub unassigned: Vec<Ipv4Addr>,
    /// Clients that are measured.
    pub measure: Vec<NodeName>,
    /// Clients that are online before the first trial.
    pub online: Vec<NodeName>,
}

impl Plan {
    /// What a node reads at its start; `None` for a node that is none of the overlay's.
    ///
    /// `login_servers` are the addresses of [`OverlayPlan::login_servers`] with the keys that `up` made. A
    /// login server's own private key is the caller's to add.
    #[must_use]
    pub fn node_config(&self, node: &NodePlan, login_servers: &[LoginServer]) -> Option<NodeConfig> {
        let overlay = self.overlay.as_ref()?;
        let own = node.overlay()?;
        Some(NodeConfig {
            name: node.name.to_string(),
            role: own.role,
            seed: node.seed,
            instances: own.instances.clone(),
            super_nodes: overlay.super_nodes.clone(),
            login_servers: login_servers.to_vec(),
            private_key: None,
            parameters: overlay.parameters.clone(),
        })
    }
}
