//! The result of a check as a page.

use std::fmt::Write as _;

use super::{Checked, Kind};
use crate::profile::{Filtering, Hairpin, Mapping, PortAllocation};

/// The page `docs/nat-profiles.md`: what profiles declare, what was seen, and what it does to hole punching.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let mut text = String::from(HEAD);
    for row in checked {
        let hairpin = match row.declared.hairpin {
            declared if declared == row.observed.hairpin => hairpin(declared).to_owned(),
            declared if row.observed.hairpin == row.expected.hairpin => {
                format!("{}, hidden by the filtering", hairpin(declared))
            }
            declared => format!("{}, **seen: {}**", hairpin(declared), hairpin(row.observed.hairpin)),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {hairpin} | {} | {} |",
            row.name,
            row.declared.udp,
            seen(row.declared.udp, row.observed.udp),
            row.declared.tcp,
            seen(row.declared.tcp, row.observed.tcp),
            allocation(row),
            hole_punching(row.observed.udp),
        );
    }
    text.push_str(TAIL);
    text
}

const HEAD: &str = "\
# NAT profiles: declared and observed

This page is written by `labctl nat check --pairs --markdown docs/nat-profiles.md`, and a test fails when a
profile is no longer what the page says. Each profile is put on a gateway of its own and classified from both
sides of it by a prober that follows RFC 5780. `labctl nat show PROFILE` says what a profile is met in, and
shows its rules.

| profile | UDP declared | UDP observed | TCP declared | TCP observed | hairpin | ports | UDP hole punching |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

const TAIL: &str = "
- Mapping (RFC 4787 section 4.1): EIM, ADM, APDM are endpoint-independent, address-dependent, address and
  port-dependent. Filtering (section 5): EIF, ADF, APDF likewise. The pairs `EIM-EIF` to `APDM-APDF` are no
  files; they are in the check so that all nine are proven.
- Hairpin: what happens when a host sends to the outside endpoint of another one behind the same NAT, and
  whether the receiver sees the sender's outside endpoint (external source) or inside endpoint (internal
  source). *Hidden by the filtering*: a hairpinned packet comes from a port that the receiver has not sent to.
- Ports: how sixteen new mappings got their outside ports.
- Hole punching: which of the four NATs of RFC 3489 a peer behind this one reaches directly, if both learn
  their outside endpoints from a server and then send to each other. It follows from mapping and filtering.
- TCP filtering is about a connection that an outside host opens to a mapping.
";

fn seen(declared: Kind, observed: Kind) -> String {
    if declared == observed { observed.to_string() } else { format!("**{observed}**") }
}

/// In a word.
#[must_use]
pub fn hairpin(hairpin: Option<Hairpin>) -> &'static str {
    match hairpin {
        None => "-",
        Some(Hairpin::Off) => "no",
        Some(Hairpin::InternalSource) => "internal source",
        Some(Hairpin::ExternalSource) => "external source",
    }
}

/// In a word.
#[must_use]
pub fn ports(allocation: Option<PortAllocation>) -> &'static str {
    match allocation {
        None => "-",
        Some(PortAllocation::Preserving) => "preserved",
        Some(PortAllocation::Random) => "random",
        Some(PortAllocation::Sequential) => "sequential",
        Some(PortAllocation::ParityPreserving) => "parity kept",
    }
}

fn allocation(row: &Checked) -> String {
    let (declared, observed) = (ports(row.declared.allocation), ports(row.observed.allocation));
    if declared == observed { declared.to_owned() } else { format!("{declared}, **seen: {observed}**") }
}

/// The NATs of RFC 3489 section 5 by which hole punching is told.
const PEERS: [(&str, Mapping, Filtering); 4] = [
    ("full-cone", Mapping::EndpointIndependent, Filtering::EndpointIndependent),
    ("restricted-cone", Mapping::EndpointIndependent, Filtering::AddressDependent),
    ("port-restricted", Mapping::EndpointIndependent, Filtering::AddressAndPortDependent),
    ("symmetric", Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent),
];

fn hole_punching(kind: Kind) -> String {
    let Some(mapping) = kind.mapping else { return "not needed".to_owned() };
    let fails = |(_, m, f): &&(&str, Mapping, Filtering)| {
        !reaches((mapping, kind.filtering), (*m, *f)) && !reaches((*m, *f), (mapping, kind.filtering))
    };
    match &PEERS.iter().filter(fails).map(|(name, ..)| *name).collect::<Vec<_>>()[..] {
        [] => "works with all four".to_owned(),
        names => format!("fails with {}", names.join(" and ")),
    }
}

/// Whether packets of one get to the other, when both have sent to the outside endpoint that a server saw.
/// Whoever gets one can answer it.
fn reaches(from: (Mapping, Filtering), to: (Mapping, Filtering)) -> bool {
    let independent = |mapping| mapping == Mapping::EndpointIndependent;
    match to.1 {
        Filtering::EndpointIndependent => true,
        // What the receiver sends opens another outside endpoint than the one that the server saw.
        _ if !independent(to.0) => false,
        Filtering::AddressDependent => true,
        Filtering::AddressAndPortDependent => independent(from.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hole_punching_is_as_the_textbooks_have_it() {
        let of =
            |(_, mapping, filtering): (&str, _, _)| hole_punching(Kind { mapping: Some(mapping), filtering });
        assert_eq!(
            PEERS.map(of),
            [
                "works with all four",
                "works with all four",
                "fails with symmetric",
                "fails with port-restricted and symmetric"
            ]
        );
    }
}
