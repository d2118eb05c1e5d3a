//! Namespaces, links, addresses, routes, settings, rulesets and the WAN's impairments: typed, thin
//! wrappers over netlink and the few programs that apply rulesets.
//!
//! How a lab's network is made from its plan:
//!
//! 1. [`wan::Core::build`] makes the WAN core; [`wan::engine::run`] is what delays its packets.
//! 2. [`Gateway::build`] makes each gateway, with its rules in force before it has a link.
//! 3. [`Gateway::connect`] links a gateway to the core, or to the gateway that it is behind.
//! 4. [`node::attach`] links a node's namespace to the core or to its gateway.
//!
//! 2 to 4 may run concurrently, as far as one thing exists before another is linked to it. Deleting the
//! namespaces ([`NetNs::delete`]) takes everything away again.

mod address;
pub mod conntrack;
mod error;
pub mod fast_path;
pub mod gateway;
pub mod iptables;
pub mod link;
mod netlink;
pub mod netns;
pub mod nft;
pub mod node;
pub mod offload;
pub mod receive_buffer;
mod route;
pub mod ruleset;
mod socket;
pub(crate) mod sys;
pub mod sysctl;
mod uplink;
pub mod wan;
mod wire;
mod worker;

pub use error::NetError;
pub use gateway::Gateway;
pub use netlink::{Netlink, Requests};
pub use netns::NetNs;
pub use uplink::Uplink;
