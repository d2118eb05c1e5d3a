//! What the rules of a NAT allow a shorter way through the gateway to do (`net/fast_path`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::transport::freshness;
use crate::profile::behaviour::{Mapping, NatBehaviour, Timeout};

/// Mark of the packets of which the rules have just written down that their mapping is in use.
pub const WRITTEN_DOWN: u32 = 0x6c61_6274;

/// How long packets of a flow may take the fast path after one of them has been written down: as long as the rules
/// would not write another one down. 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastPath {
    /// UDP, milliseconds.
    pub udp_ms: u32,
    /// TCP, milliseconds.
    pub tcp_ms: u32,
    /// How long a TCP connection that was reset stays known, seconds.
    pub transitory_s: u32,
}

impl FastPath {
    /// That of a gateway with this firewall. A firewall's rules count packets, so that each must pass them.
    #[must_use]
    pub fn beside(self, iptables: &str) -> Option<Self> {
        iptables.trim().is_empty().then_some(self)
    }

    pub(super) fn of(nat: &NatBehaviour) -> Self {
        let milliseconds = |timeout| u32::try_from(freshness(timeout).as_millis()).unwrap_or(0);
        Self {
            udp_ms: if udp(nat) { milliseconds(nat.udp.timeout) } else { 0 },
            tcp_ms: if tcp(nat) { milliseconds(nat.tcp.established) } else { 0 },
            transitory_s: u32::try_from(nat.tcp.transitory.seconds()).unwrap_or(u32::MAX),
        }
    }
}

/// Connection tracking does not see the packets of the last second, and counts in whole seconds: an open connection
/// is kept one second longer by it, so that none is cut before its time. Not where a second is much of that time, nor
/// where a connection that closes lives as long as any other, because then connection tracking must see each packet.
fn tcp(nat: &NatBehaviour) -> bool {
    freshness(nat.tcp.established) >= UNSEEN && nat.tcp.established != nat.tcp.transitory
}

/// What an open connection may idle until the rules and connection tracking forget it.
pub(super) fn kept(nat: &NatBehaviour) -> Timeout {
    let seconds = if tcp(nat) { UNSEEN.as_secs() } else { 0 };
    Timeout::of_seconds(nat.tcp.established.seconds() + seconds)
}

/// The same of UDP, where connection tracking must know a flow for as long as its mapping lives. An
/// endpoint-independent mapping is found by the inside endpoint alone, whatever connection tracking knows.
fn udp(nat: &NatBehaviour) -> bool {
    is_found_alone(nat) || freshness(nat.udp.timeout) >= UNSEEN
}

fn is_found_alone(nat: &NatBehaviour) -> bool {
    nat.udp.mapping == Mapping::EndpointIndependent
}

/// What a UDP flow may idle until the rules and connection tracking forget it.
pub(super) fn kept_of_udp(nat: &NatBehaviour) -> Timeout {
    let seconds = if udp(nat) && !is_found_alone(nat) { UNSEEN.as_secs() } else { 0 };
    Timeout::of_seconds(nat.udp.timeout.seconds() + seconds)
}

const UNSEEN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Catalogue;

    #[test]
    fn a_flow_is_kept_longer_where_its_mapping_needs_it_or_takes_no_fast_path() {
        let catalogue = Catalogue::shipped();
        let mut nat = catalogue.nat("symmetric").unwrap().behaviour.clone().unwrap();
        let mut of = |mapping, seconds| {
            (nat.udp.mapping, nat.udp.timeout) = (mapping, Timeout::of_seconds(seconds));
            (kept_of_udp(&nat).seconds(), FastPath::of(&nat).udp_ms)
        };
        assert_eq!(of(Mapping::EndpointIndependent, 30), (30, 1000));
        assert_eq!(of(Mapping::EndpointIndependent, 8), (8, 500));
        assert_eq!(of(Mapping::AddressDependent, 30), (31, 1000));
        assert_eq!(of(Mapping::AddressAndPortDependent, 16), (17, 1000));
        assert_eq!(of(Mapping::AddressAndPortDependent, 15), (15, 0));
    }
}
