//! Nodes: the network of a container.

use std::net::Ipv4Addr;

use super::link::LOOPBACK;
use super::netlink::Requests;
use super::uplink::{self, Downstream};
use super::{NetError, NetNs, Netlink, Uplink, sysctl};
use crate::plan::NodePlan;

/// Interface of a node.
pub const INTERFACE: &str = "eth0";

/// What a node's network is made from: a part of [`NodePlan`].
#[derive(Clone, Copy, Debug)]
pub struct NodeNetwork<'a> {
    /// Name of the node: that of its link's other end.
    pub name: &'a str,
    /// Name of its namespace.
    pub namespace: &'a str,
    /// Addresses of its interface.
    pub addresses: &'a [Ipv4Addr],
    /// Their prefix length.
    pub prefix: u8,
    /// Next hop of the default route.
    pub next_hop: Ipv4Addr,
}

impl<'a> From<&'a NodePlan> for NodeNetwork<'a> {
    fn from(plan: &'a NodePlan) -> Self {
        Self {
            name: plan.name.as_str(),
            namespace: &plan.namespace,
            addresses: &plan.addresses,
            prefix: plan.prefix,
            next_hop: plan.next_hop,
        }
    }
}

/// Makes a namespace with the network of a node (`&NodePlan` will do). On an error it is removed again.
pub async fn build<'a>(network: impl Into<NodeNetwork<'a>>, uplink: Uplink<'_>) -> Result<NetNs, NetError> {
    let network = network.into();
    let (namespace, ()) = NetNs::make(network.namespace, prepare).await?;
    if let Err(error) = connect(network, &namespace, uplink).await {
        NetNs::delete(network.namespace)?;
        return Err(error);
    }
    Ok(namespace)
}

/// Gives a namespace the network of a node (`&NodePlan` will do): settings, loopback, and an `eth0` that
/// hangs off the core or its gateway. The namespace is that of a container without a network of its own.
pub async fn attach<'a>(
    network: impl Into<NodeNetwork<'a>>,
    namespace: &NetNs,
    uplink: Uplink<'_>,
) -> Result<(), NetError> {
    namespace.visit(prepare).await?;
    connect(network.into(), namespace, uplink).await
}

/// What the calling thread's namespace has without any link.
fn prepare(namespace: &NetNs) -> Result<(), NetError> {
    sysctl::seal()?;
    sysctl::node()?;
    let mut requests = Requests::default();
    requests.set_up(LOOPBACK);
    Netlink::open_here(namespace)?.send(&requests)
}

async fn connect(network: NodeNetwork<'_>, namespace: &NetNs, uplink: Uplink<'_>) -> Result<(), NetError> {
    let down = Downstream {
        namespace,
        place: network.namespace,
        name: network.name,
        interface: INTERFACE,
        addresses: network.addresses,
        prefix: network.prefix,
        next_hop: network.next_hop,
    };
    uplink::connect(uplink, down).await
}
