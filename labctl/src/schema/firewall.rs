//! Schema of firewall profiles, and of a firewall's rules in a topology.

use serde_json::{Value, json};

use super::document;
use super::forms::{ADDRESS, block, described, line, ports, some, words};
use super::nat::about;
use crate::profile::firewall::{Chain, ConnectionState, ICMP_TYPES, Policy, Protocol, Reject, Side};
use crate::profile::read::firewall::ACTIONS;

/// A firewall profile.
pub(super) fn file() -> Value {
    let mut properties = about();
    let rules = rules();
    for key in ["policy", "rules"] {
        properties[key] = rules["properties"][key].clone();
    }
    let root = block(properties, &["title", "policy"]);
    let about = "What a gateway's firewall does, in the words of iptables.";
    document("labctl firewall profile", about, root, &[])
}

/// The words of a thing, as the reader has them. It takes any case.
fn list<T>(of: &[(&'static str, T)], description: &str) -> Value {
    words(of.iter().map(|(word, _)| *word), description)
}

/// Policies and rules.
pub(super) fn rules() -> Value {
    let policy = |packets| list(Policy::WORDS, &format!("what happens to {packets} that no rule decides on"));
    let policies = block(
        json!({
            "INPUT": policy("packets for the gateway"),
            "FORWARD": policy("packets through it"),
            "OUTPUT": policy("its own packets"),
        }),
        &["FORWARD"],
    );
    let rules = block(
        json!({
            "policy": described(policies, "what happens at the end of a chain; left out of it: ACCEPT"),
            "rules": {
                "type": "array",
                "items": rule(),
                "description": "tried in this order; the first that matches decides",
            },
        }),
        &["policy"],
    );
    described(rules, "what a firewall does")
}

fn rule() -> Value {
    let network = |which| {
        let pattern = format!("^{ADDRESS}(/([0-9]|[12][0-9]|3[0-2]))?$");
        json!({ "type": "string", "pattern": pattern, "description": format!("{which}: an IPv4 address or network") })
    };
    let port = ports("a port or a range");
    let state = list(ConnectionState::WORDS, "what connection tracking thinks of a packet");
    let mut rule = block(
        json!({
            "chain": list(Chain::WORDS, "the chain that it is in"),
            "in": list(Side::WORDS, "the side that packets come in on"),
            "out": list(Side::WORDS, "the side that they leave on"),
            "protocol": list(Protocol::WORDS, "their protocol"),
            "source": network("where they come from"),
            "destination": network("where they go to"),
            "sport": some(&port, "source ports"),
            "dport": some(&port, "destination ports"),
            "icmp-type": words(ICMP_TYPES.iter().copied(), "ICMP type"),
            "state": some(&state, "what connection tracking thinks of them"),
            "action": list(ACTIONS, "what happens to them"),
            "reject-with": list(Reject::WORDS, "what the sender hears; left out: icmp-port-unreachable"),
            "comment": line("why, for people"),
        }),
        &["chain", "action"],
    );
    let with_protocol = |protocols: Value| json!({ "properties": { "protocol": { "enum": protocols } }, "required": ["protocol"] });
    rule["dependentSchemas"] = json!({
        "sport": with_protocol(json!(["tcp", "udp"])),
        "dport": with_protocol(json!(["tcp", "udp"])),
        "icmp-type": with_protocol(json!(["icmp"])),
        "reject-with": { "properties": { "action": { "const": "REJECT" } } },
        "in": { "not": { "properties": { "chain": { "const": "OUTPUT" } } } },
        "out": { "not": { "properties": { "chain": { "const": "INPUT" } } } },
    });
    rule["if"] =
        json!({ "properties": { "reject-with": { "const": "tcp-reset" } }, "required": ["reject-with"] });
    rule["then"] = with_protocol(json!(["tcp"]));
    described(rule, "a rule")
}
