//! Links: veth pairs whose ends are made where they belong, and bridges.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use netlink_packet_route::link::{BridgeStpState, InfoData, InfoVeth, LinkAttribute, LinkMessage, State};
use nix::libc;
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};
use sha2::{Digest, Sha256};

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

impl Netlink {
    /// Makes a veth pair: `near` in this connection's namespace and up, `far` in its own and down (the
    /// kernel cannot bring it up before the pair is complete). Neither is in any other namespace at any
    /// time.
    ///
    /// A link that is in the way at the near end is removed first: it is what a container that has gone
    /// left, and the kernel removes it only some time later.
    pub async fn add_veth(&self, near: &VethEnd<'_>, far: &VethEnd<'_>) -> Result<(), NetError> {
        match self.try_add_veth(near, far).await {
            Err(NetError::LinkExists { .. }) if self.delete_link(near.interface).await? => {
                self.try_add_veth(near, far).await
            }
            outcome => outcome,
        }
    }

    async fn try_add_veth(&self, near: &VethEnd<'_>, far: &VethEnd<'_>) -> Result<(), NetError> {
        let far_message = described(LinkMessageBuilder::<LinkUnspec>::new(), far)
            .name(far.interface)
            .setns_by_fd(far.namespace.as_fd().as_raw_fd())
            .build();
        let message = described(LinkVeth::new(near.interface, far.interface), near)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far_message)))
            .up()
            .build();
        self.handle.link().add(message).execute().await.map_err(|error| {
            let action = format!(
                "make the link from '{}' to '{}' of '{}'",
                near.interface,
                far.interface,
                far.namespace.name()
            );
            match self.failed(action, &error) {
                NetError::Netlink { namespace, errno: libc::EEXIST | libc::EBUSY, .. } => {
                    NetError::LinkExists { namespace, interface: near.interface.to_owned() }
                }
                other => other,
            }
        })
    }

    /// Makes a bridge that forwards from the first frame on: no spanning tree, no delay, and no
    /// snooping, which would need queries that nobody sends here.
    pub async fn add_bridge(&self, name: &str, mac: Mac) -> Result<InterfaceIndex, NetError> {
        let message = LinkBridge::new(name)
            .address(mac.0.to_vec())
            .mtu(MTU)
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            .mcast_snooping(false)
            .up()
            .build();
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(|error| self.failed(format!("make the bridge '{name}'"), &error))?;
        self.link_index(name).await
    }

    /// The number of an interface.
    pub async fn link_index(&self, name: &str) -> Result<InterfaceIndex, NetError> {
        self.find_link(name).await?.ok_or_else(|| self.no_interface(name))
    }

    fn no_interface(&self, name: &str) -> NetError {
        NetError::NoInterface { namespace: self.namespace().to_owned(), interface: name.to_owned() }
    }

    async fn find_link(&self, name: &str) -> Result<Option<InterfaceIndex>, NetError> {
        Ok(self.get_link(name).await?.map(|link| InterfaceIndex(link.header.index)))
    }

    async fn get_link(&self, name: &str) -> Result<Option<LinkMessage>, NetError> {
        match self.handle.link().get().match_name(name).execute().try_next().await {
            Ok(link) => Ok(link),
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(None),
            Err(error) => Err(self.failed(format!("look up the interface '{name}'"), &error)),
        }
    }

    /// Removes a link and with it the other end of a pair. Whether there was one.
    pub async fn delete_link(&self, name: &str) -> Result<bool, NetError> {
        let Some(InterfaceIndex(index)) = self.find_link(name).await? else { return Ok(false) };
        match self.handle.link().del(index).execute().await {
            Ok(()) => Ok(true),
            // Gone in the meantime, with its other end.
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(false),
            Err(error) => Err(self.failed(format!("remove the interface '{name}'"), &error)),
        }
    }

    /// Brings an interface up.
    pub async fn set_up(&self, InterfaceIndex(index): InterfaceIndex) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.handle
            .link()
            .change(message)
            .execute()
            .await
            .map_err(|error| self.failed(format!("bring interface {index} up"), &error))
    }

    /// Waits until an interface can send, which is not at once when the other end of its pair comes up: the
    /// kernel notes that later, up to a second later, and until then throws away what is to be sent. Asking
    /// for the state makes newer kernels (6.8 and later) note it right away.
    pub async fn wait_operational(&self, name: &str) -> Result<(), NetError> {
        let deadline = Instant::now() + OPERATIONAL_LIMIT;
        loop {
            let link = self.get_link(name).await?.ok_or_else(|| self.no_interface(name))?;
            let state = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::OperState(state) => Some(*state),
                _ => None,
            });
            if matches!(state, Some(State::Up | State::Unknown)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(NetError::NotOperational {
                    namespace: self.namespace().to_owned(),
                    interface: name.to_owned(),
                    state: format!("{state:?}"),
                });
            }
            tokio::time::sleep(OPERATIONAL_STEP).await;
        }
    }

    /// Brings the loopback interface up, which has number 1 in every namespace.
    pub async fn set_loopback_up(&self) -> Result<(), NetError> {
        self.set_up(LOOPBACK).await
    }
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
