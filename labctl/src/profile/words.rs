//! Profiles in words.

use super::behaviour::{
    Filtering, Forward, Forwarded, Fragments, Hairpin, IcmpErrors, InsideHost, Mapping, NatBehaviour,
    NatProfile, Pooling, PortAllocation, Refresh,
};
use super::firewall::{Action, FirewallProfile, Policy};

/// One thing that a NAT does, in words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Trait {
    /// What it is about: `UDP mapping`.
    pub what: &'static str,
    /// What the NAT does.
    pub how: String,
    /// Where the term is defined.
    pub source: &'static str,
}

impl Mapping {
    /// The term of RFC 4787 in short: `EIM`, `ADM`, `APDM`.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::EndpointIndependent => "EIM",
            Self::AddressDependent => "ADM",
            Self::AddressAndPortDependent => "APDM",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::EndpointIndependent => {
                "endpoint-independent: an inside endpoint has one outside endpoint to all destinations"
            }
            Self::AddressDependent => {
                "address-dependent: an inside endpoint has another outside endpoint to each destination address"
            }
            Self::AddressAndPortDependent => {
                "address and port-dependent: an inside endpoint has another outside endpoint to each destination \
                 address and port"
            }
        }
    }
}

impl Filtering {
    /// The term of RFC 4787 in short: `EIF`, `ADF`, `APDF`.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::EndpointIndependent => "EIF",
            Self::AddressDependent => "ADF",
            Self::AddressAndPortDependent => "APDF",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::EndpointIndependent => "endpoint-independent: anybody can send to a mapping",
            Self::AddressDependent => {
                "address-dependent: only addresses that the inside endpoint has sent to"
            }
            Self::AddressAndPortDependent => {
                "address and port-dependent: only addresses and ports that the inside endpoint has sent to"
            }
        }
    }
}

impl NatProfile {
    /// The behaviour in one line: `UDP EIM/APDF, TCP EIM/APDF, preserving`.
    #[must_use]
    pub fn summary(&self) -> String {
        let Some(nat) = &self.behaviour else { return "no translation".to_owned() };
        let mut parts = vec![
            format!("UDP {}/{}", nat.udp.mapping.short(), nat.udp.filtering.short()),
            format!("TCP {}/{}", nat.tcp.mapping.short(), nat.tcp.filtering.short()),
            format!("{} ports", allocation_word(nat.allocation)),
        ];
        if nat.hairpin != Hairpin::Off {
            parts.push("hairpin".to_owned());
        }
        if !nat.forwards.is_empty() {
            parts.push("forwards".to_owned());
        }
        if nat.dmz.is_some() {
            parts.push("DMZ host".to_owned());
        }
        parts.join(", ")
    }

    /// The behaviour, one thing after another.
    #[must_use]
    pub fn traits(&self) -> Vec<Trait> {
        let Some(nat) = &self.behaviour else {
            let how = "none: packets pass with the addresses that they have".to_owned();
            return vec![Trait { what: "translation", how, source: "RFC 1812" }];
        };
        let mut traits = transport_traits(nat);
        traits.extend(sharing_traits(nat));
        traits.extend(nat.forwards.iter().map(|forward| Trait {
            what: "forwarding",
            how: forward_words(forward),
            source: "RFC 6887 section 2.3",
        }));
        if let Some(host) = nat.dmz {
            let how = format!("{} gets what no mapping and no forwarding is there for", host_words(host));
            traits.push(Trait { what: "DMZ host", how, source: "RFC 6887 section 2.3" });
        }
        traits
    }
}

fn transport_traits(nat: &NatBehaviour) -> Vec<Trait> {
    let refresh = match nat.udp.refresh {
        Refresh::Outbound => "packets from inside refresh it",
        Refresh::Both => "packets in both directions refresh it",
    };
    vec![
        Trait {
            what: "UDP mapping",
            how: nat.udp.mapping.words().to_owned(),
            source: "RFC 4787 section 4.1",
        },
        Trait {
            what: "UDP filtering",
            how: nat.udp.filtering.words().to_owned(),
            source: "RFC 4787 section 5",
        },
        Trait {
            what: "UDP timeout",
            how: format!("{}; {refresh}", nat.udp.timeout),
            source: "RFC 4787 section 4.3 (REQ-5, REQ-6)",
        },
        Trait {
            what: "TCP mapping",
            how: nat.tcp.mapping.words().to_owned(),
            source: "RFC 5382 section 4.1 (REQ-1)",
        },
        Trait {
            what: "TCP filtering",
            how: nat.tcp.filtering.words().to_owned(),
            source: "RFC 5382 section 4.3 (REQ-3)",
        },
        Trait {
            what: "TCP timeouts",
            how: format!("established {}, transitory {}", nat.tcp.established, nat.tcp.transitory),
            source: "RFC 5382 section 5 (REQ-5)",
        },
    ]
}

fn sharing_traits(nat: &NatBehaviour) -> Vec<Trait> {
    let allocation = match nat.allocation {
        PortAllocation::Preserving => {
            "the inside port where it is free and in the range, otherwise a random one"
        }
        PortAllocation::Random => "a random free one",
        PortAllocation::Sequential => "the next free one after the last that was given",
        PortAllocation::ParityPreserving => "a random free one of the inside port's parity",
    };
    let pooling = match nat.pooling {
        Pooling::Paired => "paired: an inside host has one of several outside addresses for all its mappings",
        Pooling::Arbitrary => {
            "arbitrary: the mappings of an inside host have any of several outside addresses"
        }
    };
    let hairpin = match nat.hairpin {
        Hairpin::Off => "off: packets from inside to an outside address are dropped",
        Hairpin::InternalSource => "on, with the sender's inside endpoint as source",
        Hairpin::ExternalSource => "on, with the sender's outside endpoint as source",
    };
    let icmp = match nat.icmp_errors {
        IcmpErrors::Translate => "translated and passed",
        IcmpErrors::Drop => "dropped",
    };
    let fragments = match nat.fragments {
        Fragments::Reassemble => "put together, in any order, and translated",
        Fragments::Drop => "dropped",
    };
    vec![
        Trait {
            what: "outside port",
            how: format!("{allocation}; {}", nat.ports),
            source: "RFC 4787 section 4.2 (REQ-3, REQ-4)",
        },
        Trait { what: "outside address", how: pooling.to_owned(), source: "RFC 4787 section 4.1 (REQ-2)" },
        Trait { what: "hairpinning", how: hairpin.to_owned(), source: "RFC 4787 section 6 (REQ-9)" },
        Trait { what: "ICMP errors", how: icmp.to_owned(), source: "RFC 5508 section 4 (REQ-3 to REQ-6)" },
        Trait {
            what: "fragments",
            how: fragments.to_owned(),
            source: "RFC 4787 sections 10 and 11 (REQ-13, REQ-14)",
        },
    ]
}

fn allocation_word(allocation: PortAllocation) -> &'static str {
    match allocation {
        PortAllocation::Preserving => "preserved",
        PortAllocation::Random => "random",
        PortAllocation::Sequential => "sequential",
        PortAllocation::ParityPreserving => "parity-preserving",
    }
}

fn host_words(host: InsideHost) -> String {
    match host {
        InsideHost::Number(number) => format!("host {number} of the subnet"),
        InsideHost::Address(address) => address.to_string(),
    }
}

fn forward_words(forward: &Forward) -> String {
    let protocol = match forward.protocol {
        Forwarded::Udp => "UDP",
        Forwarded::Tcp => "TCP",
        Forwarded::Both => "UDP and TCP",
    };
    format!("{protocol} port {} to {}, port {} on", forward.outside, host_words(forward.to), forward.port)
}

impl FirewallProfile {
    /// The policy in one line: `FORWARD DROP, 4 rules`.
    #[must_use]
    pub fn summary(&self) -> String {
        let opens = self.rules.iter().filter(|rule| rule.action == Action::Accept).count();
        match (self.forward, self.rules.len()) {
            (Policy::Accept, 0) => "everything passes".to_owned(),
            (policy, rules) => {
                format!("FORWARD {}, {rules} rules, {opens} of which accept", policy.word())
            }
        }
    }
}
