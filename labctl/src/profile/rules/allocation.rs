//! How a new mapping gets its outside endpoint.
//!
//! nft cannot keep a number between two rules and use it as a port. So a candidate is written where a port
//! and an address can be: into the packet's own source, before `snat` gives it its final one (which also
//! mends the checksums, because each write is accounted for).
//!
//! Two packets can look for a port at the same time. A candidate is claimed by a set element with a limit
//! of one: the kernel makes one element, and one packet only finds the limit not yet reached. Which port
//! an inside endpoint has is decided by who adds it to `<protocol>_inside` first; both packets then use
//! what stands there.

use std::fmt::Write as _;

use super::GatewayContext;
use super::nft::MARK;
use super::transport::Transport;
use crate::profile::behaviour::{NatBehaviour, Pooling, PortAllocation, PortRange};

/// Random candidates that are tried before a new mapping is given up. With 9 of 10 ports taken, one of
/// 10^11 new mappings finds none.
const TRIES: u32 = 256;
/// Ranges up to this size are searched whole, too, so that the last free port is found.
const SWEPT: u32 = 256;

/// The chains by which a transport's first packet towards the outside gets its outside endpoint.
pub(super) fn chains(transport: &Transport, nat: &NatBehaviour, gateway: &GatewayContext) -> String {
    let p = transport.word;
    let key = transport.original_key();
    let address = address(nat.pooling, gateway);
    let mut text = String::new();

    let _ = writeln!(text, "\tchain {p}_translate {{");
    let _ = writeln!(text, "\t\tmeta l4proto {p} snat ip to {key} map @{p}_inside");
    if p == "udp" {
        // Writing the candidate makes a checksum of one that was not computed; see `refresh`.
        let _ = writeln!(text, "\t\tudp checksum 0 meta mark set {MARK}");
    }
    if nat.allocation == PortAllocation::Preserving {
        let _ = writeln!(text, "\t\t{p} sport {} {address} jump {p}_try", nat.ports);
    }
    let sequence = nat.allocation == PortAllocation::Sequential;
    let sweep = !sequence && nat.ports.count() <= SWEPT;
    // A sequence comes by every port once.
    let tries = if sequence { nat.ports.count().min(TRIES) } else { TRIES };
    let mut groups = repeat(&mut text, &format!("{p}_next"), tries);
    if sweep {
        groups += &repeat(&mut text, &format!("{p}_sweep"), nat.ports.count());
    }
    text.push_str("\t\tcounter name no_port drop\n\t}\n\n");
    text += &groups;

    candidate(&mut text, &format!("{p}_next"), p, nat.ports, sequence, &address);
    if sweep {
        candidate(&mut text, &format!("{p}_sweep"), p, nat.ports, true, &address);
    }

    let _ = writeln!(text, "\tchain {p}_try {{");
    if nat.allocation == PortAllocation::ParityPreserving {
        let _ = writeln!(text, "\t\t{p} sport and 1 == 0 ct original proto-src and 1 == 1 return");
        let _ = writeln!(text, "\t\t{p} sport and 1 == 1 ct original proto-src and 1 == 0 return");
    }
    let _ = writeln!(text, "\t\tip saddr . {p} sport @{p}_outside return");
    if transport.rests() {
        let _ = writeln!(text, "\t\tip saddr . {p} sport @{p}_owned return");
    }
    let _ = writeln!(
        text,
        "\t\tadd @{p}_claims {{ ip saddr . {p} sport limit rate over 1/hour burst 1 packets }} return"
    );
    let timeout = transport.ownership(transport.first_timeout());
    let _ =
        writeln!(text, "\t\tmeta l4proto {p} add @{p}_inside {{ {key} {timeout} : ip saddr . {p} sport }}");
    let _ = writeln!(text, "\t\tmeta l4proto {p} snat ip to {key} map @{p}_inside");
    text.push_str("\t}\n\n");
    text
}

/// Writes a candidate into the packet and tries it.
fn candidate(text: &mut String, chain: &str, p: &str, ports: PortRange, sequence: bool, address: &str) {
    let way = if sequence { "inc" } else { "random" };
    let _ = writeln!(text, "\tchain {chain} {{");
    // A generated number has 32 bits, so it takes the way over the address to the port.
    let _ = writeln!(text, "\t\tip saddr set numgen {way} mod {} offset {}", ports.count(), ports.first());
    let _ = writeln!(text, "\t\t{p} sport set @nh,112,16");
    let _ = writeln!(text, "\t\t{address}");
    let _ = writeln!(text, "\t\tgoto {p}_try");
    text.push_str("\t}\n\n");
}

/// Jumps to `chain` at least so many times; returns the chain by which it does so.
fn repeat(text: &mut String, chain: &str, times: u32) -> String {
    const GROUP: u32 = 16;
    for _ in 0..times.div_ceil(GROUP) {
        let _ = writeln!(text, "\t\tjump {chain}_{GROUP}");
    }
    let jumps = format!("\t\tjump {chain}\n").repeat(GROUP as usize);
    format!("\tchain {chain}_{GROUP} {{\n{jumps}\t}}\n\n")
}

/// `ip saddr set ...`: the outside address of a new mapping.
pub(super) fn address(pooling: Pooling, gateway: &GatewayContext) -> String {
    match gateway.outside.as_slice() {
        [only] => format!("ip saddr set {only}"),
        several => {
            let pool: Vec<_> =
                several.iter().enumerate().map(|(index, address)| format!("{index} : {address}")).collect();
            let choice = match pooling {
                Pooling::Paired => format!("jhash ct original ip saddr mod {}", several.len()),
                Pooling::Arbitrary => format!("numgen inc mod {}", several.len()),
            };
            format!("ip saddr set {choice} map {{ {} }}", pool.join(", "))
        }
    }
}
