//! Policies and rules of a firewall.

use std::net::Ipv4Addr;

use super::{About, Fields};
use crate::profile::firewall::{
    Action, Chain, ConnectionState, FirewallProfile, ICMP_TYPES, PacketMatch, Policy, Ports, Protocol,
    Reject, Rule, Side,
};
use crate::topology::Subnet;
use crate::topology::document::{Tree, Value};
use crate::topology::problem::{Problem, did_you_mean};

/// The action of a rule before the answer of a REJECT is known.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ActionWord {
    Accept,
    Drop,
    Reject,
}

pub(crate) const ACTIONS: &[(&str, ActionWord)] =
    &[("ACCEPT", ActionWord::Accept), ("DROP", ActionWord::Drop), ("REJECT", ActionWord::Reject)];

/// The `policy:` and `rules:` of a firewall.
pub(super) fn profile(name: &str, about: About, fields: &mut Fields<'_, '_>) -> FirewallProfile {
    let policy = fields.required("policy");
    let [input, forward, output] = policies(policy, fields.problems());
    let rules = match fields.take("rules") {
        None => Vec::new(),
        Some(tree) => match &tree.value {
            Value::List(items) => items.iter().filter_map(|item| rule(item, fields.problems())).collect(),
            _ => fields
                .wrong(
                    tree,
                    "a list of rules",
                    "write '- { chain: FORWARD, ..., action: ACCEPT }', one a line",
                )
                .unwrap_or_default(),
        },
    };
    FirewallProfile {
        name: name.to_owned(),
        title: about.title,
        description: about.description,
        references: about.references,
        input,
        forward,
        output,
        rules,
    }
}

fn policies(tree: Option<&Tree>, problems: &mut Vec<Problem>) -> [Policy; 3] {
    let Some(tree) = tree else { return [Policy::Accept; 3] };
    let mut fields = Fields::of(tree, "a firewall's 'policy'", problems);
    let forward = fields.required(Chain::Forward.word());
    let forward =
        forward.and_then(|tree| fields.word(tree, Policy::WHAT, Policy::WORDS)).unwrap_or(Policy::Accept);
    let input = fields.word_or(Chain::Input.word(), Policy::WHAT, Policy::WORDS, Policy::Accept);
    let output = fields.word_or(Chain::Output.word(), Policy::WHAT, Policy::WORDS, Policy::Accept);
    fields.finish();
    [input, forward, output]
}

fn rule(tree: &Tree, problems: &mut Vec<Problem>) -> Option<Rule> {
    let before = problems.len();
    let mut fields = Fields::of(tree, "a firewall rule", problems);
    let chain = fields.required("chain").and_then(|tree| fields.word(tree, Chain::WHAT, Chain::WORDS));
    let packets = PacketMatch {
        input: fields.take("in").and_then(|tree| fields.word(tree, Side::WHAT, Side::WORDS)),
        output: fields.take("out").and_then(|tree| fields.word(tree, Side::WHAT, Side::WORDS)),
        protocol: fields.take("protocol").and_then(|tree| fields.word(tree, Protocol::WHAT, Protocol::WORDS)),
        source: fields.take("source").and_then(|tree| network(&mut fields, tree)),
        destination: fields.take("destination").and_then(|tree| network(&mut fields, tree)),
        source_ports: fields.take("sport").map(|tree| ports(&mut fields, tree)).unwrap_or_default(),
        destination_ports: fields.take("dport").map(|tree| ports(&mut fields, tree)).unwrap_or_default(),
        icmp_type: fields.take("icmp-type").and_then(|tree| icmp_type(&mut fields, tree)),
        states: fields.take("state").map(|tree| states(&mut fields, tree)).unwrap_or_default(),
    };
    let action = fields.required("action").and_then(|tree| fields.word(tree, "an action", ACTIONS));
    let answer = fields.take("reject-with").and_then(|tree| fields.word(tree, Reject::WHAT, Reject::WORDS));
    let comment = fields.optional("comment", "a line of text", Fields::text);
    fields.finish();
    let action = match action? {
        ActionWord::Accept => Action::Accept,
        ActionWord::Drop => Action::Drop,
        ActionWord::Reject => Action::Reject(answer.unwrap_or(Reject::PortUnreachable)),
    };
    let rule = Rule { chain: chain?, packets, action, comment };
    if problems.len() == before {
        contradictions(&rule, answer.is_some(), tree, problems);
    }
    Some(rule)
}

/// Matches that iptables refuses together, or that no packet has.
fn contradictions(rule: &Rule, answer: bool, tree: &Tree, problems: &mut Vec<Problem>) {
    let packets = &rule.packets;
    let mut wrong = |message: &str, mend: &str| {
        problems.push(Problem::new(tree.at, format!("a firewall rule: {message}")).mend(mend));
    };
    let has_ports = matches!(packets.protocol, Some(Protocol::Tcp | Protocol::Udp));
    let names_ports =
        !packets.source_ports.ranges().is_empty() || !packets.destination_ports.ranges().is_empty();
    if names_ports && !has_ports {
        wrong("ports without a protocol that has ports", "add 'protocol: tcp' or 'protocol: udp'");
    }
    if packets.icmp_type.is_some() && packets.protocol != Some(Protocol::Icmp) {
        wrong("an ICMP type without ICMP", "add 'protocol: icmp'");
    }
    if rule.chain == Chain::Input && packets.output.is_some() {
        wrong("packets in INPUT leave on no side", "remove 'out', or use the chain FORWARD");
    }
    if rule.chain == Chain::Output && packets.input.is_some() {
        wrong("packets in OUTPUT come in on no side", "remove 'in', or use the chain FORWARD");
    }
    if rule.action == Action::Reject(Reject::TcpReset) && packets.protocol != Some(Protocol::Tcp) {
        wrong("a TCP reset for what is not TCP", "add 'protocol: tcp', or answer with an ICMP error");
    }
    if answer && !matches!(rule.action, Action::Reject(_)) {
        wrong("an answer without REJECT", "use 'action: REJECT', or remove 'reject-with'");
    }
}

fn ports(fields: &mut Fields<'_, '_>, tree: &Tree) -> Ports {
    let ranges: Vec<_> = match &tree.value {
        Value::List(items) => items.iter().filter_map(|item| fields.ports(item)).collect(),
        _ => fields.ports(tree).into_iter().collect(),
    };
    let used: usize = ranges.iter().map(|range| if range.count() == 1 { 1 } else { 2 }).sum();
    if used > Ports::LIMIT {
        let _: Option<()> = fields.wrong(
            tree,
            "15 ports at most, where a range counts as two",
            "write several rules with fewer ports each",
        );
    }
    Ports(ranges)
}

fn states(fields: &mut Fields<'_, '_>, tree: &Tree) -> Vec<ConnectionState> {
    let mut state = |tree| fields.word(tree, ConnectionState::WHAT, ConnectionState::WORDS);
    match &tree.value {
        Value::List(items) => items.iter().filter_map(state).collect(),
        _ => state(tree).into_iter().collect(),
    }
}

fn icmp_type(fields: &mut Fields<'_, '_>, tree: &Tree) -> Option<String> {
    let Value::Text(found) = &tree.value else {
        return fields.wrong(tree, "an ICMP type", format!("one of: {}", ICMP_TYPES.join(", ")));
    };
    if ICMP_TYPES.contains(&found.as_str()) {
        Some(found.clone())
    } else {
        let mend = did_you_mean(found, ICMP_TYPES.iter().copied());
        fields.wrong(tree, "an ICMP type", mend)
    }
}

fn network(fields: &mut Fields<'_, '_>, tree: &Tree) -> Option<Subnet> {
    const EXPECTED: &str = "an IPv4 address or network";
    let Value::Text(text) = &tree.value else {
        return fields.wrong(tree, EXPECTED, "write 198.18.0.1 or 198.18.0.0/24");
    };
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let network =
        address.parse::<Ipv4Addr>().ok().zip(prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 32));
    let Some((address, prefix)) = network else {
        return fields.wrong(tree, EXPECTED, "write 198.18.0.1 or 198.18.0.0/24");
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let network = Ipv4Addr::from(u32::from(address) & mask);
    if network == address {
        Some(Subnet { network, prefix })
    } else {
        fields.wrong(tree, EXPECTED, format!("the network of that size is {network}/{prefix}"))
    }
}
