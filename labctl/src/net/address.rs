//! Addresses of interfaces.

use std::net::Ipv4Addr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use nix::libc::RTM_NEWADDR;

use super::link::InterfaceIndex;
use super::netlink::Requests;
use super::wire::{CREATE, EXCLUSIVE};

impl Requests {
    /// Gives an interface an address.
    pub fn add_address(&mut self, InterfaceIndex(index): InterfaceIndex, address: Ipv4Addr, prefix: u8) {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = prefix;
        message.header.index = index;
        message.attributes =
            vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
        let action = format!("give interface {index} the address {address}/{prefix}");
        self.push(RTM_NEWADDR, CREATE | EXCLUSIVE, &message, action);
    }
}
