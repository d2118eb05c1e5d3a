//! Classifies NATs from outside of them, as RFC 5780 says, and compares what is seen with what their profiles
//! declare.
//!
//! A small network is made for it, without containers and without delays:
//!
//! ```text
//!             isp (a router whose network is the Internet)
//!              |-- server: a STUN server at two addresses and two ports of each
//!              |-- g0: the NAT of the first profile -- a0, b0: two hosts
//!              `-- g1: the NAT of the second profile -- a1, b1 ...
//! ```
//!
//! Nothing is decided by how quick the machine is. That an answer does not come is known by another one, for
//! which was asked later, having come three times.

mod behaviour;
mod error;
mod lifetime;
pub mod markdown;
mod server;
mod stun;
mod tcp;
mod testbed;
mod udp;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

pub use behaviour::{Behaviour, Kind, pairs};
pub use error::CheckError;
pub use lifetime::Lived;

use crate::profile::NatProfile;
use testbed::{Site, Testbed};

/// Profiles that are classified side by side. Most of the time is for `nft`.
const AT_ONCE: usize = 48;

/// What is looked at beside mapping, filtering, hairpinning and port allocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How long UDP mappings live, also where that takes long. Short timeouts are always looked at.
    pub lifetime: bool,
}

/// A profile, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What it says.
    pub declared: Behaviour,
    /// What a prober sees of what it says: without hairpinning, where its own filtering hides that.
    pub expected: Behaviour,
    /// What was seen.
    pub observed: Behaviour,
    /// How long UDP mappings lived, where that was looked at.
    pub lifetime: Option<Lived>,
    /// Whether it is what it says.
    pub as_declared: bool,
}

/// Classifies profiles side by side. `ended` hears of each one when it is done; the result has them in the
/// order in which they were given. Nothing of the network is left, however this ends.
pub async fn check(
    profiles: &[NatProfile],
    options: Options,
    ended: impl Fn(&Checked),
) -> Result<Vec<Checked>, CheckError> {
    let testbed = Testbed::new().await?;
    let (testbed, ended) = (&testbed, &ended);
    let checks = profiles.iter().enumerate().map(|(number, profile)| async move {
        let site = testbed.site(number, profile).await?;
        let checked = classify(testbed, &site, profile, options)
            .await
            .map_err(|source| CheckError::Profile { name: profile.name.clone(), source: Box::new(source) })?;
        ended(&checked);
        Ok::<_, CheckError>(checked)
    });
    stream::iter(checks).buffered(AT_ONCE).try_collect().await
}

async fn classify(
    testbed: &Testbed,
    site: &Site,
    profile: &NatProfile,
    options: Options,
) -> Result<Checked, CheckError> {
    let observed = Behaviour {
        udp: udp::classify(site).await?,
        tcp: tcp::classify(testbed.server(), site).await?,
        hairpin: udp::hairpin(site).await?,
        allocation: udp::allocation(site).await?,
    };
    let timeout = profile.behaviour.as_ref().map(|nat| nat.udp.timeout.duration());
    let lifetime = match timeout {
        Some(timeout) if options.lifetime || timeout <= lifetime::SHORT => {
            Some(lifetime::measure(site, timeout).await?)
        }
        _ => None,
    };
    let declared = Behaviour::declared(profile);
    let expected = Behaviour::expected(profile);
    Ok(Checked {
        name: profile.name.clone(),
        title: profile.title.clone(),
        as_declared: observed == expected && lifetime.is_none_or(Lived::as_declared),
        declared,
        expected,
        observed,
        lifetime,
    })
}
