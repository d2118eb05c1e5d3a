//! Topology YAML -> [`Topology`]: parse and validate. Every error has file:line:column, the offending
//! line and the mend. A [`Topology`] is valid: what uses it checks nothing again.

pub(crate) mod document;
pub(crate) mod fields;
pub(crate) mod problem;
mod subnet;
mod units;

use std::collections::BTreeMap;
use std::time::Duration;

use overlay_control::Role;
use overlay_protocol::Parameters;
use serde::Serialize;

use crate::names::{LabName, NodeName};
use crate::profile::{FirewallProfile, NatProfile};

pub use problem::{Problem, Problems, TopologyErrors};
pub use subnet::{Subnet, SubnetError};

/// A validated topology. `count:` is expanded, profiles and overlay parameters are resolved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topology {
    /// Name of the lab, unless `--name` gives another.
    pub name: LabName,
    /// One line for people.
    pub title: String,
    /// The published row to compare with, as `infocom2006/expC`.
    pub published: Option<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// The emulated Internet.
    pub wan: Wan,
    /// The overlay; `None` if the topology has no overlay node.
    pub overlay: Option<Overlay>,
    /// Private networks and their gateways, in the order of the file.
    pub sites: Vec<Site>,
    /// Nodes, public ones first, in the order of the file.
    pub nodes: Vec<Node>,
    /// What experiments do by default in this topology.
    pub experiment: Experiment,
}

/// The emulated Internet between the access links.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wan {
    /// Names of the regions; elsewhere a region is an index into this.
    pub regions: Vec<String>,
    /// Round-trip time between regions: `rtt[a][b] == rtt[b][a]`, including that of a region to itself.
    pub rtt: Vec<Vec<Duration>>,
    /// Jitter as a share of the RTT, 0.0 to 1.0.
    pub jitter: f64,
}

/// The overlay that all overlay nodes of the topology form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlay {
    /// Name of the parameter file.
    pub profile: String,
    /// Its values.
    pub parameters: Parameters,
    /// Host cache of a client that has logged in before.
    pub host_cache: HostCache,
}

/// What a host cache is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HostCache {
    /// Entries at most. Fewer if the topology has too few super nodes for the share of stale ones.
    pub entries: usize,
    /// Share of entries behind which nobody is any more, 0.0 to below 1.0.
    pub stale: f64,
}

/// A private network behind one gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Site {
    /// Name of the site, of its gateway, and of its access link.
    pub name: NodeName,
    /// What the gateway hangs off.
    pub uplink: Uplink,
    /// The gateway's NAT.
    pub nat: NatProfile,
    /// The gateway's firewall.
    pub firewall: FirewallProfile,
    /// How many outside addresses the gateway has; 1 unless the file says otherwise.
    pub outside_addresses: u16,
    /// Private network, 192.168.1.0/24 unless the file says otherwise. The gateway has the first address.
    pub subnet: Subnet,
    /// The gateway's link to the WAN.
    pub access: AccessLink,
}

/// What a gateway's outside is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uplink {
    /// Straight to the WAN, in this region.
    Wan {
        /// Index into [`Wan::regions`].
        region: usize,
    },
    /// To the inside of another site's gateway (a home behind a carrier's NAT).
    Site {
        /// The outer site.
        site: NodeName,
    },
}

/// An access link: what a gateway's or public node's packets pass on their way to and from the WAN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AccessLink {
    /// Rate from the WAN, bit/s; `None` is no limit.
    pub down: Option<u64>,
    /// Rate to the WAN, bit/s; `None` is no limit.
    pub up: Option<u64>,
    /// One-way delay, added in each direction.
    pub delay: Duration,
    /// Jitter, each way: uniform in plus or minus this.
    pub jitter: Duration,
    /// Independent loss in each direction, 0.0 to 1.0.
    pub loss: f64,
}

/// A node: one container.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Its name, unique in the topology.
    pub name: NodeName,
    /// The name in the file: `sn` for `sn-3` of `sn: { count: 16 }`.
    pub group: NodeName,
    /// What runs in its container.
    pub kind: NodeKind,
    /// Where it is.
    pub place: Place,
    /// Public addresses, and thus overlay nodes in the container; 1 unless the file says otherwise.
    pub addresses: u16,
}

/// What runs in a node's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A node of the overlay.
    Overlay {
        /// Its role.
        role: Role,
        /// A client's buddy list: names of clients, which are their user names too.
        buddies: Vec<NodeName>,
    },
}

impl Node {
    /// The role of an overlay node.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match &self.kind {
            NodeKind::Overlay { role, .. } => Some(*role),
        }
    }
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A public address on the WAN.
    Wan {
        /// Index into [`Wan::regions`].
        region: usize,
        /// The node's link to the WAN.
        access: AccessLink,
    },
    /// A private address behind a site's gateway.
    Site {
        /// The site.
        site: NodeName,
    },
}

/// What experiments do by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Experiment {
    /// Clients that are measured; all others are background. Every client unless the file says otherwise.
    pub measure: Vec<NodeName>,
    /// Clients that are logged in before the first trial and stay so.
    pub online: Vec<NodeName>,
    /// Free-form notes of the file, by key, for the report.
    pub notes: BTreeMap<String, String>,
}
