//! Rules that the kernel is told directly are those that `nft` and `iptables-restore` make of the text.
//!
//! Needs root, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod net_common;

use std::net::Ipv4Addr;

use labctl::net::NetNs;
use labctl::net::ruleset::{Program, Rules, Way, apply, apply_first};
use labctl::profile::{Catalogue, GatewayContext, gateway_rules};
use net_common::{Namespaces, text};

/// Every match and every action that a firewall's policy form can have.
const FIREWALL: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lan -p icmp -m icmp --icmp-type echo-request -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment \"answers\" -j ACCEPT
-A FORWARD -i lan -o wan -s 192.168.1.0/24 -d 198.18.0.0/15 -p udp -m multiport --dports 53,3478:3479 -j ACCEPT
-A FORWARD -i wan -p udp -m multiport --sports 53 -m conntrack --ctstate NEW -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -p tcp -m multiport --dports 25,110 -j REJECT --reject-with tcp-reset
-A FORWARD -p gre -j DROP
COMMIT
";

fn outside(gateway: u8, count: u8) -> Vec<Ipv4Addr> {
    (0..count).map(|number| Ipv4Addr::new(198, 18, 10 + gateway, 2 + number)).collect()
}

/// What is in force, in the words of the programs.
fn in_force(namespace: &NetNs) -> String {
    let iptables = text(namespace, "iptables-save", &[]);
    // It begins and ends with the time of day.
    let iptables: Vec<&str> = iptables.lines().filter(|line| !line.starts_with('#')).collect();
    format!("{}\n{}", text(namespace, "nft", &["list", "ruleset"]), iptables.join("\n"))
}

/// Gives the rules to gateways one after another, and to one more by the programs alone. Returns the way
/// that each of the former has got them.
async fn compare(what: &str, count: u8, rules: impl Fn(&[Ipv4Addr]) -> (String, String)) -> Vec<Way> {
    let prefix = format!("scrules{}{}", std::process::id(), what.replace(' ', ""));
    let mut ways = Vec::new();
    for gateway in 0..4 {
        let name = |kind: &str| format!("{prefix}{kind}{gateway}");
        let _namespaces = Namespaces(vec![name("a"), name("b")]);
        let (one, other) = (NetNs::create(&name("a")).unwrap(), NetNs::create(&name("b")).unwrap());
        let outside = outside(gateway, count);
        let (nft, iptables) = rules(&outside);
        ways.push(
            apply_first(&one, Rules { nft: &nft, iptables: &iptables, outside: &outside }).await.unwrap(),
        );
        apply(&other, Program::Nft, &nft).await.unwrap();
        apply(&other, Program::IptablesRestore, &iptables).await.unwrap();
        assert_eq!(in_force(&one), in_force(&other), "{what}, gateway {gateway}");
    }
    ways
}

fn context(outside: &[Ipv4Addr]) -> GatewayContext {
    GatewayContext {
        wan_interface: "wan".to_owned(),
        lan_interface: "lan".to_owned(),
        outside: outside.to_vec(),
        inside: "192.168.1.0/24".parse().unwrap(),
    }
}

const LEARNED: [Way; 4] = [Way::Programs, Way::Programs, Way::Messages, Way::Messages];

#[tokio::test]
async fn every_shipped_nat_is_the_same_both_ways() {
    let catalogue = Catalogue::shipped();
    let open = catalogue.firewall("open").unwrap();
    for name in catalogue.nat_names() {
        let nat = catalogue.nat(name).unwrap();
        for count in [1, 3] {
            let ways = compare(name, count, |outside| {
                let rules = gateway_rules(nat, open, &context(outside));
                (rules.nft, rules.iptables)
            });
            let ways = ways.await;
            let expected =
                if nat.behaviour.is_some() { LEARNED } else { [ways[0], ways[1], ways[2], ways[3]] };
            assert_eq!(ways, expected, "{name} with {count} outside addresses");
        }
    }
}

#[tokio::test]
async fn every_shipped_firewall_is_the_same_both_ways_beside_a_nat() {
    let catalogue = Catalogue::shipped();
    let nat = catalogue.nat("port-restricted").unwrap();
    for name in catalogue.firewall_names().filter(|name| *name != "open") {
        let firewall = catalogue.firewall(name).unwrap();
        let ways = compare(name, 1, |outside| {
            let rules = gateway_rules(nat, firewall, &context(outside));
            (rules.nft, rules.iptables)
        });
        assert_eq!(ways.await, LEARNED, "{name}");
    }
}

#[tokio::test]
async fn all_that_a_policy_can_say_is_the_same_both_ways() {
    assert_eq!(compare("policy", 1, |_| (String::new(), FIREWALL.to_owned())).await, LEARNED);
}

/// An address that the kernel holds in another form (as the end of an interval) is not in its place in the
/// messages: then the programs do it.
#[tokio::test]
async fn rules_that_cannot_be_learned_are_applied_by_the_programs() {
    let ways = compare("interval", 1, |outside| {
        let nft = format!(
            "table ip t {{\n set s {{\n type ipv4_addr\n flags interval\n elements = {{ 198.18.0.1-{} }}\n }}\n}}\n",
            outside[0]
        );
        (nft, String::new())
    });
    assert_eq!(ways.await, [Way::Programs; 4]);
}
