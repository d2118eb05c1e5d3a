//! A firewall as the text that `iptables-restore` takes.

use std::fmt::Write as _;

use super::GatewayContext;
use crate::profile::firewall::{Action, Chain, FirewallProfile, PacketMatch, Policy, Ports, Rule, Side};
use crate::topology::Subnet;

/// The `filter` table; empty if it would let everything pass.
pub(super) fn restore(firewall: &FirewallProfile, gateway: &GatewayContext) -> String {
    let policies = [
        (Chain::Input, firewall.input),
        (Chain::Forward, firewall.forward),
        (Chain::Output, firewall.output),
    ];
    if firewall.rules.is_empty() && policies.iter().all(|(_, policy)| *policy == Policy::Accept) {
        return String::new();
    }
    let mut text = String::from("*filter\n");
    for (chain, policy) in policies {
        let _ = writeln!(text, ":{} {} [0:0]", chain.word(), policy.word());
    }
    for rule in &firewall.rules {
        let _ = writeln!(text, "{}", line(rule, gateway));
    }
    text.push_str("COMMIT\n");
    text
}

/// One rule as `-A CHAIN ...`.
fn line(rule: &Rule, gateway: &GatewayContext) -> String {
    let mut text = format!("-A {}", rule.chain.word());
    matches(&rule.packets, gateway, &mut text);
    if let Some(comment) = &rule.comment {
        let comment: String =
            comment.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
        let _ = write!(text, " -m comment --comment \"{comment}\"");
    }
    match rule.action {
        Action::Accept => text.push_str(" -j ACCEPT"),
        Action::Drop => text.push_str(" -j DROP"),
        Action::Reject(answer) => {
            let _ = write!(text, " -j REJECT --reject-with {}", answer.word());
        }
    }
    text
}

fn matches(packets: &PacketMatch, gateway: &GatewayContext, text: &mut String) {
    let interface = |side| match side {
        Side::Wan => &gateway.wan_interface,
        Side::Lan => &gateway.lan_interface,
    };
    let subnet = |subnet: Subnet| format!("{}/{}", subnet.network, subnet.prefix);
    let mut add = |option: &str, value: &str| {
        let _ = write!(text, " {option} {value}");
    };
    if let Some(side) = packets.input {
        add("-i", interface(side));
    }
    if let Some(side) = packets.output {
        add("-o", interface(side));
    }
    if let Some(source) = packets.source {
        add("-s", &subnet(source));
    }
    if let Some(destination) = packets.destination {
        add("-d", &subnet(destination));
    }
    if let Some(protocol) = packets.protocol {
        add("-p", protocol.word());
    }
    if let Some(icmp_type) = &packets.icmp_type {
        add("-m icmp --icmp-type", icmp_type);
    }
    if !packets.source_ports.ranges().is_empty() {
        add("-m multiport --sports", &ports(&packets.source_ports));
    }
    if !packets.destination_ports.ranges().is_empty() {
        add("-m multiport --dports", &ports(&packets.destination_ports));
    }
    if !packets.states.is_empty() {
        let states: Vec<_> = packets.states.iter().map(|state| state.word()).collect();
        add("-m conntrack --ctstate", &states.join(","));
    }
}

fn ports(ports: &Ports) -> String {
    let range = |range: &crate::profile::PortRange| match range.count() {
        1 => range.first().to_string(),
        _ => format!("{}:{}", range.first(), range.last()),
    };
    ports.ranges().iter().map(range).collect::<Vec<_>>().join(",")
}
