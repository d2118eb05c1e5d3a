//! Routes, and neighbours that need not be asked for.

use std::net::Ipv4Addr;

use netlink_packet_route::route::{RouteScope, RouteType};
use rtnetlink::RouteMessageBuilder;

use super::link::{InterfaceIndex, Mac};
use super::{NetError, Netlink};

impl Netlink {
    /// Sends what goes to one address out of an interface.
    pub async fn add_host_route(
        &self,
        address: Ipv4Addr,
        InterfaceIndex(index): InterfaceIndex,
    ) -> Result<(), NetError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .output_interface(index)
            .scope(RouteScope::Link)
            .build();
        self.add_route(route, || format!("route {address} to interface {index}")).await
    }

    /// Sends everything that has no other route to a next hop, which need not be of the interface's own
    /// network.
    pub async fn add_default_route(
        &self,
        next_hop: Ipv4Addr,
        InterfaceIndex(index): InterfaceIndex,
    ) -> Result<(), NetError> {
        let route =
            RouteMessageBuilder::<Ipv4Addr>::new().gateway(next_hop).output_interface(index).onlink().build();
        self.add_route(route, || format!("make {next_hop} on interface {index} the default route")).await
    }

    /// Sends what goes to a network to a router.
    pub async fn add_route_via(
        &self,
        network: Ipv4Addr,
        prefix: u8,
        router: Ipv4Addr,
        InterfaceIndex(index): InterfaceIndex,
    ) -> Result<(), NetError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(network, prefix)
            .gateway(router)
            .output_interface(index)
            .build();
        self.add_route(route, || format!("route {network}/{prefix} to {router}")).await
    }

    /// Drops what goes to a network and has no closer route, without an answer.
    pub async fn add_blackhole(&self, network: Ipv4Addr, prefix: u8) -> Result<(), NetError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(network, prefix)
            .kind(RouteType::BlackHole)
            .build();
        self.add_route(route, || format!("drop what goes to {network}/{prefix}")).await
    }

    async fn add_route(
        &self,
        route: netlink_packet_route::route::RouteMessage,
        action: impl FnOnce() -> String,
    ) -> Result<(), NetError> {
        self.handle.route().add(route).execute().await.map_err(|error| self.failed(action(), &error))
    }

    /// Says which link address an IP address on an interface has, for good: nobody asks for it.
    pub async fn add_neighbour(
        &self,
        InterfaceIndex(index): InterfaceIndex,
        address: Ipv4Addr,
        mac: Mac,
    ) -> Result<(), NetError> {
        self.handle
            .neighbours()
            .add(index, address.into())
            .link_layer_address(&mac.0)
            .replace()
            .execute()
            .await
            .map_err(|error| self.failed(format!("note who {address} on interface {index} is"), &error))
    }
}
