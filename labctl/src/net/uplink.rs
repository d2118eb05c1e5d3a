//! What an interface hangs off: the WAN core, or a gateway's `lan`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::link::{self, InterfaceIndex, Mac, NotOperational, VethEnd};
use super::netlink::Requests;
use super::wan::Core;
use super::{Gateway, NetError, NetNs, Netlink, offload, worker};
use crate::plan::WanPlan;

/// Number of a link's lower end, a gateway's `wan` or a node's `eth0`: known before it is there, and far from
/// the numbers that the kernel chooses.
pub(super) const LOWER_END: InterfaceIndex = InterfaceIndex(1000);

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

impl Downstream<'_> {
    /// The place of its first address in its network.
    fn host(&self) -> u32 {
        let network = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
        self.addresses.first().map_or(0, |address| address.to_bits() & !network)
    }
}

/// What is to be done at a link's upper end.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Where the end is.
    pub namespace: NetNs,
    /// A socket of that place, if one is open.
    pub netlink: Option<Arc<Netlink>>,
    /// Makes the link, and what belongs to it there.
    pub requests: Requests,
    /// What is to be done at the lower end before it can send.
    pub below: Requests,
    /// The end's address, if the lower end must be told.
    pub mac: Option<Mac>,
    /// The interfaces there that have to be able to send; the end itself is the first.
    pub interfaces: Vec<String>,
}

/// Links a namespace to what it hangs off, and gives it its addresses and its default route. When it
/// returns, packets can pass both ways.
pub(super) async fn connect(uplink: Uplink<'_>, down: Downstream<'_>) -> Result<(), NetError> {
    let mut far = VethEnd::new(down.namespace, down.place, down.interface);
    far.index = Some(LOWER_END);
    let upstream = match uplink {
        Uplink::Wan { core, plan } => core.port(plan, down.name, &far)?,
        Uplink::Lan(gateway) => gateway.port(down.name, &far, down.host()),
    };
    let requests = configure(down, &upstream);
    let link = Link { upstream, namespace: down.namespace.clone(), interface: down.interface };
    let link = Arc::new(link);
    let made = {
        let link = link.clone();
        worker::work(move || link.make(&requests))
    };
    if made.await?.is_none() {
        return Ok(());
    }
    link::wait_operational(|| {
        let link = link.clone();
        worker::work(move || link.look())
    })
    .await
}

/// What is to be done at the lower end.
fn configure(down: Downstream<'_>, upstream: &Upstream) -> Requests {
    let mut requests = upstream.below.clone();
    requests.set_up(LOWER_END);
    for &address in down.addresses {
        requests.add_address(LOWER_END, address, down.prefix);
    }
    if let Some(mac) = upstream.mac {
        requests.add_neighbour(LOWER_END, down.next_hop, mac);
    }
    requests.add_default_route(down.next_hop, LOWER_END);
    requests
}

/// A link that is being made.
#[derive(Debug)]
struct Link {
    upstream: Upstream,
    /// Where its lower end is.
    namespace: NetNs,
    /// Name of its lower end.
    interface: &'static str,
}

impl Link {
    /// Makes the link. What cannot send yet is returned.
    fn make(&self, requests: &Requests) -> Result<Option<NotOperational>, NetError> {
        let above = self.enter_upstream()?;
        let near = self.upstream.interfaces.first().map_or("", String::as_str);
        above.send_link(near, &self.upstream.requests)?;
        offload::turn_off(near)?;
        self.namespace.enter()?;
        let below = Netlink::open_here(&self.namespace)?;
        below.send(requests)?;
        offload::turn_off(self.interface)?;
        self.find_not_operational(&above, &below)
    }

    /// Looks again what cannot send yet.
    fn look(&self) -> Result<Option<NotOperational>, NetError> {
        let above = self.enter_upstream()?;
        self.namespace.enter()?;
        self.find_not_operational(&above, &Netlink::open_here(&self.namespace)?)
    }

    fn enter_upstream(&self) -> Result<Arc<Netlink>, NetError> {
        self.upstream.namespace.enter()?;
        match &self.upstream.netlink {
            Some(netlink) => Ok(netlink.clone()),
            None => Ok(Arc::new(Netlink::open_here(&self.upstream.namespace)?)),
        }
    }

    fn find_not_operational(
        &self,
        above: &Netlink,
        below: &Netlink,
    ) -> Result<Option<NotOperational>, NetError> {
        let upper = self.upstream.interfaces.iter().map(|name| (above, name.as_str()));
        for (netlink, interface) in upper.chain([(below, self.interface)]) {
            if !netlink.is_operational(interface)? {
                let namespace = netlink.namespace().to_owned();
                return Ok(Some(NotOperational { namespace, interface: interface.to_owned() }));
            }
        }
        Ok(None)
    }
}
