//! A model of the NAT and firewall before a client, for UDP and for TCP connection attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What a mapping or a filter distinguishes (RFC 4787).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependence {
    Endpoint,
    Address,
    AddressAndPort,
}

/// What the gateway does.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Translation, if any: how mappings depend on the destination.
    pub mapping: Option<Dependence>,
    /// What may come in by UDP; `None` if everything.
    pub filtering: Option<Dependence>,
    /// No UDP gets through, neither way.
    pub udp_blocked: bool,
    /// TCP ports that are reached from inside; `None` if all.
    pub tcp_ports: Option<BTreeSet<u16>>,
    /// Blocked TCP attempts are answered by a reset.
    pub tcp_rejects: bool,
}

impl Policy {
    /// Neither NAT nor firewall.
    pub fn open() -> Self {
        Self { mapping: None, filtering: None, udp_blocked: false, tcp_ports: None, tcp_rejects: false }
    }

    /// A NAT by its behaviour.
    pub fn nat(mapping: Dependence, filtering: Dependence) -> Self {
        Self { mapping: Some(mapping), filtering: Some(filtering), ..Self::open() }
    }

    /// The NAT of Exp B.
    pub fn port_restricted() -> Self {
        Self::nat(Dependence::Endpoint, Dependence::AddressAndPort)
    }

    /// NAT and firewall of Exp C.
    pub fn udp_restricted() -> Self {
        Self { udp_blocked: true, ..Self::port_restricted() }
    }
}

/// The gateway's state.
#[derive(Debug)]
pub struct Gateway {
    pub policy: Policy,
    public: Ipv4Addr,
    inside: SocketAddrV4,
    mappings: BTreeMap<Option<(Ipv4Addr, u16)>, u16>,
    contacted: BTreeSet<SocketAddrV4>,
    /// Datagrams that it did not let through.
    pub dropped: u32,
}

impl Gateway {
    /// A gateway with an address of its own before one inside host.
    pub fn new(policy: Policy, public: Ipv4Addr, inside: SocketAddrV4) -> Self {
        Self { policy, public, inside, mappings: BTreeMap::new(), contacted: BTreeSet::new(), dropped: 0 }
    }

    /// Source address outside of a datagram to `to`; `None` if it is dropped.
    pub fn udp_out(&mut self, to: SocketAddrV4) -> Option<SocketAddrV4> {
        if self.policy.udp_blocked {
            self.dropped += 1;
            return None;
        }
        self.contacted.insert(to);
        let Some(mapping) = self.policy.mapping else {
            return Some(self.inside);
        };
        let key = match mapping {
            Dependence::Endpoint => None,
            Dependence::Address => Some((*to.ip(), 0)),
            Dependence::AddressAndPort => Some((*to.ip(), to.port())),
        };
        let next = 40_000 + u16::try_from(self.mappings.len()).expect("few mappings");
        let port = *self.mappings.entry(key).or_insert(next);
        Some(SocketAddrV4::new(self.public, port))
    }

    /// Whether a datagram from outside gets in.
    pub fn udp_in(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> bool {
        let mapped = self.policy.mapping.is_none() || self.mappings.values().any(|&port| port == to.port());
        let allowed = match self.policy.filtering {
            None | Some(Dependence::Endpoint) => true,
            Some(Dependence::Address) => self.contacted.iter().any(|contact| contact.ip() == from.ip()),
            Some(Dependence::AddressAndPort) => self.contacted.contains(&from),
        };
        let passes = mapped && allowed && !self.policy.udp_blocked;
        self.dropped += u32::from(!passes);
        passes
    }

    /// Whether a TCP connection to this port gets out.
    pub fn tcp_out(&self, port: u16) -> bool {
        self.policy.tcp_ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }

    /// Where a TCP connection comes from, as seen outside.
    pub fn tcp_source(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(if self.policy.mapping.is_some() { self.public } else { *self.inside.ip() }, port)
    }
}
