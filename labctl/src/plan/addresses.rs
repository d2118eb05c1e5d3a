//! Who gets which address.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;

use super::seeds::derive_seed;
use crate::names::NodeName;
use crate::topology::{Place, Site, Subnet, Topology, Uplink, WAN_ASSIGNABLE, WAN_SUBNET};

/// Assigned addresses, each in the order of its holder's interfaces.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Of nodes.
    pub(super) nodes: BTreeMap<NodeName, Vec<Ipv4Addr>>,
    /// Of gateways, outside.
    pub(super) outside: BTreeMap<NodeName, Vec<Ipv4Addr>>,
    /// Networks of sites.
    pub(super) inside: BTreeMap<NodeName, Subnet>,
}

impl Addresses {
    /// Of a node, or of a gateway outside.
    pub(super) fn of(&self, name: &NodeName) -> Option<&[Ipv4Addr]> {
        self.nodes.get(name).or_else(|| self.outside.get(name)).map(Vec::as_slice)
    }
}

/// The core's address.
pub(super) fn core() -> Ipv4Addr {
    WAN_SUBNET.host(1).expect("a /15 has a first host")
}

/// Sites, each after the one that it is behind; otherwise in the order of the file.
pub(super) fn outer_first(topology: &Topology) -> Vec<&Site> {
    let by_name: BTreeMap<&NodeName, &Site> = topology.sites.iter().map(|site| (&site.name, site)).collect();
    let depth = |site: &Site| {
        let mut depth = 0_usize;
        let mut uplink = &site.uplink;
        while let Uplink::Site { site } = uplink {
            depth += 1;
            uplink = &by_name[site].uplink;
        }
        depth
    };
    let mut sites: Vec<&Site> = topology.sites.iter().collect();
    sites.sort_by_key(|site| depth(site));
    sites
}

/// Assigns all addresses.
///
/// 1. On the WAN, from 198.18.0.2 upwards: public nodes in the order of the file, each with its addresses
///    in a row; then the outside of gateways in the order of the file.
/// 2. Above those, a block for each site whose NAT translates nothing.
/// 3. In a site: the gateway has the first address, nodes follow in the order of the file, then the outside of
///    the gateways behind it.
pub(super) fn assign(topology: &Topology) -> Addresses {
    let mut addresses = Addresses::default();
    let mut wan = Hosts { subnet: WAN_SUBNET, next: 2, last: WAN_ASSIGNABLE + 1 };
    for node in &topology.nodes {
        if let Place::Wan { .. } = node.place {
            addresses.nodes.insert(node.name.clone(), wan.take(node.addresses));
        }
    }
    let sites = outer_first(topology);
    for site in &sites {
        if let Uplink::Wan { .. } = site.uplink {
            addresses.outside.insert(site.name.clone(), wan.take(site.outside_addresses));
        }
    }
    let members = topology.members();
    let mut rooms: BTreeMap<&NodeName, Hosts> = BTreeMap::new();
    for site in &sites {
        let subnet = site.subnet.unwrap_or_else(|| wan.take_block(members[&site.name].hosts()));
        addresses.inside.insert(site.name.clone(), subnet);
        rooms.insert(&site.name, Hosts { subnet, next: 2, last: subnet.hosts() });
    }
    for node in &topology.nodes {
        if let Place::Site { site } = &node.place {
            let room = rooms.get_mut(site).expect("a node's site exists");
            addresses.nodes.insert(node.name.clone(), room.take(1));
        }
    }
    for site in &sites {
        if let Uplink::Site { site: outer } = &site.uplink {
            let room = rooms.get_mut(outer).expect("an uplink exists");
            addresses.outside.insert(site.name.clone(), room.take(site.outside_addresses));
        }
    }
    addresses
}

/// The hosts of a network that are not assigned yet.
#[derive(Debug)]
struct Hosts {
    subnet: Subnet,
    next: u32,
    last: u32,
}

impl Hosts {
    fn take(&mut self, count: u16) -> Vec<Ipv4Addr> {
        let first = self.next;
        self.next += u32::from(count);
        assert!(self.next <= self.last + 1, "a valid topology has addresses enough in {}", self.subnet);
        (first..self.next).filter_map(|number| self.subnet.host(number)).collect()
    }

    /// A network of its own with room for so many hosts.
    fn take_block(&mut self, hosts: u32) -> Subnet {
        let prefix = Subnet::prefix_for(hosts).expect("a valid topology has no larger site");
        let size = 1_u32 << (32 - prefix);
        let start = self.next.next_multiple_of(size);
        self.next = start + size;
        assert!(self.next <= self.last + 1, "a valid topology has addresses enough in {}", self.subnet);
        Subnet { network: Ipv4Addr::from_bits(self.subnet.network.to_bits() + start), prefix }
    }
}

/// Public addresses that nobody has, chosen by the seed from 198.19.128.0/17, each once.
pub(super) fn unassigned(seed: u64, count: usize) -> Vec<Ipv4Addr> {
    /// Addresses of the /17, without the first and the last.
    const SIZE: u32 = (1 << 15) - 2;
    let base = Ipv4Addr::new(198, 19, 128, 1).to_bits();
    let mut taken = HashSet::new();
    assert!(count < SIZE as usize / 2, "a parameter file allows no host cache of {count} entries");
    (0_u32..)
        .map(|number| derive_seed(seed, "unassigned", &number.to_string()) % u64::from(SIZE))
        .filter(|offset| taken.insert(*offset))
        .take(count)
        .map(|offset| Ipv4Addr::from_bits(base + u32::try_from(offset).expect("below SIZE")))
        .collect()
}
