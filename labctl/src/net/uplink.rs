//! What an interface hangs off: the WAN core, or a gateway's `lan`.

use std::net::Ipv4Addr;

use super::link::{Mac, VethEnd};
use super::wan::Core;
use super::{Gateway, NetError, NetNs, Netlink, offload};
use crate::plan::WanPlan;

/// What a gateway's `wan` or a node's `eth0` is linked to.
#[derive(Clone, Copy, Debug)]
pub enum Uplink<'a> {
    /// To the WAN core. The plan says what the link is like.
    Wan {
        /// The core.
        core: &'a Core,
        /// Its plan, which has an attachment of the name that is linked.
        plan: &'a WanPlan,
    },
    /// To the `lan` of a gateway.
    Lan(&'a Gateway),
}

/// The end of a link that hangs off something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Downstream<'a> {
    /// Where the end is.
    pub namespace: &'a NetNs,
    /// Requests about that place.
    pub netlink: &'a Netlink,
    /// Name of that place in the plan.
    pub place: &'a str,
    /// Name of the node or gateway: that of the link's other end.
    pub name: &'a str,
    /// Name of this end.
    pub interface: &'static str,
    /// Addresses of this end.
    pub addresses: &'a [Ipv4Addr],
    /// Their prefix length.
    pub prefix: u8,
    /// Next hop of the default route.
    pub next_hop: Ipv4Addr,
}

/// Links a namespace to what it hangs off, and gives it its addresses and its default route. When it
/// returns, packets can pass both ways.
pub(super) async fn connect(uplink: Uplink<'_>, down: Downstream<'_>) -> Result<(), NetError> {
    let far = VethEnd::new(down.namespace, down.place, down.interface);
    let far_mac = far.mac;
    let upstream_mac = match uplink {
        Uplink::Wan { core, plan } => Some(core.attach(plan, down.name, &far).await?),
        Uplink::Lan(gateway) => {
            gateway.add_port(down.name, &far).await?;
            None
        }
    };
    let offloads = down.namespace.run_async(|| offload::turn_off(down.interface));
    let configured = configure(down, upstream_mac);
    let (offloads, configured) = tokio::join!(offloads, configured);
    tracing::debug!(name = down.name, place = down.place, mac = ?far_mac, "linked");
    offloads??;
    configured?;
    match uplink {
        Uplink::Wan { core, .. } => core.wait_operational(down.name).await?,
        Uplink::Lan(gateway) => gateway.wait_operational(down.name).await?,
    }
    down.netlink.wait_operational(down.interface).await
}

async fn configure(down: Downstream<'_>, upstream: Option<Mac>) -> Result<(), NetError> {
    let index = down.netlink.link_index(down.interface).await?;
    down.netlink.set_up(index).await?;
    for &address in down.addresses {
        down.netlink.add_address(index, address, down.prefix).await?;
    }
    if let Some(mac) = upstream {
        down.netlink.add_neighbour(index, down.next_hop, mac).await?;
    }
    down.netlink.add_default_route(down.next_hop, index).await
}
