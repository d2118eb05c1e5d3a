//! What a packet that has been translated says about its mapping: that it is there, and in use.
//!
//! Writing that down for every packet would cost more than translating it. `<protocol>_sent_fresh` and
//! `<protocol>_received_fresh` hold, by the packet's addresses and ports, the flows of which it has just been
//! written down.

use std::fmt::Write as _;

use super::fast_path::WRITTEN_DOWN;
use super::nft::MARK;
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
    /// The way that the packet takes: `sent` or `received`.
    way: &'a str,
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
    for way in transport.refreshing_ways() {
        text += &noting(transport, way);
    }
    let _ = writeln!(text, "\tchain {p}_sent {{");
    text += &fresh(transport, "sent");
    if p == "udp" {
        // A checksum that was not computed has been made one by writing candidates, see `allocation`.
        let _ = writeln!(text, "\t\tmeta mark {MARK} udp checksum set 0");
    }
    text += &direction(
        transport,
        "ct direction original",
        &Ends {
            inside: "ct original ip saddr . ct original proto-src",
            outside: &shown.0,
            peer: ("ct original ip daddr", "ct original proto-dst"),
            way: "sent",
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
            way: "sent",
            mapping: eim,
        },
    );
    // No room for the mapping: what cannot be remembered must not be sent.
    text.push_str("\t\tcounter name no_port drop\n\t}\n\n");

    if transport.refresh == Refresh::Both {
        let _ = writeln!(text, "\tchain {p}_received {{");
        text += &fresh(transport, "received");
        text += &direction(
            transport,
            "ct direction original",
            &Ends {
                inside: &shown.1,
                outside: "ct original ip daddr . ct original proto-dst",
                peer: (&address, &port),
                way: "received",
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
                way: "received",
                mapping: true,
            },
        );
        text.push_str("\t}\n\n");
    }
    text
}

/// Packets of a flow of which everything has just been written down.
fn fresh(transport: &Transport, way: &str) -> String {
    let p = transport.word;
    let flow = flow(p);
    let unless_closing = match transport.lifetime {
        Lifetime::One(_) => "",
        Lifetime::Established { .. } => "tcp flags & (fin | rst) == 0 ",
    };
    format!("\t\t{unless_closing}{flow} @{p}_{way}_fresh return\n")
}

fn flow(p: &str) -> String {
    format!("ip saddr . {p} sport . ip daddr . {p} dport")
}

/// The chains that note, with a mark at the packet for `net/fast_path`, or forget, that a flow has been written down. They are chains of their own so that
/// a full set does not make it look as if the mapping could not be written down.
fn noting(transport: &Transport, way: &str) -> String {
    let p = transport.word;
    let flow = flow(p);
    let longest = match transport.lifetime {
        Lifetime::One(timeout) | Lifetime::Established { established: timeout, .. } => timeout,
    };
    let freshness = Transport::freshness(longest);
    let mut text = format!(
        "\tchain {p}_{way}_note {{\n\t\tadd @{p}_{way}_fresh {{ {flow} {freshness} }} meta mark set {WRITTEN_DOWN:#x}\n\t}}\n\n"
    );
    if matches!(transport.lifetime, Lifetime::Established { .. }) {
        let _ =
            writeln!(text, "\tchain {p}_{way}_forget {{\n\t\tdelete @{p}_{way}_fresh {{ {flow} }}\n\t}}\n");
    }
    text
}

/// The rules for packets of one direction of a connection.
fn direction(transport: &Transport, direction: &str, ends: &Ends<'_>) -> String {
    let p = transport.word;
    let way = ends.way;
    let mut text = String::new();
    let mut rule = |condition: &str, statement: &str, timeout: Timeout, then: &str| {
        let written = write_down(transport, ends, statement, timeout);
        let _ = writeln!(text, "\t\tmeta l4proto {p} {direction} {condition}{written} {then}");
    };
    let note = format!("goto {p}_{way}_note");
    match transport.lifetime {
        Lifetime::One(timeout) => rule("", "update", timeout, &note),
        Lifetime::Established { transitory, established } => {
            // First, because connection tracking takes a reset that it cannot place for one of somebody else, and the
            // connection for open. If it is, its next packet writes it down as such.
            let forget = format!("goto {p}_{way}_forget");
            rule("tcp flags & (fin | rst) != 0 ", "update", transitory, &forget);
            // Connection tracking has just set the time that is left by the state of the connection.
            let open = format!("ct expiration > {}s ", transitory.seconds());
            rule(&open, "update", established, &note);
            // A connection that begins must not shorten what another one still needs.
            rule("", "add", transitory, "return");
        }
    }
    text
}

fn write_down(transport: &Transport, ends: &Ends<'_>, statement: &str, timeout: Timeout) -> String {
    let p = transport.word;
    let life = Transport::life(timeout);
    let owned = transport.ownership(timeout);
    let Ends { inside, outside, peer, mapping, .. } = ends;
    let mut text = format!("{statement} @{p}_outside {{ {outside} {life} : {inside} }}");
    if *mapping {
        let key = transport.inside_key(inside, peer.0, peer.1);
        let _ = write!(text, " {statement} @{p}_inside {{ {key} {owned} : {outside} }}");
    }
    if transport.rests() {
        let _ = write!(text, " {statement} @{p}_owned {{ {outside} {owned} }}");
    }
    if let Some(key) = transport.peer_key(outside, peer.0, peer.1) {
        let _ = write!(text, " {statement} @{p}_peers {{ {key} {life} }}");
    }
    text
}
