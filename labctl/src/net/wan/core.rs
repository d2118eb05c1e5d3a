//! The WAN core: a routed namespace that reaches its attachments and nothing else.

use std::net::Ipv4Addr;

use super::super::link::{InterfaceIndex, LOOPBACK, Mac, VethEnd};
use super::super::ruleset::{self, Program};
use super::super::{NetError, NetNs, Netlink, offload, sysctl};
use super::QUEUES;
use crate::plan::{Attachment, WanPlan};

/// Interfaces of attachments are numbered from here, in the order of the plan: the engine sees numbers
/// only, and knows from them who sends and who receives.
const FIRST_INDEX: u32 = 1000;

/// Number of an attachment: its place in [`WanPlan::attachments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId(pub usize);

impl AttachmentId {
    /// Number of its interface in the core; `None` if there are more than the kernel can number.
    #[must_use]
    pub fn interface(self) -> Option<InterfaceIndex> {
        // The kernel's interface numbers are positive signed integers.
        let index = u32::try_from(self.0).ok()?.checked_add(FIRST_INDEX)?;
        (index <= i32::MAX.cast_unsigned()).then_some(InterfaceIndex(index))
    }

    /// The attachment of an interface in the core; `None` for an interface that is none's.
    #[must_use]
    pub fn of_interface(InterfaceIndex(index): InterfaceIndex) -> Option<Self> {
        Some(Self(usize::try_from(index.checked_sub(FIRST_INDEX)?).ok()?))
    }
}

/// The WAN core, which exists.
#[derive(Clone, Debug)]
pub struct Core {
    namespace: NetNs,
    netlink: Netlink,
}

impl Core {
    /// Makes the core: no attachment yet, no route but the blackhole, and every packet that it forwards
    /// handed to the engine. Without an engine nothing passes. On an error the namespace is removed again.
    pub async fn build(plan: &WanPlan) -> Result<Self, NetError> {
        let namespace = NetNs::create(&plan.namespace)?;
        let built = Self::furnish(namespace, plan).await;
        if built.is_err() {
            NetNs::delete(&plan.namespace)?;
        }
        built
    }

    async fn furnish(namespace: NetNs, plan: &WanPlan) -> Result<Self, NetError> {
        namespace
            .run_async(|| {
                sysctl::seal()?;
                sysctl::router(true)
            })
            .await??;
        let links = async {
            let netlink = Netlink::open(&namespace).await?;
            netlink.set_loopback_up().await?;
            netlink.add_address(LOOPBACK, plan.address, 32).await?;
            netlink.add_blackhole(plan.network, plan.prefix).await?;
            Ok(netlink)
        };
        let rules = rules(plan.address);
        let rules = ruleset::apply(&namespace, Program::IptablesRestore, &rules);
        let (netlink, ()) = tokio::try_join!(links, rules)?;
        Ok(Self { namespace, netlink })
    }

    /// The core of a lab that runs already.
    pub async fn open(plan: &WanPlan) -> Result<Self, NetError> {
        let namespace = NetNs::open(&plan.namespace)?;
        let netlink = Netlink::open(&namespace).await?;
        Ok(Self { namespace, netlink })
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// Makes the link to an attachment and routes its addresses to it. Returns the address of the core's
    /// end.
    ///
    /// Both sides are told each other's link address, so that no ARP packet is on a WAN link: an access
    /// link has two ends, nothing to ask, and the kernel's table of learnt neighbours is small.
    pub(in crate::net) async fn attach(
        &self,
        plan: &WanPlan,
        name: &str,
        far: &VethEnd<'_>,
    ) -> Result<Mac, NetError> {
        let (id, attachment) = find(plan, name)?;
        let index = id.interface().ok_or_else(|| NetError::NotInPlan {
            what: "interface number left for the WAN attachment",
            name: name.to_owned(),
        })?;
        let mut near = VethEnd::new(&self.namespace, &plan.namespace, name);
        near.index = Some(index);
        self.netlink.add_veth(&near, far).await?;
        let interface = name.to_owned();
        self.namespace.run_async(move || offload::turn_off(&interface)).await??;
        for &address in &attachment.addresses {
            self.netlink.add_host_route(address, index).await?;
            self.netlink.add_neighbour(index, address, far.mac).await?;
        }
        Ok(near.mac)
    }

    /// Waits until the link to an attachment can send.
    pub(in crate::net) async fn wait_operational(&self, name: &str) -> Result<(), NetError> {
        self.netlink.wait_operational(name).await
    }
}

fn find<'a>(plan: &'a WanPlan, name: &str) -> Result<(AttachmentId, &'a Attachment), NetError> {
    plan.attachments
        .iter()
        .enumerate()
        .find(|(_, attachment)| attachment.name.as_str() == name)
        .map(|(position, attachment)| (AttachmentId(position), attachment))
        .ok_or_else(|| NetError::NotInPlan { what: "WAN attachment", name: name.to_owned() })
}

/// The core's rules. There is no `--queue-bypass`: if the engine dies, the WAN stops, rather than going
/// on without its delays. A ping of the core's own address is answered (not delayed); nothing else is.
fn rules(address: Ipv4Addr) -> String {
    let last = QUEUES - 1;
    format!(
        "*mangle\n\
         :FORWARD ACCEPT\n\
         -A FORWARD -j NFQUEUE --queue-balance 0:{last}\n\
         COMMIT\n\
         *filter\n\
         :INPUT DROP\n\
         -A INPUT -d {address} -p icmp --icmp-type echo-request -j ACCEPT\n\
         COMMIT\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_interface_says_whose_it_is() {
        let id = AttachmentId(7);
        assert_eq!(AttachmentId::of_interface(id.interface().unwrap()), Some(id));
        assert_eq!(AttachmentId::of_interface(LOOPBACK), None);
        assert_eq!(AttachmentId(usize::MAX).interface(), None);
    }
}
