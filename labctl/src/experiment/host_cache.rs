//! The host cache that a client begins a login with: super nodes that it knows, some of which are gone.

use std::collections::HashSet;
use std::net::SocketAddrV4;

use super::random::Choices;
use crate::plan::{OverlayPlan, Plan};

/// Ports of stale entries are chosen at random from these: what a system without privileges can listen on.
const STALE_PORTS: std::ops::RangeInclusive<u16> = 1024..=65535;

/// Why no host cache can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum HostCacheError {
    /// There is no super node at all.
    #[error("the topology has no super node, so a client cannot log in; add a node with 'role: super-node'")]
    NoSuperNode,
    /// Too few super nodes for the live entries.
    #[error(
        "a host cache of {entries} entries, {stale} of them stale, takes {} super nodes; the topology has \
         {live}: add super nodes (or addresses to them), or make 'host_cache.entries' smaller",
        .entries - .stale
    )]
    TooFewSuperNodes { entries: usize, stale: usize, live: usize },
    /// No address that nobody has.
    #[error("{stale} stale host-cache entries are wanted, but the plan has no unassigned address for them")]
    NoUnassigned { stale: usize },
}

/// The super nodes of a plan, each container's apart.
#[must_use]
pub fn super_nodes_by_container(plan: &Plan) -> Vec<Vec<SocketAddrV4>> {
    plan.super_nodes()
        .map(|node| node.instances().iter().map(|at| SocketAddrV4::new(at.address, at.port)).collect())
        .collect()
}

/// The cache after installation: `count` bootstrap super nodes, all alive, spread over as many containers
/// as there are; fewer if there are not so many.
pub fn first_time(
    containers: &[Vec<SocketAddrV4>],
    count: usize,
    seed: u64,
) -> Result<Vec<SocketAddrV4>, HostCacheError> {
    let mut choices = Choices::new(seed);
    let mut containers = containers.to_vec();
    choices.shuffle(&mut containers);
    for container in &mut containers {
        choices.shuffle(container);
    }
    let mut cache = Vec::new();
    // One of every container, then a second one of every container, and so on.
    while cache.len() < count && containers.iter().any(|container| !container.is_empty()) {
        cache.extend(containers.iter_mut().filter_map(Vec::pop));
    }
    cache.truncate(count);
    if cache.is_empty() { Err(HostCacheError::NoSuperNode) } else { Ok(cache) }
}

/// The full cache of a client that has logged in before: `host_cache_entries` in random order, of which
/// `host_cache_stale` are addresses that nobody has, and the rest different super nodes.
pub fn subsequent(
    overlay: &OverlayPlan,
    containers: &[Vec<SocketAddrV4>],
    seed: u64,
) -> Result<Vec<SocketAddrV4>, HostCacheError> {
    let mut choices = Choices::new(seed);
    let (entries, stale) = (overlay.host_cache_entries, overlay.host_cache_stale);
    let mut cache: Vec<SocketAddrV4> = containers.concat();
    let live = cache.len();
    if live == 0 {
        return Err(HostCacheError::NoSuperNode);
    }
    let wanted = entries.saturating_sub(stale);
    if live < wanted {
        return Err(HostCacheError::TooFewSuperNodes { entries, stale, live });
    }
    choices.shuffle(&mut cache);
    cache.truncate(wanted);

    let mut nobody = overlay.unassigned.clone();
    if nobody.is_empty() && stale > 0 {
        return Err(HostCacheError::NoUnassigned { stale });
    }
    choices.shuffle(&mut nobody);
    let mut taken = HashSet::new();
    for address in nobody.iter().cycle() {
        if taken.len() == stale {
            break;
        }
        let entry = SocketAddrV4::new(*address, stale_port(&mut choices));
        // With fewer addresses than stale entries, an address comes more than once, with other ports.
        if taken.insert(entry) {
            cache.push(entry);
        }
    }
    choices.shuffle(&mut cache);
    Ok(cache)
}

fn stale_port(choices: &mut Choices) -> u16 {
    let port = usize::from(*STALE_PORTS.start()) + choices.below(STALE_PORTS.len());
    u16::try_from(port).expect("within the range of ports")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use overlay_protocol::Parameters;

    use super::*;

    fn containers(count: u8, each: u8) -> Vec<Vec<SocketAddrV4>> {
        let address = |n: u8, m: u8| SocketAddrV4::new(Ipv4Addr::new(198, 18, n, m), 33_033);
        (0..count).map(|n| (0..each).map(|m| address(n, m)).collect()).collect()
    }

    fn overlay(entries: usize, stale: usize, unassigned: u8) -> OverlayPlan {
        OverlayPlan {
            profile: "test".into(),
            parameters: parameters(),
            login_servers: Vec::new(),
            super_nodes: Vec::new(),
            host_cache_entries: entries,
            host_cache_stale: stale,
            unassigned: (0..unassigned).map(|n| Ipv4Addr::new(198, 19, 0, n)).collect(),
            measure: Vec::new(),
            online: Vec::new(),
        }
    }

    /// The values do not matter here.
    fn parameters() -> Parameters {
        super::super::patience::tests::parameters()
    }

    #[test]
    fn the_first_cache_has_one_super_node_of_each_container_before_a_second_of_any() {
        let cache = first_time(&containers(5, 4), 7, 1).unwrap();
        assert_eq!(cache.len(), 7);
        assert_eq!(cache.iter().collect::<HashSet<_>>().len(), 7);
        let first: HashSet<u8> = cache[..5].iter().map(|entry| entry.ip().octets()[2]).collect();
        assert_eq!(first.len(), 5);
    }

    #[test]
    fn the_first_cache_is_smaller_if_there_are_fewer_super_nodes_and_an_error_without_any() {
        assert_eq!(first_time(&containers(2, 2), 7, 1).unwrap().len(), 4);
        assert_eq!(first_time(&[], 7, 1), Err(HostCacheError::NoSuperNode));
        assert_eq!(subsequent(&overlay(10, 5, 9), &[], 1), Err(HostCacheError::NoSuperNode));
    }

    #[test]
    fn a_full_cache_has_the_planned_share_of_stale_entries_and_no_entry_twice() {
        let containers = containers(20, 6);
        let live: HashSet<SocketAddrV4> = containers.concat().into_iter().collect();
        let cache = subsequent(&overlay(200, 90, 120), &containers, 7).unwrap();
        assert_eq!(cache.len(), 200);
        assert_eq!(cache.iter().collect::<HashSet<_>>().len(), 200);
        assert_eq!(cache.iter().filter(|entry| live.contains(entry)).count(), 110);
        let stale: HashSet<Ipv4Addr> =
            cache.iter().filter(|entry| !live.contains(entry)).map(|entry| *entry.ip()).collect();
        assert_eq!(stale.len(), 90, "an address each, as long as there are enough");
        assert!(stale.iter().all(|address| address.octets()[1] == 19));
    }

    #[test]
    fn stale_entries_are_mixed_with_live_ones() {
        let containers = containers(20, 6);
        let at_the_front = (0..200)
            .filter(|&seed| {
                let cache = subsequent(&overlay(200, 90, 120), &containers, seed).unwrap();
                cache[0].ip().octets()[1] == 19
            })
            .count();
        assert!((60..120).contains(&at_the_front), "45% of 200 are expected, there are {at_the_front}");
    }

    #[test]
    fn the_same_seed_gives_the_same_cache_and_another_seed_another_one() {
        let containers = containers(20, 6);
        let make = |seed| subsequent(&overlay(200, 90, 120), &containers, seed).unwrap();
        assert_eq!(make(5), make(5));
        assert_ne!(make(5), make(6));
        assert_ne!(first_time(&containers, 7, 5), first_time(&containers, 7, 6));
    }

    #[test]
    fn a_topology_that_is_too_small_for_its_cache_is_named_as_such() {
        let error = subsequent(&overlay(200, 90, 120), &containers(10, 6), 1).unwrap_err();
        assert_eq!(error, HostCacheError::TooFewSuperNodes { entries: 200, stale: 90, live: 60 });
        assert!(error.to_string().contains("takes 110 super nodes"), "{error}");
        let error = subsequent(&overlay(20, 10, 0), &containers(10, 6), 1).unwrap_err();
        assert_eq!(error, HostCacheError::NoUnassigned { stale: 10 });
    }
}
