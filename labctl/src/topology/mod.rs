//! Topology YAML -> [`Topology`]: parse and validate. Every error has its file, line and column, the
//! offending line and the mend. A [`Topology`] is valid: what uses it checks nothing again.
//!
//! [`load`] takes a path or the name of a shipped topology, [`parse`] takes text. The steps are: text to a
//! tree with places (`document`), the tree to sections (`read`), sections to a topology (`resolve`).

pub(crate) mod document;
pub(crate) mod fields;
mod load;
mod parameters;
pub(crate) mod problem;
mod profiles;
mod program;
mod published;
mod read;
mod resolve;
mod set;
mod setting;
mod subnet;
#[cfg(test)]
mod tests;
mod units;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use overlay_control::Role;
use overlay_protocol::Parameters;
use serde::Serialize;

use crate::link::{AccessLink, Coordinates, Scheduled};
use crate::names::{LabName, NodeName};
use crate::profile::{FirewallProfile, NatProfile};

pub use load::{Overrides, load, parse, shipped};
pub use parameters::shipped_parameters;
pub use problem::{Problem, Problems, TopologyErrors};
pub use program::{HealthCheck, Mount, Part, Program, Template};
pub use published::ROWS as PUBLISHED_ROWS;
pub(crate) use read::preset_names;
pub use set::{SetError, Setting};
pub(crate) use setting::KEYS as LINK_KEYS;
pub use setting::link_setting;
pub use subnet::{Subnet, SubnetError};

/// All public addresses of a lab: the network that RFC 2544 sets aside for benchmarks.
pub const WAN_SUBNET: Subnet = Subnet { network: Ipv4Addr::new(198, 18, 0, 0), prefix: 15 };
/// How many public addresses nodes and gateways can have: from 198.18.0.2 to 198.19.127.255. Those above
/// are nobody's, for stale host-cache entries.
pub const WAN_ASSIGNABLE: u32 = (1 << 16) + (1 << 15) - 2;

/// `seed:` where the file has none.
pub const DEFAULT_SEED: u64 = 1;
/// The region of a topology without a `wan:` section.
const DEFAULT_REGION: &str = "internet";
/// Round-trip time within the only region of a topology without a `wan:` section.
const DEFAULT_RTT: Duration = Duration::from_millis(50);
/// `subnet:` where the file has none: what most home routers come with.
const DEFAULT_SUBNET: Subnet = Subnet { network: Ipv4Addr::new(192, 168, 1, 0), prefix: 24 };
/// `outside_addresses:` where the file has none.
const DEFAULT_OUTSIDE_ADDRESSES: u16 = 1;
/// `overlay: profile:` where the file has none.
const DEFAULT_OVERLAY: &str = "skype-2006";
/// `overlay: host_cache: stale:` where the file has none. Nobody published a share: it is what the
/// parameter file's probing was calibrated with.
const DEFAULT_STALE: f64 = 0.45;

/// Containers and gateways at most. Far above what one machine can host; it keeps a slip of the hand in a
/// count from filling the memory.
pub(crate) const MOST_CONTAINERS: u32 = 10_000;
/// `addresses:` at most.
pub(crate) const MOST_ADDRESSES: u16 = 1_024;
/// `outside_addresses:` at most.
pub(crate) const MOST_OUTSIDE_ADDRESSES: u16 = 64;
/// `host_cache: entries:` at most, whatever the parameter file allows.
pub(crate) const MOST_ENTRIES: u32 = 10_000;

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
    /// Changes of the WAN while the lab runs, in the order of their times; links by their attachments' names.
    pub schedule: Vec<Scheduled>,
    /// What experiments do by default in this topology.
    pub experiment: Experiment,
}

impl Topology {
    /// What is in each site, by the site's name. Sites with nothing in them are there too.
    #[must_use]
    pub fn members(&self) -> HashMap<&NodeName, Members<'_>> {
        let mut members: HashMap<&NodeName, Members<'_>> =
            self.sites.iter().map(|site| (&site.name, Members::default())).collect();
        for node in &self.nodes {
            if let Place::Site { site } = &node.place {
                members.entry(site).or_default().nodes.push(node);
            }
        }
        for inner in &self.sites {
            if let Uplink::Site { site } = &inner.uplink {
                members.entry(site).or_default().gateways.push(inner);
            }
        }
        members
    }
}

/// What hangs off a site's gateway.
#[derive(Clone, Debug, Default)]
pub struct Members<'a> {
    /// Its nodes, in the order of the file.
    pub nodes: Vec<&'a Node>,
    /// The sites whose gateways are behind its own, in the order of the file.
    pub gateways: Vec<&'a Site>,
}

impl Members<'_> {
    /// How many addresses the site's network needs: for its gateway, its nodes, and the outside of the
    /// gateways behind it.
    #[must_use]
    pub fn hosts(&self) -> u32 {
        let behind = self.gateways.iter().map(|inner| u32::from(inner.outside_addresses));
        1 + self.nodes.iter().map(|_| 1).chain(behind).sum::<u32>()
    }

    /// How many links hang off the gateway.
    #[must_use]
    pub fn links(&self) -> usize {
        self.nodes.len() + self.gateways.len()
    }
}

/// The emulated Internet between the access links.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wan {
    /// Names of the regions; elsewhere a region is an index into this.
    pub regions: Vec<String>,
    /// Where they are, if the file says.
    pub places: Vec<Option<Coordinates>>,
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

impl HostCache {
    /// Live entries if there are super nodes enough.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    pub fn live(&self) -> usize {
        (self.entries as f64 * (1.0 - self.stale)).round() as usize
    }

    /// Entries that a cache can be filled with where there are `super_nodes`: live ones and stale ones. If
    /// there are too few super nodes, there are fewer stale entries too, so that their share is as asked.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    pub fn filled(&self, super_nodes: usize) -> (usize, usize) {
        let live = self.live().min(super_nodes);
        let stale = (live as f64 * self.stale / (1.0 - self.stale)).round() as usize;
        (live, stale.min(self.entries - live))
    }
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
    /// `None` with a NAT that translates nothing: the plan gives the site public addresses.
    pub subnet: Option<Subnet>,
    /// The gateway's link to the WAN.
    pub access: AccessLink,
}

/// What a gateway's outside is connected to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uplink {
    /// Straight to the WAN, in this region.
    Wan {
        /// Index into [`Wan::regions`].
        region: usize,
        /// A place of its own.
        at: Option<Coordinates>,
    },
    /// To the inside of another site's gateway (a home behind a carrier's NAT).
    Site {
        /// The outer site.
        site: NodeName,
    },
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
    /// Addresses, each with an overlay node of its own if it is a super node; 1 unless the file says otherwise.
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
    /// Any other program.
    Program(Program),
}

impl Node {
    /// The role of an overlay node.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match &self.kind {
            NodeKind::Overlay { role, .. } => Some(*role),
            NodeKind::Program(_) => None,
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
        /// A place of its own.
        at: Option<Coordinates>,
        /// The node's link to the WAN.
        access: Box<AccessLink>,
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
