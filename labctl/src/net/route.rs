//! Routes, and neighbours that need not be asked for.

use std::net::Ipv4Addr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteMessage, RouteScope, RouteType};
use nix::libc::{RTM_NEWNEIGH, RTM_NEWROUTE};
use rtnetlink::RouteMessageBuilder;

use super::link::{InterfaceIndex, Mac};
use super::netlink::Requests;
use super::wire::{CREATE, EXCLUSIVE, REPLACE};

impl Requests {
    /// Sends what goes to one address out of an interface.
    pub fn add_host_route(&mut self, address: Ipv4Addr, InterfaceIndex(index): InterfaceIndex) {
        let route =
            route().destination_prefix(address, 32).output_interface(index).scope(RouteScope::Link).build();
        self.add_route(&route, format!("route {address} to interface {index}"));
    }

    /// Sends everything that has no other route to a next hop, which need not be of the interface's own
    /// network.
    pub fn add_default_route(&mut self, next_hop: Ipv4Addr, InterfaceIndex(index): InterfaceIndex) {
        let route = route().gateway(next_hop).output_interface(index).onlink().build();
        self.add_route(&route, format!("make {next_hop} on interface {index} the default route"));
    }

    /// Sends what goes to a network to a router.
    pub fn add_route_via(
        &mut self,
        network: Ipv4Addr,
        prefix: u8,
        router: Ipv4Addr,
        InterfaceIndex(index): InterfaceIndex,
    ) {
        let route =
            route().destination_prefix(network, prefix).gateway(router).output_interface(index).build();
        self.add_route(&route, format!("route {network}/{prefix} to {router}"));
    }

    /// Drops what goes to a network and has no closer route, without an answer.
    pub fn add_blackhole(&mut self, network: Ipv4Addr, prefix: u8) {
        let route = route().destination_prefix(network, prefix).kind(RouteType::BlackHole).build();
        self.add_route(&route, format!("drop what goes to {network}/{prefix}"));
    }

    fn add_route(&mut self, route: &RouteMessage, action: String) {
        self.push(RTM_NEWROUTE, CREATE | EXCLUSIVE, route, action);
    }

    /// Says which link address an IP address on an interface has, for good: nobody asks for it.
    pub fn add_neighbour(&mut self, InterfaceIndex(index): InterfaceIndex, address: Ipv4Addr, mac: Mac) {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
            NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()),
        ];
        let action = format!("note who {address} on interface {index} is");
        self.push(RTM_NEWNEIGH, CREATE | REPLACE, &message, action);
    }
}

fn route() -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new()
}
