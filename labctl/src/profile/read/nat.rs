//! The `behaviour:` of a NAT.

use std::net::Ipv4Addr;

use super::Fields;
use crate::profile::behaviour::{
    Filtering, Forward, Forwarded, Fragments, Hairpin, IcmpErrors, InsideHost, Mapping, NatBehaviour,
    Pooling, PortAllocation, PortRange, Refresh, TcpBehaviour, Timeout, UdpBehaviour,
};
use crate::topology::document::{Tree, Value};
use crate::topology::problem::Problem;

pub(crate) const MAPPING: &[(&str, Mapping)] = &[
    ("endpoint-independent", Mapping::EndpointIndependent),
    ("address-dependent", Mapping::AddressDependent),
    ("address-and-port-dependent", Mapping::AddressAndPortDependent),
    ("EIM", Mapping::EndpointIndependent),
    ("ADM", Mapping::AddressDependent),
    ("APDM", Mapping::AddressAndPortDependent),
];

pub(crate) const FILTERING: &[(&str, Filtering)] = &[
    ("endpoint-independent", Filtering::EndpointIndependent),
    ("address-dependent", Filtering::AddressDependent),
    ("address-and-port-dependent", Filtering::AddressAndPortDependent),
    ("EIF", Filtering::EndpointIndependent),
    ("ADF", Filtering::AddressDependent),
    ("APDF", Filtering::AddressAndPortDependent),
];

pub(crate) const ALLOCATION: &[(&str, PortAllocation)] = &[
    ("preserving", PortAllocation::Preserving),
    ("random", PortAllocation::Random),
    ("sequential", PortAllocation::Sequential),
    ("parity-preserving", PortAllocation::ParityPreserving),
];

pub(crate) const POOLING: &[(&str, Pooling)] =
    &[("paired", Pooling::Paired), ("arbitrary", Pooling::Arbitrary)];

pub(crate) const HAIRPIN: &[(&str, Hairpin)] = &[
    ("off", Hairpin::Off),
    ("internal-source", Hairpin::InternalSource),
    ("external-source", Hairpin::ExternalSource),
];

pub(crate) const REFRESH: &[(&str, Refresh)] = &[("outbound", Refresh::Outbound), ("both", Refresh::Both)];

pub(crate) const ICMP_ERRORS: &[(&str, IcmpErrors)] =
    &[("translate", IcmpErrors::Translate), ("drop", IcmpErrors::Drop)];

pub(crate) const FRAGMENTS: &[(&str, Fragments)] =
    &[("reassemble", Fragments::Reassemble), ("drop", Fragments::Drop)];

pub(crate) const FORWARDED: &[(&str, Forwarded)] =
    &[("udp", Forwarded::Udp), ("tcp", Forwarded::Tcp), ("both", Forwarded::Both)];

/// RFC 4787 REQ-5: 5 minutes or more is recommended.
const UDP_TIMEOUT: Timeout = Timeout::of_seconds(300);
/// RFC 5382 REQ-5: no less than 2 hours 4 minutes.
const TCP_ESTABLISHED: Timeout = Timeout::of_seconds(7440);
/// RFC 5382 REQ-5: no less than 4 minutes.
const TCP_TRANSITORY: Timeout = Timeout::of_seconds(240);

/// A NAT's behaviour; `None` is said by the word `none`, and also stands for what is reported as wrong.
pub(super) fn behaviour(tree: &Tree, problems: &mut Vec<Problem>) -> Option<NatBehaviour> {
    if tree.value == Value::Text("none".to_owned()) {
        return None;
    }
    let mut fields = Fields::of(tree, "a NAT's behaviour", problems);
    let udp = fields.required("udp").and_then(|tree| udp(tree, fields.problems()));
    let tcp_tree = fields.take("tcp");
    let tcp = tcp(tcp_tree, udp, fields.problems());
    let behaviour = udp.zip(tcp).map(|(udp, tcp)| NatBehaviour {
        udp,
        tcp,
        allocation: fields.word_or(
            "allocation",
            "a way to allocate ports",
            ALLOCATION,
            PortAllocation::Preserving,
        ),
        ports: fields.take("ports").and_then(|tree| fields.ports(tree)).unwrap_or(PortRange::UNPRIVILEGED),
        pooling: fields.word_or("pooling", "a way to choose the outside address", POOLING, Pooling::Paired),
        hairpin: fields.word_or("hairpin", "a kind of hairpinning", HAIRPIN, Hairpin::Off),
        icmp_errors: fields.word_or(
            "icmp-errors",
            "what happens to ICMP errors",
            ICMP_ERRORS,
            IcmpErrors::Translate,
        ),
        fragments: fields.word_or("fragments", "what happens to fragments", FRAGMENTS, Fragments::Reassemble),
        forwards: forwards(&mut fields),
        dmz: fields.take("dmz").and_then(|tree| inside_host(&mut fields, tree)),
    });
    if let (Some(behaviour), Value::Map(entries)) = (&behaviour, &tree.value) {
        let at = |name: &str| entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value.at);
        contradictions(behaviour, at, fields.problems());
    }
    if behaviour.is_some() {
        fields.finish();
    }
    behaviour
}

fn udp(tree: &Tree, problems: &mut Vec<Problem>) -> Option<UdpBehaviour> {
    let mut fields = Fields::of(tree, "a NAT's 'udp'", problems);
    let mapping =
        fields.required("mapping").and_then(|tree| fields.word(tree, "a mapping behaviour", MAPPING));
    let filtering =
        fields.required("filtering").and_then(|tree| fields.word(tree, "a filtering behaviour", FILTERING));
    let timeout = fields.timeout_or("timeout", UDP_TIMEOUT);
    let refresh = fields.word_or("refresh", "who refreshes a mapping", REFRESH, Refresh::Both);
    fields.finish();
    Some(UdpBehaviour { mapping: mapping?, filtering: filtering?, timeout, refresh })
}

/// TCP maps and filters as UDP does where the profile says nothing else.
fn tcp(tree: Option<&Tree>, udp: Option<UdpBehaviour>, problems: &mut Vec<Problem>) -> Option<TcpBehaviour> {
    let Some(tree) = tree else {
        return udp.map(|udp| TcpBehaviour {
            mapping: udp.mapping,
            filtering: udp.filtering,
            established: TCP_ESTABLISHED,
            transitory: TCP_TRANSITORY,
        });
    };
    let mut fields = Fields::of(tree, "a NAT's 'tcp'", problems);
    let mapping = fields
        .take("mapping")
        .map_or(udp.map(|udp| udp.mapping), |tree| fields.word(tree, "a mapping behaviour", MAPPING));
    let filtering = fields
        .take("filtering")
        .map_or(udp.map(|udp| udp.filtering), |tree| fields.word(tree, "a filtering behaviour", FILTERING));
    let established = fields.timeout_or("established", TCP_ESTABLISHED);
    let transitory = fields.timeout_or("transitory", TCP_TRANSITORY.min(established));
    fields.finish();
    if transitory > established {
        problems.push(
            Problem::new(
                tree.at,
                format!(
                    "a NAT's 'tcp': transitory ({transitory}) is longer than established ({established})"
                ),
            )
            .mend(
                "a connection that is open idles at least as long as one that opens or closes: swap the two",
            ),
        );
    }
    Some(TcpBehaviour { mapping: mapping?, filtering: filtering?, established, transitory })
}

fn forwards(fields: &mut Fields<'_, '_>) -> Vec<Forward> {
    let Some(tree) = fields.take("forwards") else { return Vec::new() };
    let Value::List(items) = &tree.value else {
        return fields
            .wrong(tree, "a list of port forwardings", "write '- { protocol: tcp, outside: 80, to: 2 }'")
            .unwrap_or_default();
    };
    items.iter().filter_map(|item| forward(item, fields.problems())).collect()
}

fn forward(tree: &Tree, problems: &mut Vec<Problem>) -> Option<Forward> {
    let mut fields = Fields::of(tree, "a port forwarding", problems);
    let protocol =
        fields.word_or("protocol", "the protocol of a port forwarding", FORWARDED, Forwarded::Both);
    let outside = fields.required("outside").and_then(|tree| fields.ports(tree));
    let to = fields.required("to").and_then(|tree| inside_host(&mut fields, tree));
    let port_tree = fields.take("port");
    let port = port_tree.map(|tree| fields.ports(tree).map(PortRange::first));
    fields.finish();
    let (outside, to) = (outside?, to?);
    let port = match port {
        None => outside.first(),
        Some(port) => port?,
    };
    if u32::from(port) + outside.count() - 1 > u32::from(u16::MAX) {
        let tree = port_tree.unwrap_or(tree);
        problems.push(
            Problem::new(
                tree.at,
                format!("a port forwarding of {} ports from {port} on ends above 65535", outside.count()),
            )
            .mend("begin lower, or forward fewer ports"),
        );
        return None;
    }
    Some(Forward { protocol, outside, to, port })
}

fn inside_host(fields: &mut Fields<'_, '_>, tree: &Tree) -> Option<InsideHost> {
    let host = match &tree.value {
        Value::Whole(number) => {
            u32::try_from(*number).ok().filter(|number| *number > 0).map(InsideHost::Number)
        }
        Value::Text(text) => text.parse::<Ipv4Addr>().ok().map(InsideHost::Address),
        _ => None,
    };
    match host {
        Some(host) => Some(host),
        None => fields.wrong(
            tree,
            "an inside host",
            "write its number in the site's subnet (2 is 192.168.1.2 in 192.168.1.0/24) or its address",
        ),
    }
}

/// Values that are each right and cannot be together.
fn contradictions(
    nat: &NatBehaviour,
    at: impl Fn(&str) -> Option<crate::topology::problem::Mark>,
    problems: &mut Vec<Problem>,
) {
    if nat.allocation == PortAllocation::ParityPreserving && nat.ports.count() < 2 {
        problems.push(
            Problem::new(
                at("ports").unwrap_or_default(),
                format!("one port ({}) cannot keep the parity", nat.ports),
            )
            .mend("give an even and an odd port at least, or allocate another way"),
        );
    }
    for (index, forward) in nat.forwards.iter().enumerate() {
        for other in &nat.forwards[..index] {
            let protocols = forward.protocol == other.protocol
                || forward.protocol == Forwarded::Both
                || other.protocol == Forwarded::Both;
            let ports = forward.outside.first() <= other.outside.last()
                && other.outside.first() <= forward.outside.last();
            if protocols && ports {
                problems.push(
                    Problem::new(
                        at("forwards").unwrap_or_default(),
                        format!(
                            "the outside ports {} and {} are forwarded twice",
                            other.outside, forward.outside
                        ),
                    )
                    .mend("forward each port to one host"),
                );
            }
        }
    }
}
