//! Schema of NAT profiles, and of a NAT's behaviour in a topology.

use serde_json::{Value, json};

use super::forms::{ADDRESS, block, described, idle, line, ports, some, words};
use super::{document, refer};
use crate::profile::read::nat as reader;

/// A NAT profile.
pub(super) fn file() -> Value {
    let behaviour = json!({
        "anyOf": [{ "const": "none" }, refer("behaviour")],
        "description": "what it does; none: it routes and translates nothing",
    });
    let mut properties = about();
    properties["behaviour"] = behaviour;
    let root = block(properties, &["title", "behaviour"]);
    let definitions = [("behaviour", self::behaviour()), ("inside-host", inside_host())];
    let about = "What a gateway's NAT does, in the terms of RFC 4787, RFC 5382 and RFC 5508.";
    document("labctl NAT profile", about, root, &definitions)
}

/// What every profile says about itself.
pub(super) fn about() -> Value {
    json!({
        "title": line("one line for people"),
        "description": line("where it is met and what it does to hole punching"),
        "references": some(&line("a reference"), "RFC sections and published pages"),
    })
}

/// The first of the words for a thing, and the rest, as the reader has them. It takes any case.
fn list<T>(of: &[(&'static str, T)], description: &str) -> Value {
    words(of.iter().map(|(word, _)| *word), description)
}

/// A NAT's behaviour.
pub(super) fn behaviour() -> Value {
    let mapping = list(reader::MAPPING, "which packets of an inside endpoint share an outside endpoint");
    let filtering = list(reader::FILTERING, "who outside may send to it");
    let udp = block(
        json!({
            "mapping": mapping,
            "filtering": filtering,
            "timeout": idle("how long a mapping lives unused; left out: 5m"),
            "refresh": list(reader::REFRESH, "which packets keep it alive; left out: both"),
        }),
        &["mapping", "filtering"],
    );
    let tcp = block(
        json!({
            "mapping": mapping,
            "filtering": filtering,
            "established": idle("how long an established connection may idle; left out: 2h4m"),
            "transitory": idle("how long a connection that opens or closes may idle; left out: 4m"),
        }),
        &[],
    );
    let behaviour = block(
        json!({
            "udp": described(udp, "UDP (RFC 4787)"),
            "tcp": described(tcp, "TCP (RFC 5382); left out: as UDP"),
            "allocation": list(reader::ALLOCATION, "how a mapping gets its port; left out: preserving"),
            "ports": ports("outside ports that mappings use; left out: 1024-65535"),
            "pooling": list(reader::POOLING, "how a mapping gets its outside address; left out: paired"),
            "hairpin": list(reader::HAIRPIN, "packets from inside to an outside address; left out: off"),
            "icmp-errors": list(reader::ICMP_ERRORS, "ICMP errors about translated packets; left out: translate"),
            "fragments": list(reader::FRAGMENTS, "fragments; left out: reassemble"),
            "forwards": {
                "type": "array",
                "items": forward(),
                "description": "outside ports that lead to an inside host",
            },
            "dmz": refer("inside-host"),
        }),
        &["udp"],
    );
    described(behaviour, "what a NAT does")
}

fn forward() -> Value {
    let forward = block(
        json!({
            "protocol": list(reader::FORWARDED, "left out: both"),
            "outside": ports("ports at every outside address"),
            "to": refer("inside-host"),
            "port": ports("the host's port for the first of them; left out: the same"),
        }),
        &["outside", "to"],
    );
    described(forward, "a port forwarding")
}

/// A host of the site that the NAT is of.
pub(super) fn inside_host() -> Value {
    json!({
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": u32::MAX },
            { "type": "string", "pattern": format!("^{ADDRESS}$") },
        ],
        "description": "a host inside: its number in the site's subnet (2 is 192.168.1.2 in 192.168.1.0/24), or its address",
    })
}
