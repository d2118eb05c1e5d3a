//! NAT and firewall profiles -> ruleset text (pure). A profile is data: what a gateway does in the terms
//! of RFC 4787 and its relatives. No code anywhere asks for a profile's name.

use serde::{Deserialize, Serialize};

/// A gateway's NAT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatProfile {
    /// File name without `.yaml`, or `inline`.
    pub name: String,
}

/// A gateway's firewall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirewallProfile {
    /// File name without `.yaml`, or `inline`.
    pub name: String,
}
