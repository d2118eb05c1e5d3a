//! NAT and firewall profiles -> ruleset text (pure). A profile is data: what a gateway does in the terms
//! of RFC 4787 and its relatives. No code anywhere asks for a profile's name.
//!
//! [`Catalogue`] finds profiles by name, [`gateway_rules`] turns a NAT and a firewall into the texts that
//! `nft` and `iptables-restore` take.

mod behaviour;
mod catalogue;
pub(crate) mod firewall;
pub(crate) mod read;
mod rules;
mod words;

pub use behaviour::{
    Filtering, Forward, Forwarded, Fragments, Hairpin, IcmpErrors, InsideHost, Lifetime, Mapping,
    NatBehaviour, NatProfile, Pooling, PortAllocation, PortRange, Refresh, TcpBehaviour, Timeout,
    UdpBehaviour,
};
pub use catalogue::{Catalogue, CatalogueError};
pub use firewall::{
    Action, Chain, ConnectionState, FirewallProfile, PacketMatch, Policy, Ports, Protocol, Reject, Rule, Side,
};
pub use rules::{FastPath, GatewayContext, GatewayRules, WRITTEN_DOWN, gateway_rules};
pub use words::Trait;

#[cfg(test)]
mod tests;

pub(crate) use read::{inline_firewall, inline_nat};
