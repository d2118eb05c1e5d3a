//! Nodes: the network of a container that something else has made.

use super::uplink::{self, Downstream};
use super::{NetError, NetNs, Netlink, Uplink, sysctl};
use crate::plan::NodePlan;

/// Interface of a node.
pub const INTERFACE: &str = "eth0";

/// Gives a namespace the network of a node: settings, loopback, and an `eth0` that hangs off the core or
/// its gateway. The namespace is that of a container without a network of its own.
pub async fn attach(plan: &NodePlan, namespace: &NetNs, uplink: Uplink<'_>) -> Result<(), NetError> {
    namespace
        .run_async(|| {
            sysctl::seal()?;
            sysctl::node()
        })
        .await??;
    let netlink = Netlink::open(namespace).await?;
    netlink.set_loopback_up().await?;
    let down = Downstream {
        namespace,
        netlink: &netlink,
        place: &plan.namespace,
        name: plan.name.as_str(),
        interface: INTERFACE,
        addresses: &plan.addresses,
        prefix: plan.prefix,
        next_hop: plan.next_hop,
    };
    uplink::connect(uplink, down).await
}
