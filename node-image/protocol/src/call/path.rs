//! Which way signalling and media of a call go: the rules, from what the two ends know of their NAT and firewall.
//!
//! Published for three pairs of set-ups; the rules say them in terms of NAT types, so that they hold for any pair:
//!
//! 1. **Signalling** is TCP. Straight from caller to callee if both have public addresses that UDP reaches (no
//!    NAT, UDP not blocked); else through the callee's super node, which the callee is connected to. Where the
//!    straight connection is not let in, the super node is the way too.
//! 2. **Media** go straight by UDP under the same condition. Else both ends send to a relay, each by **UDP**
//!    unless UDP is blocked before it, then by **TCP**. So media are TCP alone only if UDP is blocked before both.
//! 3. **Relays** are tried in one order that both ends have: the caller's, then the callee's. Each end lists
//!    the nodes that it measured at login, the nearest first, then its super nodes. A side that needs a relay
//!    for itself (NAT, or UDP blocked) is named first if the other does not: it is the one that measured.

use std::net::SocketAddrV4;

use crate::event::NatVerdict;
use crate::wire::call::MOST_RELAYS;
use crate::wire::super_node::Presence;

/// A public address that UDP gets out of and, once it did, in at.
#[must_use]
pub fn is_public(nat: NatVerdict) -> bool {
    matches!(nat, NatVerdict::Open | NatVerdict::SymmetricUdpFirewall)
}

/// Whether signalling and media can go straight between two such ends (rules 1 and 2).
#[must_use]
pub fn straight(one: NatVerdict, other: NatVerdict) -> bool {
    is_public(one) && is_public(other)
}

/// Whether an end's leg to a relay is UDP (rule 2).
#[must_use]
pub fn udp_leg(own: NatVerdict) -> bool {
    own != NatVerdict::UdpBlocked
}

/// Where the peer takes media from straight, if that can be (rule 2).
#[must_use]
pub fn straight_to(own: NatVerdict, peer: &Presence) -> Option<SocketAddrV4> {
    straight(own, peer.nat).then_some(peer.public)
}

/// The order in which relays are tried (rule 3), from the NAT types and lists of caller and callee.
#[must_use]
pub fn relay_order(
    (own, named): (NatVerdict, &[SocketAddrV4]),
    (other, more): (NatVerdict, &[SocketAddrV4]),
) -> Vec<SocketAddrV4> {
    let swapped = is_public(own) && !is_public(other);
    let (first, second) = if swapped { (more, named) } else { (named, more) };
    let mut order = Vec::new();
    // Half of the places for each, so that neither end depends on what the other names.
    let share = |nodes: &[SocketAddrV4], most: usize, order: &mut Vec<SocketAddrV4>| {
        for &node in nodes {
            if order.len() < most && !order.contains(&node) {
                order.push(node);
            }
        }
    };
    share(first, MOST_RELAYS / 2, &mut order);
    share(second, MOST_RELAYS, &mut order);
    share(first, MOST_RELAYS, &mut order);
    order
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ALL: [NatVerdict; 7] = [
        NatVerdict::Open,
        NatVerdict::SymmetricUdpFirewall,
        NatVerdict::FullCone,
        NatVerdict::RestrictedCone,
        NatVerdict::PortRestricted,
        NatVerdict::Symmetric,
        NatVerdict::UdpBlocked,
    ];

    fn nodes(from: u8, count: u8) -> Vec<SocketAddrV4> {
        (from..from + count).map(|host| SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), 1)).collect()
    }

    #[test]
    fn the_three_published_cases() {
        assert!(straight(NatVerdict::Open, NatVerdict::Open));
        assert!(!straight(NatVerdict::PortRestricted, NatVerdict::Open));
        assert!(udp_leg(NatVerdict::PortRestricted) && udp_leg(NatVerdict::Open));
        assert!(!straight(NatVerdict::UdpBlocked, NatVerdict::UdpBlocked));
        assert!(!udp_leg(NatVerdict::UdpBlocked));
    }

    #[test]
    fn media_are_tcp_alone_only_if_udp_is_blocked_before_both() {
        for one in ALL {
            for other in ALL {
                let tcp_alone = !straight(one, other) && !udp_leg(one) && !udp_leg(other);
                let both = one == NatVerdict::UdpBlocked && other == NatVerdict::UdpBlocked;
                assert_eq!(tcp_alone, both, "{one:?} and {other:?}");
                assert_eq!(straight(one, other), straight(other, one), "both ends must agree");
            }
        }
    }

    #[test]
    fn the_end_that_needs_a_relay_names_the_first_ones() {
        let (caller, other_end) = (nodes(1, 6), nodes(11, 6));
        let order = |one, other| relay_order((one, &caller), (other, &other_end));
        let from_caller = order(NatVerdict::PortRestricted, NatVerdict::Open);
        assert_eq!(from_caller[..4], caller[..4]);
        assert_eq!(from_caller[4..], other_end[..4]);
        assert_eq!(order(NatVerdict::Open, NatVerdict::PortRestricted)[..4], other_end[..4]);
        assert_eq!(order(NatVerdict::Symmetric, NatVerdict::PortRestricted)[..4], caller[..4]);
    }

    #[test]
    fn what_one_end_does_not_name_the_other_may_and_none_is_named_twice() {
        let caller = nodes(1, 3);
        let nat = NatVerdict::PortRestricted;
        assert_eq!(relay_order((nat, &caller), (nat, &[])), caller);
        assert_eq!(relay_order((nat, &[]), (nat, &caller)), caller);
        assert_eq!(relay_order((nat, &caller), (nat, &caller)), caller);
        assert_eq!(relay_order((nat, &nodes(1, 20)), (nat, &[])).len(), MOST_RELAYS);
    }
}
