//! A NAT and a firewall -> the texts that `nft` and `iptables-restore` take, and kernel settings. Pure.

mod allocation;
mod fast_path;
mod iptables;
mod nft;
mod refresh;
mod settings;
mod transport;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub use fast_path::{FastPath, WRITTEN_DOWN};

use super::{FirewallProfile, NatProfile};
use crate::topology::Subnet;

/// Where the rules are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayContext {
    /// Interface to the WAN or to the outer site: `wan`.
    pub wan_interface: String,
    /// Interface to the site: `lan`.
    pub lan_interface: String,
    /// Addresses of `wan_interface`, at least one.
    pub outside: Vec<Ipv4Addr>,
    /// The site's network.
    pub inside: Subnet,
}

/// A gateway's rules, as the text that the kernel's own tools take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRules {
    /// For `nft -f`: the table `ip labctl`, made anew. Its mappings are lost; to forget them as a restart does, empty
    /// connection tracking too, which would bring back those that are in use.
    pub nft: String,
    /// For `iptables-restore`: the table `filter`; empty if the firewall lets everything pass.
    pub iptables: String,
    /// Settings below `/proc/sys`, by path (`net/ipv4/ip_forward`).
    pub sysctls: BTreeMap<String, String>,
    /// What packets of flows under way may do, see [`FastPath::beside`]; `None`: nothing is translated.
    pub fast_path: Option<FastPath>,
}

/// The rules of a gateway with this NAT and this firewall.
///
/// The NAT is a table of its own, `ip labctl`, so that it stands beside iptables' tables whatever they
/// are made of:
///
/// 1. A packet from outside for a port that no mapping has is dropped before connection tracking enters its
///    flow, or, where packets from outside do not refresh, before connection tracking sees it. So it can
///    neither take that port's place there nor keep anything alive.
/// 2. `<protocol>_outside` leads from outside endpoint to inside endpoint (`dnat`).
/// 3. `<protocol>_peers` says who may send to an outside endpoint (filtering).
/// 4. The firewall of iptables decides.
/// 5. `<protocol>_inside` leads from inside endpoint, with as much of the destination as the mapping
///    behaviour says, to outside endpoint (`snat`). Where there is none, a free port is found and claimed.
/// 6. After translation, the packet's mapping is written down or refreshed.
#[must_use]
pub fn gateway_rules(nat: &NatProfile, firewall: &FirewallProfile, gateway: &GatewayContext) -> GatewayRules {
    GatewayRules {
        nft: nft::table(nat.behaviour.as_ref(), gateway),
        iptables: iptables::restore(firewall, gateway),
        sysctls: settings::sysctls(nat.behaviour.as_ref()),
        fast_path: nat.fast_path(),
    }
}

impl NatProfile {
    /// The NAT alone: text for `nft -f`, and settings below `/proc/sys` by path.
    #[must_use]
    pub fn rules(&self, gateway: &GatewayContext) -> (String, BTreeMap<String, String>) {
        (nft::table(self.behaviour.as_ref(), gateway), settings::sysctls(self.behaviour.as_ref()))
    }

    /// What packets of flows under way may do beside these rules; `None`: nothing is translated.
    #[must_use]
    pub fn fast_path(&self) -> Option<FastPath> {
        self.behaviour.as_ref().map(FastPath::of)
    }
}

impl FirewallProfile {
    /// The firewall alone, for `iptables-restore`; empty if everything passes.
    #[must_use]
    pub fn rules(&self, gateway: &GatewayContext) -> String {
        iptables::restore(self, gateway)
    }
}
