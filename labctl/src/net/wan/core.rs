//! The WAN core: a routed namespace that reaches its attachments and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::link::{InterfaceIndex, LOOPBACK, VethEnd};
use super::super::netlink::Requests;
use super::super::ruleset::{self, Program};
use super::super::uplink::Upstream;
use super::super::{NetError, NetNs, Netlink, sysctl};
use super::kernel;

use crate::plan::{EngineKind, WanPlan};

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
    netlink: Arc<Netlink>,
    /// The attachments of its plan, by name.
    ids: Arc<HashMap<String, AttachmentId>>,
}

impl Core {
    /// Makes the core: no attachment yet, no route but the blackhole, and the kernel forwards nothing. What passes,
    /// the engine takes in and sends out: without one nothing passes. On an error the namespace is removed again.
    pub async fn build(plan: &WanPlan) -> Result<Self, NetError> {
        let mut requests = Requests::default();
        requests.set_up(LOOPBACK);
        requests.add_address(LOOPBACK, plan.address, 32);
        requests.add_blackhole(plan.network, plan.prefix);
        let (namespace, netlink) = NetNs::make(&plan.namespace, move |namespace| {
            sysctl::seal()?;
            sysctl::core()?;
            let netlink = Netlink::open_here(namespace)?;
            netlink.send(&requests)?;
            Ok(netlink)
        })
        .await?;
        if let Err(error) = ruleset::apply(&namespace, Program::IptablesRestore, &rules(plan)).await {
            NetNs::delete(&plan.namespace)?;
            return Err(error);
        }
        Ok(Self::of(plan, namespace, netlink))
    }

    /// The core of a lab that runs already.
    pub async fn open(plan: &WanPlan) -> Result<Self, NetError> {
        let namespace = NetNs::open(&plan.namespace)?;
        let netlink = Netlink::open(&namespace).await?;
        Ok(Self::of(plan, namespace, netlink))
    }

    fn of(plan: &WanPlan, namespace: NetNs, netlink: Netlink) -> Self {
        let ids = plan.attachments.iter().enumerate().map(|(id, at)| (at.name.to_string(), AttachmentId(id)));
        Self { namespace, netlink: Arc::new(netlink), ids: Arc::new(ids.collect()) }
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// The link to an attachment, and the routes of its addresses to it, that are to be made.
    ///
    /// Both sides are told each other's link address, so that no ARP packet is on a WAN link: an access
    /// link has two ends, nothing to ask, and the kernel's table of learnt neighbours is small.
    pub(in crate::net) fn port(
        &self,
        plan: &WanPlan,
        name: &str,
        far: &VethEnd<'_>,
    ) -> Result<Upstream, NetError> {
        let missing = |what| NetError::NotInPlan { what, name: name.to_owned() };
        let id = self.ids.get(name).ok_or_else(|| missing("WAN attachment"))?;
        let attachment = plan.attachments.get(id.0).ok_or_else(|| missing("WAN attachment"))?;
        let index = id.interface().ok_or_else(|| missing("interface number left for the WAN attachment"))?;
        let mut near = VethEnd::new(&self.namespace, &plan.namespace, name);
        near.index = Some(index);
        let mut requests = Requests::default();
        requests.add_veth(&near, far);
        for &address in &attachment.addresses {
            requests.add_host_route(address, index);
            requests.add_neighbour(index, address, far.mac);
        }
        let below = match plan.engine {
            EngineKind::User => Requests::default(),
            EngineKind::Kernel => {
                let (below, here) = kernel::first(plan, attachment, index);
                requests.append(here);
                below
            }
        };
        Ok(Upstream {
            namespace: self.namespace.clone(),
            netlink: Some(self.netlink.clone()),
            requests,
            below,
            mac: Some(near.mac),
            interfaces: vec![name.to_owned()],
        })
    }
}

/// The core's rules. A ping of the core's own address is answered (not delayed); nothing else is, and nothing is
/// forwarded whatever the settings, but for what the kernel's engine has marked. What labctl's own takes is dropped
/// before the kernel looks for a route that is not there, which would take as long again as taking it.
fn rules(plan: &WanPlan) -> String {
    let address = plan.address;
    let (taken, forwarded) = match plan.engine {
        EngineKind::User => (format!("-A PREROUTING ! -d {address} -j DROP\n"), String::new()),
        EngineKind::Kernel => {
            let mark = kernel::MARK;
            (String::new(), format!("-A FORWARD -m mark --mark {mark:#x}/{mark:#x} -j ACCEPT\n"))
        }
    };
    format!(
        "*raw\n\
         :PREROUTING ACCEPT\n\
         {taken}\
         COMMIT\n\
         *filter\n\
         :INPUT DROP\n\
         :FORWARD DROP\n\
         -A INPUT -d {address} -p icmp --icmp-type echo-request -j ACCEPT\n\
         {forwarded}\
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
