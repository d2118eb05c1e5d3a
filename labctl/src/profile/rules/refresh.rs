//! What a packet that has been translated says about its mapping: that it is there, and in use.

use std::fmt::Write as _;

use super::transport::Transport;
use crate::profile::behaviour::{Lifetime, Mapping, Refresh, Timeout};

/// An end of a mapping as rules see it at the end of `postrouting`.
struct Ends<'a> {
    /// Inside endpoint.
    inside: &'a str,
    /// Outside endpoint.
    outside: &'a str,
    /// The peer's address and port.
    peer: (&'a str, &'a str),
    /// Whether the packet speaks for the mapping in `<protocol>_inside`.
    mapping: bool,
}

/// The chains `<protocol>_sent` and, where packets from outside refresh, `<protocol>_received`.
pub(super) fn chains(transport: &Transport) -> String {
    let p = transport.word;
    let eim = transport.mapping == Mapping::EndpointIndependent;
    let shown = (format!("ip saddr . {p} sport"), format!("ip daddr . {p} dport"));
    let (address, port) = ("ip saddr".to_owned(), format!("{p} sport"));

    let mut text = String::new();
    let _ = writeln!(text, "\tchain {p}_sent {{");
    text += &direction(
        transport,
        "ct direction original",
        &Ends {
            inside: "ct original ip saddr . ct original proto-src",
            outside: &shown.0,
            peer: ("ct original ip daddr", "ct original proto-dst"),
            mapping: true,
        },
    );
    // A connection that was opened from outside.
    text += &direction(
        transport,
        "ct direction reply",
        &Ends {
            inside: "ct reply ip saddr . ct reply proto-src",
            outside: &shown.0,
            peer: ("ct reply ip daddr", "ct reply proto-dst"),
            mapping: eim,
        },
    );
    // No room for the mapping: what cannot be remembered must not be sent.
    text.push_str("\t\tcounter name no_port drop\n\t}\n\n");

    if transport.refresh == Refresh::Both {
        let _ = writeln!(text, "\tchain {p}_received {{");
        text += &direction(
            transport,
            "ct direction original",
            &Ends {
                inside: &shown.1,
                outside: "ct original ip daddr . ct original proto-dst",
                peer: (&address, &port),
                mapping: eim,
            },
        );
        text += &direction(
            transport,
            "ct direction reply",
            &Ends {
                inside: &shown.1,
                outside: "ct reply ip daddr . ct reply proto-dst",
                peer: (&address, &port),
                mapping: true,
            },
        );
        text.push_str("\t}\n\n");
    }
    text
}

/// The rules for packets of one direction of a connection.
fn direction(transport: &Transport, direction: &str, ends: &Ends<'_>) -> String {
    let p = transport.word;
    let mut text = String::new();
    let mut rule = |condition: &str, statement: &str, timeout: Timeout| {
        let written = write_down(transport, ends, statement, timeout);
        let _ = writeln!(text, "\t\tmeta l4proto {p} {direction} {condition}{written} return");
    };
    match transport.lifetime {
        Lifetime::One(timeout) => rule("", "update", timeout),
        Lifetime::Established { transitory, established } => {
            // Connection tracking has just set the time that is left by the state of the connection.
            rule(&format!("ct expiration > {}s ", transitory.seconds()), "update", established);
            rule("tcp flags & (fin | rst) != 0 ", "update", transitory);
            // A connection that begins must not shorten what another one still needs.
            rule("", "add", transitory);
        }
    }
    text
}

fn write_down(transport: &Transport, ends: &Ends<'_>, statement: &str, timeout: Timeout) -> String {
    let p = transport.word;
    let seconds = timeout.seconds();
    let owned = transport.ownership(timeout);
    let Ends { inside, outside, peer, mapping } = ends;
    let mut text = format!("{statement} @{p}_outside {{ {outside} timeout {seconds}s : {inside} }}");
    if *mapping {
        let key = transport.inside_key(inside, peer.0, peer.1);
        let _ = write!(text, " {statement} @{p}_inside {{ {key} {owned} : {outside} }}");
    }
    if transport.rests() {
        let _ = write!(text, " {statement} @{p}_owned {{ {outside} {owned} }}");
    }
    if let Some(key) = transport.peer_key(inside, peer.0, peer.1) {
        let _ = write!(text, " {statement} @{p}_peers {{ {key} timeout {seconds}s }}");
    }
    text
}
