//! IPv4 networks.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::Serialize;

/// An IPv4 network, with room for a gateway and at least one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// Network address.
    pub network: Ipv4Addr,
    /// Prefix length, 8 to 30.
    pub prefix: u8,
}

/// Why a text is no network that a site can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// No `/`, or no address before it, or no number behind it.
    #[error("write an IPv4 address and a prefix length: 192.168.1.0/24")]
    Form,
    /// Too large, or no room for a gateway and a node.
    #[error("a prefix length from 8 to 30 is possible")]
    Prefix,
    /// The address has bits outside the prefix.
    #[error("the network with this address and prefix length is {0}")]
    HostBits(Subnet),
    /// Addresses that no node can have.
    #[error(
        "nodes cannot have addresses of this network; take one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"
    )]
    NotUnicast,
}

impl Subnet {
    /// The network with this address and prefix length.
    ///
    /// # Errors
    ///
    /// See [`SubnetError`].
    pub fn new(network: Ipv4Addr, prefix: u8) -> Result<Self, SubnetError> {
        if !(8..=30).contains(&prefix) {
            return Err(SubnetError::Prefix);
        }
        let subnet = Self { network, prefix };
        let masked = Ipv4Addr::from_bits(network.to_bits() & subnet.mask());
        if masked != network {
            return Err(SubnetError::HostBits(Self { network: masked, prefix }));
        }
        // "This network", loopback, link-local, multicast and reserved addresses (RFC 6890).
        let first = network.octets()[0];
        if first == 0 || first == 127 || first >= 224 || network.is_link_local() {
            return Err(SubnetError::NotUnicast);
        }
        Ok(subnet)
    }

    const fn mask(self) -> u32 {
        u32::MAX << (32 - self.prefix)
    }

    /// The last address, the network's broadcast address.
    const fn last(self) -> u32 {
        self.network.to_bits() | !self.mask()
    }

    /// True if an address is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.network.to_bits() <= other.last() && other.network.to_bits() <= self.last()
    }

    /// How many hosts it has room for, the gateway included.
    #[must_use]
    pub const fn hosts(self) -> u32 {
        self.last() - self.network.to_bits() - 1
    }

    /// The longest prefix length with room for so many hosts; `None` if no network is large enough.
    #[must_use]
    pub fn prefix_for(hosts: u32) -> Option<u8> {
        (8..=30).rev().find(|prefix| (1_u32 << (32 - prefix)) - 2 >= hosts)
    }

    /// The address of the `number`-th host, from 1; `None` if there is no such host.
    #[must_use]
    pub fn host(self, number: u32) -> Option<Ipv4Addr> {
        (1..=self.hosts()).contains(&number).then(|| Ipv4Addr::from_bits(self.network.to_bits() + number))
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (network, prefix) = text.split_once('/').ok_or(SubnetError::Form)?;
        let network = network.parse().map_err(|_| SubnetError::Form)?;
        let prefix = prefix.parse().map_err(|_| SubnetError::Form)?;
        Self::new(network, prefix)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_counts_its_hosts_from_the_gateway() {
        let home = subnet("192.168.1.0/24");
        assert_eq!(home.hosts(), 254);
        assert_eq!(home.host(1), Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(home.host(254), Some(Ipv4Addr::new(192, 168, 1, 254)));
        assert_eq!(home.host(255), None);
        assert_eq!(home.host(0), None);
        assert_eq!(subnet("10.0.0.0/30").hosts(), 2);
    }

    #[test]
    fn networks_overlap_if_one_holds_the_other() {
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.7.0.0/16")));
        assert!(subnet("10.7.0.0/16").overlaps(subnet("10.0.0.0/8")));
        assert!(!subnet("192.168.1.0/24").overlaps(subnet("192.168.2.0/24")));
    }

    #[test]
    fn what_is_no_network_of_a_site_is_refused() {
        let refused = |text: &str| text.parse::<Subnet>().unwrap_err();
        assert_eq!(refused("192.168.1.0"), SubnetError::Form);
        assert_eq!(refused("home/24"), SubnetError::Form);
        assert_eq!(refused("192.168.1.0/33"), SubnetError::Prefix);
        assert_eq!(refused("192.168.1.0/31"), SubnetError::Prefix);
        assert_eq!(refused("192.168.1.7/24"), SubnetError::HostBits(subnet("192.168.1.0/24")));
        assert_eq!(refused("127.0.0.0/8"), SubnetError::NotUnicast);
        assert_eq!(refused("239.0.0.0/24"), SubnetError::NotUnicast);
    }
}
