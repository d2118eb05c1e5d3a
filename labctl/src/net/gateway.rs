//! Gateways: a namespace with a `wan`, a `lan` and the rules of a NAT and a firewall.

use std::net::Ipv4Addr;

use super::link::{InterfaceIndex, Mac, VethEnd};
use super::ruleset::{self, Program};
use super::uplink::{self, Downstream};
use super::{NetError, NetNs, Netlink, Uplink, conntrack, offload, sysctl};
use crate::plan::GatewayPlan;

/// Interface of a gateway towards the WAN.
pub const OUTSIDE: &str = "wan";
/// The bridge towards the nodes of a gateway's site.
pub const INSIDE: &str = "lan";

/// A table that lets nothing in, before anything else sees it.
const CLOSED: &str = "table ip labctl_closed {
	chain closed {
		type filter hook prerouting priority -500
		drop
	}
}
";
/// Takes that table away.
const OPEN: &str = "table ip labctl_closed\ndelete table ip labctl_closed\n";
/// An iptables `filter` table without rules: an empty text would leave the rules that there are.
const EVERYTHING_PASSES: &str = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n";

/// A gateway that exists.
#[derive(Clone, Debug)]
pub struct Gateway {
    namespace: NetNs,
    netlink: Netlink,
    inside: InterfaceIndex,
}

impl Gateway {
    /// Makes the namespace, its settings, its rules and its `lan`. It has no link yet, so that no packet
    /// ever passes without the rules. On an error the namespace is removed again.
    pub async fn build(plan: &GatewayPlan) -> Result<Self, NetError> {
        let namespace = NetNs::create(&plan.namespace)?;
        let built = Self::furnish(namespace, plan).await;
        if built.is_err() {
            NetNs::delete(&plan.namespace)?;
        }
        built
    }

    async fn furnish(namespace: NetNs, plan: &GatewayPlan) -> Result<Self, NetError> {
        let settings = plan.sysctls.clone();
        namespace
            .run_async(move || {
                sysctl::seal()?;
                sysctl::router(false)?;
                // Without it, only the age of mappings is not known.
                let _ = sysctl::set(conntrack::TIMESTAMPS, "1");
                settings.iter().try_for_each(|(path, value)| sysctl::set(path, value))
            })
            .await??;
        let links = async {
            let netlink = Netlink::open(&namespace).await?;
            netlink.set_loopback_up().await?;
            let inside = netlink.add_bridge(INSIDE, Mac::of(&plan.namespace, INSIDE)).await?;
            netlink.add_address(inside, plan.inside, plan.inside_prefix).await?;
            Ok((netlink, inside))
        };
        let ((netlink, inside), (), ()) = tokio::try_join!(
            links,
            ruleset::apply(&namespace, Program::Nft, &plan.nft),
            ruleset::apply(&namespace, Program::IptablesRestore, &plan.iptables),
        )?;
        Ok(Self { namespace, netlink, inside })
    }

    /// The gateway of a lab that runs already.
    pub async fn open(plan: &GatewayPlan) -> Result<Self, NetError> {
        let namespace = NetNs::open(&plan.namespace)?;
        let netlink = Netlink::open(&namespace).await?;
        let inside = netlink.link_index(INSIDE).await?;
        Ok(Self { namespace, netlink, inside })
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// Replaces its settings and its rules by those of `plan`, and forgets all mappings and flows, as a reboot
    /// does. Each program's rules are replaced whole or not at all, and meanwhile nothing passes.
    pub async fn restart(namespace: &NetNs, plan: &GatewayPlan) -> Result<(), NetError> {
        let settings = plan.sysctls.clone();
        namespace
            .run_async(move || settings.iter().try_for_each(|(path, value)| sysctl::set(path, value)))
            .await??;
        // A flow that connection tracking still knows would write its mapping down again.
        let closed = format!("{CLOSED}{}", plan.nft);
        ruleset::apply(namespace, Program::Nft, &closed).await?;
        let replaced = async {
            let iptables = if plan.iptables.trim().is_empty() { EVERYTHING_PASSES } else { &plan.iptables };
            ruleset::apply(namespace, Program::IptablesRestore, iptables).await?;
            conntrack::flush(namespace).await
        };
        let replaced = replaced.await;
        ruleset::apply(namespace, Program::Nft, OPEN).await?;
        replaced
    }

    /// Makes its `wan`, linked to the core or to the gateway that it is behind.
    pub async fn connect(&self, plan: &GatewayPlan, uplink: Uplink<'_>) -> Result<(), NetError> {
        let down = Downstream {
            namespace: &self.namespace,
            netlink: &self.netlink,
            place: &plan.namespace,
            name: plan.name.as_str(),
            interface: OUTSIDE,
            addresses: &plan.outside,
            prefix: plan.outside_prefix,
            next_hop: plan.next_hop,
        };
        uplink::connect(uplink, down).await
    }

    /// Sends what goes to a network on to a router on `lan`.
    pub async fn route(&self, network: Ipv4Addr, prefix: u8, router: Ipv4Addr) -> Result<(), NetError> {
        self.netlink.add_route_via(network, prefix, router, self.inside).await
    }

    /// Makes a link from a port of `lan`.
    pub(super) async fn add_port(&self, name: &str, far: &VethEnd<'_>) -> Result<(), NetError> {
        let mut near = VethEnd::new(&self.namespace, self.namespace.name(), name);
        near.bridge = Some(self.inside);
        self.netlink.add_veth(&near, far).await?;
        let interface = name.to_owned();
        self.namespace.run_async(move || offload::turn_off(&interface)).await?
    }

    /// Waits until a port of `lan` and `lan` itself, which follows its ports, can send.
    pub(super) async fn wait_operational(&self, port: &str) -> Result<(), NetError> {
        self.netlink.wait_operational(port).await?;
        self.netlink.wait_operational(INSIDE).await
    }
}
