//! What a prober can see of a NAT.

use std::net::SocketAddrV4;

use serde::Serialize;

use super::CheckError;
use crate::profile::{Catalogue, Filtering, Hairpin, Mapping, NatBehaviour, NatProfile, PortAllocation};

/// Inside ports by whose mappings port allocation is seen. Of random outside ports, one set of 65,536 keeps the
/// parity of all of these.
pub(super) const ALLOCATION_PORTS: std::ops::Range<u16> = 6000..6016;

/// Mapping and filtering of one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// `None`: nothing is translated.
    pub mapping: Option<Mapping>,
    /// Who outside reaches an inside endpoint.
    pub filtering: Filtering,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.mapping.map_or("no NAT", Mapping::short), self.filtering.short())
    }
}

/// What a prober can see of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Behaviour {
    /// UDP.
    pub udp: Kind,
    /// TCP.
    pub tcp: Kind,
    /// `None`: nothing is translated.
    pub hairpin: Option<Hairpin>,
    /// `None`: nothing is translated.
    pub allocation: Option<PortAllocation>,
}

impl Behaviour {
    /// What a profile says.
    #[must_use]
    pub fn declared(profile: &NatProfile) -> Self {
        let open = Kind { mapping: None, filtering: Filtering::EndpointIndependent };
        profile.behaviour.as_ref().map_or(
            Self { udp: open, tcp: open, hairpin: None, allocation: None },
            |nat| Self {
                udp: Kind { mapping: Some(nat.udp.mapping), filtering: nat.udp.filtering },
                tcp: Kind { mapping: Some(nat.tcp.mapping), filtering: nat.tcp.filtering },
                hairpin: Some(nat.hairpin),
                allocation: Some(nat.allocation),
            },
        )
    }

    /// What can be seen of it. A NAT with another mapping for each destination sends to another host of its
    /// site from a mapping that this host does not know, and to one that has sent to somebody else. If it filters
    /// by peer, it drops the packet, and looks as one that does not hairpin. And a port that is not in the range of
    /// outside ports cannot be preserved.
    #[must_use]
    pub fn expected(profile: &NatProfile) -> Self {
        let mut seen = Self::declared(profile);
        if seen.hairpin == Some(Hairpin::ExternalSource)
            && seen.udp.mapping != Some(Mapping::EndpointIndependent)
            && seen.udp.filtering != Filtering::EndpointIndependent
        {
            seen.hairpin = Some(Hairpin::Off);
        }
        let kept = |nat: &NatBehaviour| {
            ALLOCATION_PORTS.into_iter().all(|port| (nat.ports.first()..=nat.ports.last()).contains(&port))
        };
        if seen.allocation == Some(PortAllocation::Preserving)
            && !profile.behaviour.as_ref().is_some_and(kept)
        {
            seen.allocation = Some(PortAllocation::Random);
        }
        seen
    }
}

/// The mapping by which an inside endpoint is seen so from the primary address and port, from the other
/// address, and from the other address and port.
pub(super) fn mapping_of(
    inside: SocketAddrV4,
    [primary, address, both]: [SocketAddrV4; 3],
) -> Result<Option<Mapping>, CheckError> {
    if primary == inside {
        return Ok(None);
    }
    match (primary == address, address == both) {
        (true, true) => Ok(Some(Mapping::EndpointIndependent)),
        (false, true) => Ok(Some(Mapping::AddressDependent)),
        (false, false) => Ok(Some(Mapping::AddressAndPortDependent)),
        (true, false) => {
            let what = format!("{inside} is {primary} to two addresses and {both} to another port of one");
            Err(CheckError::Contradiction { what })
        }
    }
}

/// The nine pairs of mapping and filtering (RFC 4787 sections 4.1 and 5), for UDP and TCP alike, named
/// `EIM-EIF` to `APDM-APDF`; otherwise as the shipped full cone.
///
/// # Panics
///
/// Never: a test reads every shipped profile.
#[must_use]
pub fn pairs() -> Vec<NatProfile> {
    let catalogue = Catalogue::shipped();
    let full_cone = catalogue.nat("full-cone").expect("a test reads every shipped profile");
    let pairs = MAPPINGS.into_iter().flat_map(|mapping| FILTERINGS.map(|filtering| (mapping, filtering)));
    pairs
        .map(|(mapping, filtering)| {
            let with = |nat: &NatBehaviour| {
                let mut nat = nat.clone();
                (nat.udp.mapping, nat.tcp.mapping) = (mapping, mapping);
                (nat.udp.filtering, nat.tcp.filtering) = (filtering, filtering);
                nat
            };
            NatProfile {
                name: format!("{}-{}", mapping.short(), filtering.short()),
                title: "One of the nine pairs".to_owned(),
                description: String::new(),
                references: Vec::new(),
                behaviour: full_cone.behaviour.as_ref().map(with),
            }
        })
        .collect()
}

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] =
    [Filtering::EndpointIndependent, Filtering::AddressDependent, Filtering::AddressAndPortDependent];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_from_three_outside_endpoints() {
        let end = |text: &str| text.parse().unwrap();
        let inside = end("192.168.1.2:5000");
        let (x, y, z) = (end("198.18.0.9:1"), end("198.18.0.9:2"), end("198.18.0.9:3"));
        let of = |seen| mapping_of(inside, seen).unwrap();
        assert_eq!(of([inside; 3]), None);
        assert_eq!(of([x, x, x]), Some(Mapping::EndpointIndependent));
        assert_eq!(of([x, y, y]), Some(Mapping::AddressDependent));
        assert_eq!(of([x, y, z]), Some(Mapping::AddressAndPortDependent));
        assert!(mapping_of(inside, [x, x, z]).is_err());
    }

    #[test]
    fn there_are_nine_pairs_and_all_differ() {
        let mut names: Vec<_> = pairs().into_iter().map(|profile| profile.name).collect();
        names.dedup();
        assert_eq!(names.len(), 9);
        assert_eq!((names[0].as_str(), names[8].as_str()), ("EIM-EIF", "APDM-APDF"));
    }
}
