//! [`Topology`](crate::topology::Topology) -> [`Plan`]: names, addresses, routes, link parameters and
//! rulesets as text. Pure: same topology and seed, same plan, byte for byte.

mod addresses;
mod make;
mod seeds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use overlay_control::restart::RestartPolicy;
use overlay_control::{Instance, LoginServer, NodeConfig, Role};
use overlay_protocol::Parameters;
use serde::{Deserialize, Serialize};

use crate::link::{AccessLink, Coordinates, Scheduled};
use crate::names::{LabName, NodeName};
use crate::profile::FastPath;
use crate::times;
use crate::topology::Mount;

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
    /// Changes of the WAN while the lab runs, in the order of their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Scheduled>,
    /// What login experiments need to know; `None` without an overlay.
    pub overlay: Option<OverlayPlan>,
}

/// What carries the packets of a WAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// The kernel's own queueing disciplines (netem, htb, tbf).
    Kernel,
    /// labctl's own, in a thread of the keeper.
    #[default]
    User,
}

impl EngineKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::User => "user",
        }
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
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
    /// Where the regions are, in their order, if that is known of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Option<Coordinates>>,
    /// One-way delay between regions, half of the RTT.
    #[serde(with = "times::matrix")]
    pub delay: Vec<Vec<Duration>>,
    /// Jitter as a share of the delay between regions.
    pub jitter: f64,
    /// What carries its packets: labctl's own engine, unless `up` has chosen the kernel's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: EngineKind,
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
    /// Where it is, if it has a place of its own. Then its delays follow from distances rather than from regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Coordinates>,
    /// Public addresses that the core routes to the other end: its own, and those of the nodes behind a
    /// gateway that translates nothing.
    pub addresses: Vec<Ipv4Addr>,
    /// The access link.
    #[serde(default, skip_serializing_if = "AccessLink::is_unlimited")]
    pub access: AccessLink,
}

impl WanPlan {
    /// One-way delay between the access links of two attachments: by distance if one of them has a place of its
    /// own, else that of their regions. `None` if the plan says neither, or an attachment is of another plan.
    #[must_use]
    pub fn path_delay(&self, from: &Attachment, to: &Attachment) -> Option<Duration> {
        if from.place.is_none() && to.place.is_none() {
            return self.delay.get(from.region)?.get(to.region).copied();
        }
        let place = |at: &Attachment| at.place.or_else(|| self.places.get(at.region).copied().flatten());
        Some(place(from)?.delay_to(place(to)?))
    }
}

/// What a gateway's `lan` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lan {
    /// A bridge, whose ports are named for the nodes and gateways that hang off it.
    #[default]
    Bridge,
    /// The link to the only node or gateway that there is. A lab of a thousand homes comes up quicker without
    /// their bridges, and the kernel takes a bridge away in no less than ten milliseconds.
    Link,
}

/// A site's router: a namespace with `wan` and `lan`.
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
    /// What `lan` is.
    #[serde(default)]
    pub lan: Lan,
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
    /// What packets of flows under way may do where there is no firewall; `None`: nothing is translated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_path: Option<FastPath>,
}

impl GatewayPlan {
    /// What packets of flows under way may do; `None`: each must pass the rules.
    #[must_use]
    pub fn fast_path(&self) -> Option<FastPath> {
        self.fast_path?.beside(&self.iptables)
    }
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
    /// A directory of the host that is the root file system; `None`: the image's, or the host's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// What else of the host is seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Whether the program is started again when it has ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: RestartPolicy,
    /// How to find out whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthPlan>,
}

/// A command that ends with 0 while a program works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// The command, run in the node's container.
    pub command: Vec<String>,
    /// From the end of one check to the begin of the next.
    #[serde(with = "times")]
    pub interval: Duration,
    /// A check that takes longer has failed.
    #[serde(with = "times")]
    pub timeout: Duration,
    /// So many failures one after another make the program unhealthy.
    pub retries: u32,
    /// Failures do not count for so long after the program's start, until a check has succeeded.
    #[serde(with = "times")]
    pub start_period: Duration,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
    /// The containers of super nodes, in the order of the plan.
    pub fn super_nodes(&self) -> impl Iterator<Item = &NodePlan> {
        self.nodes.iter().filter(|node| node.role() == Some(Role::SuperNode))
    }

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
