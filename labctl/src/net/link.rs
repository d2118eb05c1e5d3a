//! Links: veth pairs whose ends are made where they belong, and bridges.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use netlink_packet_core::Parseable;
use netlink_packet_route::link::{
    BridgeStpState, InfoData, InfoVeth, LinkAttribute, LinkExtentMask, LinkMessage, State,
};
use nix::errno::Errno;
use nix::libc::{RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};
use sha2::{Digest, Sha256};

use super::netlink::Requests;
use super::wire::{CREATE, EXCLUSIVE};
use super::{NetError, NetNs, Netlink};

/// Bytes in an IP packet at most, as on Ethernet.
pub const MTU: u32 = 1500;

/// How long an interface may take until it can send. The kernel notes changes once a second at least.
const OPERATIONAL_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked, on kernels on which looking does not help.
const OPERATIONAL_STEP: Duration = Duration::from_millis(10);

/// Number of an interface within its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceIndex(pub u32);

/// Address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that an interface always has: a locally administered one, made from its place. A lab
    /// that is brought up again has the same addresses, and captures can be compared.
    #[must_use]
    pub fn of(namespace: &str, interface: &str) -> Self {
        let hash = Sha256::new().chain_update(namespace).chain_update("/").chain_update(interface).finalize();
        Self([0x02, hash[0], hash[1], hash[2], hash[3], hash[4]])
    }
}

/// One end of a veth pair.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    /// Where it is.
    pub namespace: &'a NetNs,
    /// Its name there.
    pub interface: &'a str,
    /// Its address.
    pub mac: Mac,
    /// Its number; the kernel's choice if there is none.
    pub index: Option<InterfaceIndex>,
    /// The bridge that it is a port of.
    pub bridge: Option<InterfaceIndex>,
}

impl<'a> VethEnd<'a> {
    /// An end with the address that its place gives it, a port of nothing. `place` is the namespace's
    /// name in the plan: the same for a container that is known by process only.
    #[must_use]
    pub fn new(namespace: &'a NetNs, place: &str, interface: &'a str) -> Self {
        Self { namespace, interface, mac: Mac::of(place, interface), index: None, bridge: None }
    }
}

fn described<T>(mut message: LinkMessageBuilder<T>, end: &VethEnd<'_>) -> LinkMessageBuilder<T> {
    if let Some(InterfaceIndex(index)) = end.index {
        message = message.index(index);
    }
    if let Some(InterfaceIndex(bridge)) = end.bridge {
        message = message.controller(bridge);
    }
    message.mtu(MTU).address(end.mac.0.to_vec())
}

impl Requests {
    /// Makes a veth pair: `near` in the namespace that is asked and up, `far` in its own and down (the
    /// kernel cannot bring it up before the pair is complete). Neither is in any other namespace at any time.
    pub fn add_veth(&mut self, near: &VethEnd<'_>, far: &VethEnd<'_>) {
        let far_message = described(LinkMessageBuilder::<LinkUnspec>::new(), far)
            .name(far.interface)
            .setns_by_fd(far.namespace.as_fd().as_raw_fd())
            .build();
        let message = described(LinkVeth::new(near.interface, far.interface), near)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far_message)))
            .up()
            .build();
        let action = format!(
            "make the link from '{}' to '{}' of '{}'",
            near.interface,
            far.interface,
            far.namespace.name()
        );
        self.push(RTM_NEWLINK, CREATE | EXCLUSIVE, &message, action);
    }

    /// Makes a bridge that forwards from the first frame on: no spanning tree, no delay, and no
    /// snooping, which would need queries that nobody sends here.
    pub fn add_bridge(&mut self, name: &str, InterfaceIndex(index): InterfaceIndex, mac: Mac) {
        let message = LinkBridge::new(name)
            .index(index)
            .address(mac.0.to_vec())
            .mtu(MTU)
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            .mcast_snooping(false)
            .up()
            .build();
        self.push(RTM_NEWLINK, CREATE | EXCLUSIVE, &message, format!("make the bridge '{name}'"));
    }

    /// Brings an interface up.
    pub fn set_up(&mut self, InterfaceIndex(index): InterfaceIndex) {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.push(RTM_NEWLINK, 0, &message, format!("bring interface {index} up"));
    }

    fn get_link(&mut self, name: &str) {
        let mut message = LinkUnspec::new_with_name(name).build();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        self.push(RTM_GETLINK, 0, &message, format!("look up the interface '{name}'"));
    }

    fn delete_link(&mut self, name: &str) {
        let message = LinkUnspec::new_with_name(name).build();
        self.push(RTM_DELLINK, 0, &message, format!("remove the interface '{name}'"));
    }
}

impl Netlink {
    /// Makes requests of which the first is for a new link called `name`.
    ///
    /// A link that is in the way is removed first: it is what a container that has gone left, and the kernel
    /// removes it only some time later.
    pub(super) fn send_link(&self, name: &str, requests: &Requests) -> Result<(), NetError> {
        match self.try_link(name, requests) {
            Err(NetError::LinkExists { .. }) if self.delete_link(name)? => self.try_link(name, requests),
            outcome => outcome,
        }
    }

    fn try_link(&self, name: &str, requests: &Requests) -> Result<(), NetError> {
        match self.ask(requests)?.refused.into_iter().next() {
            None => Ok(()),
            Some((0, Errno::EEXIST | Errno::EBUSY, _)) => Err(NetError::LinkExists {
                namespace: self.namespace().to_owned(),
                interface: name.to_owned(),
            }),
            Some((_, reason, action)) => Err(self.refused(action, reason)),
        }
    }

    /// The number of an interface.
    pub fn link_index(&self, name: &str) -> Result<InterfaceIndex, NetError> {
        Ok(InterfaceIndex(self.link(name)?.header.index))
    }

    fn link(&self, name: &str) -> Result<LinkMessage, NetError> {
        let mut requests = Requests::default();
        requests.get_link(name);
        let outcome = self.ask(&requests)?;
        match outcome.refused.into_iter().next() {
            Some((_, Errno::ENODEV, _)) => {}
            Some((_, reason, action)) => return Err(self.refused(action, reason)),
            None => {
                let link = outcome.told.iter().find(|(kind, _)| *kind == RTM_NEWLINK);
                if let Some(link) = link.and_then(|(_, body)| parse(body)) {
                    return Ok(link);
                }
            }
        }
        Err(NetError::NoInterface { namespace: self.namespace().to_owned(), interface: name.to_owned() })
    }

    /// Removes a link and with it the other end of a pair. Whether there was one.
    pub fn delete_link(&self, name: &str) -> Result<bool, NetError> {
        let mut requests = Requests::default();
        requests.delete_link(name);
        match self.ask(&requests)?.refused.into_iter().next() {
            None => Ok(true),
            // Gone in the meantime, with its other end.
            Some((_, Errno::ENODEV, _)) => Ok(false),
            Some((_, reason, action)) => Err(self.refused(action, reason)),
        }
    }

    /// Whether an interface can send, which is not at once when the other end of its pair comes up: the
    /// kernel notes that later, up to a second later, and until then throws away what is to be sent. Asking
    /// for the state makes newer kernels (6.8 and later) note it right away.
    pub(super) fn is_operational(&self, name: &str) -> Result<bool, NetError> {
        let link = self.link(name)?;
        Ok(link.attributes.iter().any(|attribute| {
            // Interfaces that have no such state are unknown.
            matches!(attribute, LinkAttribute::OperState(State::Up | State::Unknown))
        }))
    }
}

fn parse(body: &[u8]) -> Option<LinkMessage> {
    LinkMessage::parse(body).ok()
}

/// Waits until all of some interfaces can send, as `ready` finds out: the first that cannot yet, or none.
pub(super) async fn wait_operational<F>(mut ready: impl FnMut() -> F) -> Result<(), NetError>
where
    F: Future<Output = Result<Option<NotOperational>, NetError>>,
{
    let deadline = Instant::now() + OPERATIONAL_LIMIT;
    while let Some(NotOperational { namespace, interface }) = ready().await? {
        if Instant::now() >= deadline {
            return Err(NetError::NotOperational { namespace, interface });
        }
        tokio::time::sleep(OPERATIONAL_STEP).await;
    }
    Ok(())
}

/// An interface that cannot send yet.
#[derive(Clone, Debug)]
pub(super) struct NotOperational {
    /// Where.
    pub(super) namespace: String,
    /// Which.
    pub(super) interface: String,
}

/// The loopback interface of any namespace.
pub const LOOPBACK: InterfaceIndex = InterfaceIndex(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_follows_from_the_place_and_is_a_local_unicast_one() {
        let mac = Mac::of("lab-a-wan", "alice");
        assert_eq!(mac, Mac::of("lab-a-wan", "alice"));
        assert_ne!(mac, Mac::of("lab-b-wan", "alice"));
        assert_eq!(mac.0[0] & 0b11, 0b10);
    }
}
