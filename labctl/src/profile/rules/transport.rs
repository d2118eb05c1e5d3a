//! One transport protocol of a NAT, and the words of its rules.

use std::time::Duration;

use super::fast_path;
use crate::profile::behaviour::{Filtering, Lifetime, Mapping, NatBehaviour, Refresh, Timeout};

/// UDP or TCP, and what the NAT does with it.
#[derive(Clone, Copy)]
pub(super) struct Transport {
    /// `udp` or `tcp`: the word of nft, and the beginning of the names of its sets and chains.
    pub(super) word: &'static str,
    pub(super) mapping: Mapping,
    pub(super) filtering: Filtering,
    pub(super) lifetime: Lifetime,
    pub(super) refresh: Refresh,
}

impl Transport {
    pub(super) fn of(nat: &NatBehaviour) -> [Self; 2] {
        [
            Self {
                word: "udp",
                mapping: nat.udp.mapping,
                filtering: nat.udp.filtering,
                lifetime: Lifetime::One(fast_path::kept_of_udp(nat)),
                refresh: nat.udp.refresh,
            },
            Self {
                word: "tcp",
                mapping: nat.tcp.mapping,
                filtering: nat.tcp.filtering,
                lifetime: match nat.tcp_lifetime() {
                    Lifetime::Established { transitory, .. } => {
                        Lifetime::Established { transitory, established: fast_path::kept(nat) }
                    }
                    one @ Lifetime::One(_) => one,
                },
                refresh: Refresh::Both,
            },
        ]
    }

    /// Idle time of what has just been made.
    pub(super) fn first_timeout(&self) -> Timeout {
        match self.lifetime {
            Lifetime::One(timeout) => timeout,
            Lifetime::Established { transitory, .. } => transitory,
        }
    }

    /// Whether connection tracking can outlive a mapping: packets from outside keep only the former alive.
    /// Then an outside port rests, after its mapping is gone, for as long as that can last.
    pub(super) fn rests(&self) -> bool {
        self.refresh == Refresh::Outbound
    }

    /// The ways of packets that keep mappings alive.
    pub(super) fn refreshing_ways(&self) -> &'static [&'static str] {
        match self.refresh {
            Refresh::Outbound => &["sent"],
            Refresh::Both => &["sent", "received"],
        }
    }

    /// `timeout 301s`: how long a mapping lives after it has been written down.
    pub(super) fn life(timeout: Timeout) -> String {
        idle(timeout.duration() + freshness(timeout))
    }

    /// `timeout 301s`: how long an inside endpoint owns its outside endpoint.
    pub(super) fn ownership(&self, timeout: Timeout) -> String {
        let rest = if self.rests() { timeout.duration() } else { Duration::ZERO };
        idle(timeout.duration() + freshness(timeout) + rest)
    }

    /// `timeout 1s`: how long what has been written down of a mapping is not written down again. Its
    /// mappings live longer by as much, so that no mapping dies before its time.
    pub(super) fn freshness(timeout: Timeout) -> String {
        idle(freshness(timeout))
    }

    /// Key of `<protocol>_inside`: an inside endpoint and as much of its peer as the mapping depends on.
    pub(super) fn inside_key(&self, end: &str, peer_address: &str, peer_port: &str) -> String {
        match self.mapping {
            Mapping::EndpointIndependent => end.to_owned(),
            Mapping::AddressDependent => format!("{end} . {peer_address}"),
            Mapping::AddressAndPortDependent => format!("{end} . {peer_address} . {peer_port}"),
        }
    }

    pub(super) fn inside_type(&self) -> String {
        self.inside_key("ipv4_addr . inet_service", "ipv4_addr", "inet_service")
    }

    /// Key of `<protocol>_peers`: an outside endpoint and as much of its peer as the filtering depends on;
    /// `None` where everybody may send. A hairpinned packet with its internal source has no outside endpoint
    /// of its own, and permits by its inside endpoint.
    pub(super) fn peer_key(&self, end: &str, peer_address: &str, peer_port: &str) -> Option<String> {
        match self.filtering {
            Filtering::EndpointIndependent => None,
            Filtering::AddressDependent => Some(format!("{end} . {peer_address}")),
            Filtering::AddressAndPortDependent => Some(format!("{end} . {peer_address} . {peer_port}")),
        }
    }

    pub(super) fn peer_type(&self) -> Option<String> {
        self.peer_key("ipv4_addr . inet_service", "ipv4_addr", "inet_service")
    }

    /// The inside key of the first packet of a connection that begins inside.
    pub(super) fn original_key(&self) -> String {
        self.inside_key(
            "ct original ip saddr . ct original proto-src",
            "ct original ip daddr",
            "ct original proto-dst",
        )
    }
}

/// A sixteenth of the idle time, at most a second.
pub(super) fn freshness(timeout: Timeout) -> Duration {
    (timeout.duration() / 16).min(Duration::from_secs(1))
}

/// `timeout 3s187ms`. nft takes no more than 8 digits of milliseconds.
fn idle(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("timeout {}s", time.as_secs()),
        rest => format!("timeout {}s{rest}ms", time.as_secs()),
    }
}
