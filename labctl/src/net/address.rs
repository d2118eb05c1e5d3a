//! Addresses of interfaces.

use std::net::Ipv4Addr;

use super::link::InterfaceIndex;
use super::{NetError, Netlink};

impl Netlink {
    /// Gives an interface an address.
    pub async fn add_address(
        &self,
        InterfaceIndex(index): InterfaceIndex,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<(), NetError> {
        self.handle.address().add(index, address.into(), prefix).execute().await.map_err(|error| {
            self.failed(format!("give interface {index} the address {address}/{prefix}"), &error)
        })
    }
}
