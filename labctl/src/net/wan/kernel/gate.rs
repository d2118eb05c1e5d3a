//! Who may pass the core: nobody without the engine, and then not what links that are down or partitions stop.
//!
//! The core's rules let pass what has a mark. The mark is given by a table that belongs to the engine's socket: the
//! kernel takes such a table away when its owner ends, however it ends, and then nothing passes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use nix::sys::socket::SockProtocol;

use super::request::mark;
use super::tree::Sides;
use crate::net::socket::{Answer, Socket};
use crate::net::wan::AttachmentId;
use crate::net::wire::{ACK, Attributes, Batch, CREATE};
use crate::plan::WanPlan;

/// The bit of the mark that says that there is an engine.
pub const MARK: u32 = 1;

/// `NFNL_SUBSYS_NFTABLES`, and the messages that begin and end what belongs together.
const SUBSYSTEM: u16 = 10 << 8;
const BEGIN: u16 = 16;
const END: u16 = 17;
/// `NFT_MSG_NEWTABLE`, `NFT_MSG_NEWCHAIN`, `NFT_MSG_NEWRULE`
const NEW_TABLE: u16 = SUBSYSTEM;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
/// `NFT_TABLE_F_OWNER`
const OWNED: u32 = 2;
const TABLE: &[u8] = b"labctl_gate\0";
const CHAIN: &[u8] = b"open\0";

/// The open gate: it is closed when this is dropped, or the process ends.
#[derive(Debug)]
pub struct Gate {
    _owner: Socket,
}

impl Gate {
    /// Opens the gate of the namespace that the calling thread is in.
    pub fn open() -> io::Result<Self> {
        let mut owner = Socket::open(SockProtocol::NetlinkNetFilter)?;
        let Answer { refused, acknowledged, .. } = owner.ask(&messages())?;
        match refused.first() {
            Some(refusal) => Err(refusal.reason.into()),
            None if acknowledged => Ok(Self { _owner: owner }),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn messages() -> Batch {
    /// `NFPROTO_IPV4`, version 0, no resource.
    const IPV4: [u8; 4] = [2, 0, 0, 0];
    let bounds = [0, 0, 0, 10];
    let number = |number: u32| number.to_be_bytes();
    let mut table = Attributes::default();
    table.put(1, TABLE).put(2, &number(OWNED));
    // At `prerouting`, before all others.
    let mut chain = Attributes::default();
    chain.put(1, TABLE).put(3, CHAIN).put(7, b"filter\0");
    chain.nest(4, |hook| _ = hook.put(1, &number(0)).put(2, &(-400_i32).to_be_bytes()));
    // `immediate` into register 1, from there into the mark.
    let mut rule = Attributes::default();
    rule.put(1, TABLE).put(2, CHAIN).nest(4, |list| {
        let mut expression = |name: &[u8], data: &dyn Fn(&mut Attributes)| {
            list.nest(1, |inside| _ = inside.put(1, name).nest(2, data));
        };
        expression(b"immediate\0", &|data| {
            data.put(1, &number(1)).nest(2, |value| _ = value.put(1, &MARK.to_ne_bytes()));
        });
        // NFT_META_MARK is 3; NFTA_META_SREG is 3, too.
        expression(b"meta\0", &|data| _ = data.put(2, &number(3)).put(3, &number(1)));
    });
    let mut batch = Batch::default();
    batch.push(BEGIN, 0, &bounds, &[]);
    batch.push(NEW_TABLE, CREATE, &IPV4, table.bytes());
    batch.push(NEW_CHAIN, CREATE, &IPV4, chain.bytes());
    // NLM_F_APPEND
    batch.push(NEW_RULE, CREATE | 0x800 | ACK, &IPV4, rule.bytes());
    batch.push(END, 0, &bounds, &[]);
    batch
}

/// What is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Links that are down.
    pub down: Vec<AttachmentId>,
    /// The partitions, each as the sides of attachments.
    pub partitions: Vec<Vec<Vec<AttachmentId>>>,
}

fn interface(id: AttachmentId) -> u32 {
    id.interface().map_or(0, |index| index.0)
}

/// The name of a counter: of what, and of whose packets.
#[must_use]
pub fn counter(of: &str, id: AttachmentId) -> String {
    format!("{of}_{}", interface(id))
}

/// The ruleset of a WAN for `nft -f`: which group a packet is of, where that matters, and what is stopped. Pure.
#[must_use]
pub fn rules(plan: &WanPlan, stops: &Stops) -> String {
    let mut text = "table ip labctl\ndelete table ip labctl\ntable ip labctl {\n".to_owned();
    let mut rules = String::new();
    let mut counters = BTreeSet::new();
    for &id in &stops.down {
        let name = counter("link_down", id);
        let at = interface(id);
        for way in ["iif", "oif"] {
            // Writing into a text does not fail.
            let _ = writeln!(rules, "\t\tmeta {way} {at} counter name \"{name}\" drop");
        }
        counters.insert(name);
    }
    for sides in &stops.partitions {
        for (number, side) in sides.iter().enumerate() {
            let others = sides.iter().enumerate().filter(|(other, _)| *other != number);
            let others: Vec<String> =
                others.flat_map(|(_, other)| other).map(|id| interface(*id).to_string()).collect();
            if others.is_empty() {
                continue;
            }
            for &id in side {
                let name = counter("partition", id);
                let (from, others) = (interface(id), others.join(", "));
                let _ = writeln!(
                    rules,
                    "\t\tmeta iif {from} meta oif {{ {others} }} counter name \"{name}\" drop"
                );
                counters.insert(name);
            }
        }
    }
    for name in &counters {
        let _ = writeln!(text, "\tcounter {name} {{ }}");
    }
    let sides = Sides::of(plan);
    let several = plan.attachments.iter().any(|to| sides.classes(plan, to).len() > 1);
    if several {
        let of = |(number, _)| {
            let interface = interface(AttachmentId(number));
            format!("{interface} : {:#x}", mark(sides.group(plan, number)) | MARK)
        };
        let groups: Vec<String> = plan.attachments.iter().enumerate().map(of).collect();
        let _ = write!(
            text,
            "\tchain groups {{\n\t\ttype filter hook prerouting priority 10\n\
             \t\tmeta mark {MARK:#x} meta mark set meta iif map {{ {} }}\n\t}}\n",
            groups.join(", ")
        );
    }
    let _ = write!(text, "\tchain stops {{\n\t\ttype filter hook forward priority -10\n{rules}\t}}\n}}\n");
    text
}
