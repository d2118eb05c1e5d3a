//! What a NAT does, in the terms of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP).

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use crate::topology::Subnet;

/// A gateway's NAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NatProfile {
    /// File name without `.yaml`, or `inline`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the type is met and what it does to hole punching; empty for an inline one.
    pub description: String,
    /// RFC sections and published pages.
    pub references: Vec<String>,
    /// What it does. `None`: the gateway routes and translates nothing, so the site's subnet must be
    /// reachable as it is: the WAN (or the outer gateway) needs a route to it, and it must be unique there.
    pub behaviour: Option<NatBehaviour>,
}

/// What a NAT does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NatBehaviour {
    /// UDP (RFC 4787).
    pub udp: UdpBehaviour,
    /// TCP (RFC 5382).
    pub tcp: TcpBehaviour,
    /// How a mapping gets its outside port.
    pub allocation: PortAllocation,
    /// Outside ports that mappings use.
    pub ports: PortRange,
    /// How a mapping gets its outside address, where there are several.
    pub pooling: Pooling,
    /// What happens to packets from inside to an outside address of the NAT.
    pub hairpin: Hairpin,
    /// What happens to ICMP errors about translated packets.
    pub icmp_errors: IcmpErrors,
    /// What happens to fragments.
    pub fragments: Fragments,
    /// Outside ports that lead to an inside host without a mapping having been made from inside.
    pub forwards: Vec<Forward>,
    /// The inside host that gets everything that nobody else gets.
    pub dmz: Option<InsideHost>,
}

/// Mapping and filtering of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UdpBehaviour {
    /// Which packets of an inside endpoint share an outside endpoint.
    pub mapping: Mapping,
    /// Who outside may send to it.
    pub filtering: Filtering,
    /// How long a mapping lives without a packet that refreshes it (REQ-5: at least 2 minutes).
    pub timeout: Timeout,
    /// Which packets refresh it (REQ-6).
    pub refresh: Refresh,
}

/// Mapping and filtering of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TcpBehaviour {
    /// Which connections of an inside endpoint share an outside endpoint.
    pub mapping: Mapping,
    /// Who outside may open a connection to it.
    pub filtering: Filtering,
    /// How long an established connection may idle (RFC 5382 REQ-5: at least 2 hours 4 minutes).
    pub established: Timeout,
    /// How long a partly open or closing connection may idle (RFC 5382 REQ-5: at least 4 minutes).
    pub transitory: Timeout,
}

/// Mapping behaviour (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// EIM: one outside endpoint per inside endpoint.
    EndpointIndependent,
    /// ADM: one per inside endpoint and outside address.
    AddressDependent,
    /// APDM: one per inside endpoint, outside address and outside port.
    AddressAndPortDependent,
}

/// Filtering behaviour (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filtering {
    /// EIF: anybody.
    EndpointIndependent,
    /// ADF: addresses that the inside endpoint has sent to.
    AddressDependent,
    /// APDF: addresses and ports that the inside endpoint has sent to.
    AddressAndPortDependent,
}

/// How a mapping gets its outside port (RFC 4787 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortAllocation {
    /// The inside port if it is free and in the range, otherwise a random one.
    Preserving,
    /// A random free one.
    Random,
    /// The next free one above the last that was given: predictable from outside.
    Sequential,
    /// A random free one that is even where the inside port is even and odd where it is odd (REQ-4).
    ParityPreserving,
}

/// Which of several outside addresses a mapping gets (RFC 4787 REQ-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Every mapping of an inside host has the same one.
    Paired,
    /// Any, in turn.
    Arbitrary,
}

/// Hairpinning (RFC 4787 REQ-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hairpin {
    /// Packets from inside to an outside address are dropped.
    Off,
    /// They reach the inside host with the sender's inside address and port as source.
    InternalSource,
    /// They reach it with the sender's outside address and port as source (REQ-9 a).
    ExternalSource,
}

/// Which packets keep a UDP mapping alive (RFC 4787 REQ-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refresh {
    /// Packets from inside only.
    Outbound,
    /// Packets from inside and those let in from outside.
    Both,
}

/// ICMP errors about translated packets (RFC 5508 REQ-3 to REQ-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcmpErrors {
    /// Translated, the packet inside them too, and passed.
    Translate,
    /// Dropped in both directions.
    Drop,
}

/// Fragments (RFC 4787 section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fragments {
    /// Put together in any order, translated, and fragmented again where the link needs it (REQ-13, REQ-14).
    Reassemble,
    /// Dropped in both directions.
    Drop,
}

/// Outside ports that lead inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forward {
    /// UDP, TCP or both.
    pub protocol: Forwarded,
    /// Ports at every outside address.
    pub outside: PortRange,
    /// The host that they lead to.
    pub to: InsideHost,
    /// Its port for the first of `outside`; the others follow in order.
    pub port: u16,
}

/// Protocols of a [`Forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarded {
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
    /// Both.
    Both,
}

/// A host inside, whatever the site's subnet is, or at a fixed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsideHost {
    /// The n-th address after the subnet's: 2 is 192.168.1.2 in 192.168.1.0/24.
    Number(u32),
    /// This address.
    Address(Ipv4Addr),
}

impl InsideHost {
    /// The host's address in `inside`; `None` if the subnet has no such host.
    #[must_use]
    pub fn address(self, inside: Subnet) -> Option<Ipv4Addr> {
        let network = u32::from(inside.network);
        let size = 1_u64 << (32 - u32::from(inside.prefix.min(32)));
        let host = match self {
            Self::Number(number) => number,
            Self::Address(address) => u32::from(address).checked_sub(network)?,
        };
        // The first address is the network's, the last one the broadcast address.
        (host > 0 && u64::from(host) + 1 < size).then(|| Ipv4Addr::from(network + host))
    }
}

/// Ports from `first` to `last`, both included; `first` is at least 1 and at most `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// `None` if `first` is 0 or above `last`.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self { first, last }) }
    }

    /// The first port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// How many ports.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Every port that mappings use where a profile says nothing: those above the well-known ones.
    pub(crate) const UNPRIVILEGED: Self = Self { first: 1024, last: u16::MAX };
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// How long something may idle: whole seconds, 1 s to 60 days (the kernel's connection tracking counts
/// in seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Timeout(#[serde(with = "seconds")] Duration);

impl Timeout {
    /// The longest one.
    pub const MAX: Duration = Duration::from_secs(60 * 24 * 3600);

    /// `None` unless `idle` is 1 s to [`Timeout::MAX`] in whole seconds.
    #[must_use]
    pub fn new(idle: Duration) -> Option<Self> {
        (idle.subsec_nanos() == 0 && idle.as_secs() > 0 && idle <= Self::MAX).then_some(Self(idle))
    }

    pub(crate) const fn of_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The idle time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The idle time in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

mod seconds {
    use std::time::Duration;

    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(idle: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&humantime::format_duration(*idle).to_string())
    }
}

/// The two idle times that a set of mappings lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// One for all: UDP.
    One(Timeout),
    /// Another while a connection is established: TCP.
    Established {
        /// Partly open or closing.
        transitory: Timeout,
        /// Established.
        established: Timeout,
    },
}

impl NatBehaviour {
    /// How long mappings of TCP live.
    #[must_use]
    pub fn tcp_lifetime(&self) -> Lifetime {
        let TcpBehaviour { transitory, established, .. } = self.tcp;
        if established == transitory {
            Lifetime::One(transitory)
        } else {
            Lifetime::Established { transitory, established }
        }
    }
}
