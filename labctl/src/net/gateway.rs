//! Gateways: a namespace with a `wan`, a `lan` and the rules of a NAT and a firewall.

use std::net::Ipv4Addr;

use super::fast_path::{self, Interfaces, Place};
use super::link::{InterfaceIndex, LOOPBACK, Mac, VethEnd};
use super::netlink::Requests;
use super::ruleset::{self, Program, Rules};
use super::uplink::{self, Downstream, Upstream};
use super::{NetError, NetNs, Netlink, Uplink, conntrack, sysctl};
use crate::plan::{GatewayPlan, Lan};

/// Interface of a gateway towards the WAN.
pub const OUTSIDE: &str = "wan";
/// The interface towards the nodes of a gateway's site: see [`Lan`].
pub const INSIDE: &str = "lan";

/// Both.
pub const INTERFACES: Interfaces = Interfaces { outside: OUTSIDE, inside: INSIDE };

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

/// Number of [`INSIDE`] in its namespace.
const INSIDE_INDEX: InterfaceIndex = InterfaceIndex(1001);
/// The ports of `lan` are numbered from here, by the place of the first address behind them in the site's
/// network. The kernel takes a number for the one end of a pair only with one for the other.
const FIRST_PORT: u32 = 2000;

/// A gateway that exists.
#[derive(Clone, Debug)]
pub struct Gateway {
    namespace: NetNs,
    lan: Lan,
    /// Address on `lan`, and its prefix length.
    inside: (Ipv4Addr, u8),
    /// Where packets of flows under way are sent on, if they are.
    fast_path: Option<Place>,
}

impl Gateway {
    /// Makes the namespace, its settings, its rules and its `lan`. It has no link yet, so that no packet
    /// ever passes without the rules. On an error the namespace is removed again.
    pub async fn build(plan: &GatewayPlan) -> Result<Self, NetError> {
        let settings = plan.sysctls.clone();
        let fast_path = plan.fast_path().and_then(|settings| Place::take(settings, uplink::LOWER_END));
        let mut requests = Requests::default();
        requests.set_up(LOOPBACK);
        if plan.lan == Lan::Bridge {
            requests.add_bridge(INSIDE, INSIDE_INDEX, Mac::of(&plan.namespace, INSIDE));
            requests.add_address(INSIDE_INDEX, plan.inside, plan.inside_prefix);
        }
        let (namespace, ()) = NetNs::make(&plan.namespace, move |namespace| {
            sysctl::seal()?;
            sysctl::router(false)?;
            // Without it, only the age of mappings is not known.
            let _ = sysctl::set(conntrack::TIMESTAMPS, "1");
            settings.iter().try_for_each(|(path, value)| sysctl::set(path, value))?;
            fast_path.map_or(Ok(()), Place::prepare)?;
            Netlink::open_here(namespace)?.send(&requests)
        })
        .await?;
        let rules = Rules { nft: &plan.nft, iptables: &plan.iptables, outside: &plan.outside };
        if let Err(error) = ruleset::apply_first(&namespace, rules).await {
            NetNs::delete(&plan.namespace)?;
            return Err(error);
        }
        Ok(Self { fast_path, ..Self::of(plan, namespace) })
    }

    /// The gateway of a lab that runs already.
    pub fn open(plan: &GatewayPlan) -> Result<Self, NetError> {
        Ok(Self::of(plan, NetNs::open(&plan.namespace)?))
    }

    fn of(plan: &GatewayPlan, namespace: NetNs) -> Self {
        Self { namespace, lan: plan.lan, inside: (plan.inside, plan.inside_prefix), fast_path: None }
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
        // It passes no rules, so that the next one would not close it.
        fast_path::set(namespace, INTERFACES, None).await?;
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
        replaced?;
        fast_path::set(namespace, INTERFACES, plan.fast_path()).await.map(drop)
    }

    /// Makes its `wan`, linked to the core or to the gateway that it is behind.
    pub async fn connect(&self, plan: &GatewayPlan, uplink: Uplink<'_>) -> Result<(), NetError> {
        let down = Downstream {
            namespace: &self.namespace,
            place: &plan.namespace,
            name: plan.name.as_str(),
            interface: OUTSIDE,
            addresses: &plan.outside,
            prefix: plan.outside_prefix,
            next_hop: plan.next_hop,
        };
        uplink::connect(uplink, down).await?;
        let Some(place) = self.fast_path else { return Ok(()) };
        let mut requests = Requests::default();
        place.attach(uplink::LOWER_END, &mut requests);
        if self.lan == Lan::Bridge {
            place.attach(INSIDE_INDEX, &mut requests);
        }
        self.namespace.visit(move |namespace| Netlink::open_here(namespace)?.send(&requests)).await
    }

    /// Sends what goes to a network on to a router on `lan`.
    pub async fn route(&self, network: Ipv4Addr, prefix: u8, router: Ipv4Addr) -> Result<(), NetError> {
        let mut requests = Requests::default();
        requests.add_route_via(network, prefix, router, INSIDE_INDEX);
        self.namespace.visit(move |namespace| Netlink::open_here(namespace)?.send(&requests)).await
    }

    /// A link that hangs off `lan` and is to be made: `lan` itself, or a port of it. The bridge can send once
    /// one of its ports can.
    pub(super) fn port(&self, name: &str, far: &VethEnd<'_>, host: u32) -> Upstream {
        let mut requests = Requests::default();
        let near = |interface, index, bridge| {
            let mut near = VethEnd::new(&self.namespace, self.namespace.name(), interface);
            (near.index, near.bridge) = (Some(index), bridge);
            near
        };
        let interfaces: &[&str] = match self.lan {
            Lan::Link => {
                requests.add_veth(&near(INSIDE, INSIDE_INDEX, None), far);
                requests.add_address(INSIDE_INDEX, self.inside.0, self.inside.1);
                if let Some(place) = self.fast_path {
                    place.attach(INSIDE_INDEX, &mut requests);
                }
                &[INSIDE]
            }
            Lan::Bridge => {
                let index = InterfaceIndex(FIRST_PORT.saturating_add(host));
                requests.add_veth(&near(name, index, Some(INSIDE_INDEX)), far);
                &[name, INSIDE]
            }
        };
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        Upstream {
            namespace: self.namespace.clone(),
            netlink: None,
            requests,
            below: Requests::default(),
            mac: None,
            interfaces,
        }
    }
}
