//! Trees as messages to the kernel (`linux/pkt_sched.h`, `linux/pkt_cls.h`). Pure.
//!
//! Handles: `1:` is what stands first, `2:` tells groups apart, `10:` and up are netems, in the order of the classes.
//! Lengths are those of IP packets everywhere: a size table takes the Ethernet header off.

use netlink_packet_core::Emitable;
use nix::libc::{RTM_DELQDISC, RTM_NEWQDISC, RTM_NEWTCLASS, RTM_NEWTFILTER};

use super::table::table;
use super::tree::{Netem, Shape, Tree};
use crate::link::Loss;
use crate::net::link::InterfaceIndex;
use crate::net::netlink::Requests;
use crate::net::wan::model::CAPACITY;
use crate::net::wire::{Attributes, CREATE, EXCLUSIVE, REPLACE};

/// `RTM_NEWACTION`
const NEW_ACTION: u16 = 48;
/// `TC_H_ROOT`
const ROOT: u32 = 0xffff_ffff;
/// What stands first.
const FIRST: u32 = 1 << 16;
/// What tells groups apart, below a rate.
const SECOND: u32 = 2 << 16;
/// The first netem.
const NETEM: u32 = 0x10 << 16;
/// `TCA_KIND`, `TCA_OPTIONS`, `TCA_STAB`
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const SIZES: u16 = 8;
/// Bytes of an Ethernet header.
const ETHERNET: i32 = 14;
/// Bytes of a packet at most.
const PACKET: u32 = 1500;
/// `PSCHED_TICKS2NS`: a tick has so many nanoseconds.
const TICK: u128 = 64;
/// Faster than any packet: a rate that keeps the order of packets and takes no time.
const INSTANT: u64 = 1_000_000_000_000;
/// Bits of the mark that say which group a packet is of, from 1; below them is the gate's.
pub const GROUP_SHIFT: u32 = 8;
const GROUP_MASK: u32 = 0xffff << GROUP_SHIFT;
/// Numbers of policers, each of which belongs to one interface: far from what anybody else would take.
const POLICE: u32 = 0x6c00_0000;

/// The mark of a group's packets, without the gate's.
#[must_use]
pub fn mark(group: usize) -> u32 {
    u32::try_from(group + 1).unwrap_or(u32::MAX) << GROUP_SHIFT & GROUP_MASK
}

/// The requests that make trees, change them and take them away.
#[derive(Debug)]
pub struct Disciplines<'a> {
    requests: &'a mut Requests,
    interface: u32,
}

/// The messages as they are.
struct Raw<'a>(&'a [u8]);

impl Emitable for Raw<'_> {
    fn buffer_len(&self) -> usize {
        self.0.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self.0);
    }
}

/// What a message is about.
#[derive(Clone, Copy)]
struct About {
    handle: u32,
    parent: u32,
    info: u32,
}

const fn about(handle: u32, parent: u32) -> About {
    About { handle, parent, info: 0 }
}

impl<'a> Disciplines<'a> {
    /// Those of an interface.
    pub fn of(requests: &'a mut Requests, InterfaceIndex(interface): InterfaceIndex) -> Self {
        Self { requests, interface }
    }

    /// Takes away what there is. Refused if there is nothing.
    pub fn clear(&mut self) {
        self.send(RTM_DELQDISC, 0, about(0, ROOT), &Attributes::default(), "take the disciplines from");
    }

    /// Makes a tree where there is none.
    pub fn make(&mut self, tree: &Tree) {
        match tree {
            Tree::Nothing => {}
            Tree::Tbf(shape) => self.tbf(*shape, FIRST, ROOT, CREATE | EXCLUSIVE, true),
            Tree::One(netem, None) => self.netem(netem, FIRST, ROOT, CREATE | EXCLUSIVE, true),
            Tree::One(netem, Some(shape)) => {
                self.htb(FIRST, ROOT, true);
                self.class(FIRST, 1);
                self.netem(netem, NETEM, FIRST | 1, CREATE | EXCLUSIVE, false);
                self.police_all(*shape);
                self.change_police(*shape);
            }
            Tree::Classes(classes, shape) => {
                let parent = if let Some(shape) = shape {
                    // Each class has the rate; this is for all of them together, and holds nothing back that the
                    // classes let go one at a time.
                    self.tbf(*shape, FIRST, ROOT, CREATE | EXCLUSIVE, true);
                    FIRST | 1
                } else {
                    ROOT
                };
                self.htb(SECOND, parent, shape.is_none());
                for (number, class) in (1_u32..).zip(classes) {
                    self.class(SECOND, number);
                    let handle = NETEM + ((number - 1) << 16);
                    self.netem(&class.netem, handle, SECOND | number, CREATE | EXCLUSIVE, false);
                    for group in &class.groups {
                        self.group(*group, number, *shape);
                    }
                }
                if let Some(shape) = shape {
                    self.change_police(*shape);
                }
            }
        }
    }

    /// Changes a tree into one that is like it ([`Tree::is_like`]); what waits stays.
    pub fn change(&mut self, tree: &Tree) {
        match tree {
            Tree::Nothing => {}
            Tree::Tbf(shape) => self.tbf(*shape, FIRST, ROOT, REPLACE, true),
            Tree::One(netem, None) => self.netem(netem, FIRST, ROOT, REPLACE, true),
            Tree::One(netem, Some(shape)) => {
                self.netem(netem, NETEM, FIRST | 1, REPLACE, false);
                self.change_police(*shape);
            }
            Tree::Classes(classes, shape) => {
                if let Some(shape) = shape {
                    self.tbf(*shape, FIRST, ROOT, REPLACE, true);
                    self.change_police(*shape);
                }
                for (number, class) in (1_u32..).zip(classes) {
                    let handle = NETEM + ((number - 1) << 16);
                    self.netem(&class.netem, handle, SECOND | number, REPLACE, false);
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, about: About, attributes: &Attributes, doing: &str) {
        // struct tcmsg
        let mut message = vec![0; 4];
        message.extend(self.interface.to_ne_bytes());
        for number in [about.handle, about.parent, about.info] {
            message.extend(number.to_ne_bytes());
        }
        message.extend(attributes.bytes());
        self.requests.push(kind, flags, &Raw(&message), format!("{doing} interface {}", self.interface));
    }

    /// A discipline. `first`: nothing stands before it, so that it is the one that finds out lengths.
    fn discipline(&mut self, kind: &str, flags: u16, about: About, first: bool, options: &Attributes) {
        let mut attributes = Attributes::default();
        attributes.put(KIND, format!("{kind}\0").as_bytes());
        // `struct tc_sizespec` without a table: the overhead alone counts. A change without it would take it away.
        if first {
            let mut sizes = vec![0; 4];
            sizes.extend((-ETHERNET).to_ne_bytes());
            sizes.extend([0; 16]);
            attributes.nest(SIZES, |inside| _ = inside.put(1, &sizes));
        }
        attributes.put(OPTIONS, options.bytes());
        self.send(RTM_NEWQDISC, flags, about, &attributes, &format!("set the {kind} of"));
    }

    fn tbf(&mut self, Shape { rate, queue }: Shape, handle: u32, parent: u32, flags: u16, first: bool) {
        let bytes = (rate / 8).max(1);
        // struct tc_tbf_qopt
        let mut parameters = rate_spec(bytes);
        parameters.extend(rate_spec(0));
        parameters.extend(u32::try_from(queue).unwrap_or(u32::MAX).to_ne_bytes());
        parameters.extend([0; 8]);
        let mut options = Attributes::default();
        options.put(1, &parameters).put(4, &bytes.to_ne_bytes());
        // The least that a whole packet fits into.
        options.put(6, &(PACKET + 14).to_ne_bytes());
        self.discipline("tbf", flags, about(handle, parent), first, &options);
    }

    fn htb(&mut self, handle: u32, parent: u32, first: bool) {
        let mut global = Vec::new();
        // struct tc_htb_glob: version, rate2quantum, defcls, debug, direct_pkts
        for number in [3_u32, 10, 1, 0, 0] {
            global.extend(number.to_ne_bytes());
        }
        let mut options = Attributes::default();
        options.put(2, &global);
        self.discipline("htb", CREATE | EXCLUSIVE, about(handle, parent), first, &options);
    }

    /// A class of htb that does not limit.
    fn class(&mut self, htb: u32, number: u32) {
        const RATE: u64 = 10_000_000_000;
        /// 10 ms in ticks.
        const BUFFER: u32 = 156_250;
        let mut parameters = rate_spec(RATE);
        parameters.extend(rate_spec(RATE));
        // struct tc_htb_opt: buffer, cbuffer, quantum, level, prio
        for number in [BUFFER, BUFFER, 60_000, 0, 0] {
            parameters.extend(number.to_ne_bytes());
        }
        let mut options = Attributes::default();
        options.put(1, &parameters).put(6, &RATE.to_ne_bytes()).put(7, &RATE.to_ne_bytes());
        let mut attributes = Attributes::default();
        attributes.put(KIND, b"htb\0").put(OPTIONS, options.bytes());
        let place = about(htb | number, htb);
        self.send(RTM_NEWTCLASS, CREATE | EXCLUSIVE, place, &attributes, "make a class of");
    }

    fn netem(&mut self, netem: &Netem, handle: u32, parent: u32, flags: u16, first: bool) {
        let table = table(&netem.jitter);
        let jitter = table.as_ref().map_or(0, |table| table.jitter);
        let delay = i64::try_from(netem.delay.as_nanos()).unwrap_or(i64::MAX);
        let ticks = |nanoseconds: i64| u32::try_from(nanoseconds / 64).unwrap_or(u32::MAX);
        let loss = match netem.loss {
            Loss::Independent(share) => probability(share),
            Loss::Bursts(_) => 0,
        };
        // struct tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter
        let mut options = Attributes::default();
        let mut fixed = Vec::new();
        let capacity = u32::try_from(CAPACITY).unwrap_or(u32::MAX);
        for number in [ticks(delay), capacity, loss, 0, probability(netem.duplicate), ticks(jitter)] {
            fixed.extend(number.to_ne_bytes());
        }
        options.put_raw(&fixed);
        options.put(10, &delay.to_ne_bytes()).put(11, &jitter.to_ne_bytes());
        if let Some(table) = &table {
            let numbers: Vec<u8> = table.numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
            options.put(2, &numbers);
        }
        if let Loss::Bursts(wire) = netem.loss {
            // struct tc_netem_gemodel: p, r, h, k1
            let all = [wire.to_bad, wire.to_good, 1.0 - wire.in_bad, wire.in_good];
            let model: Vec<u8> = all.iter().flat_map(|share| probability(*share).to_ne_bytes()).collect();
            options.nest(5, |inside| _ = inside.put(2, &model));
        }
        // With a rate, whichever, netem lets no packet overtake another. 0 is none.
        let rate = match netem.rate {
            Some(rate) => (rate / 8).max(1),
            None if jitter > 0 => INSTANT,
            None => 0,
        };
        let mut limit = vec![];
        limit.extend(u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
        limit.extend([0; 12]);
        options.put(6, &limit);
        if u32::try_from(rate).is_err() {
            options.put(8, &rate.to_ne_bytes());
        }
        self.discipline("netem", flags, about(handle, parent), first, &options);
    }

    /// Drops what finds a queue full, whatever it is: a token bucket that is as deep as the queue and fills at its
    /// rate has room exactly when a queue of that length has.
    fn police_all(&mut self, shape: Shape) {
        // struct tc_u32_sel with one key that matches everything; TC_U32_TERMINAL
        let mut selector = vec![1, 0, 1, 0];
        selector.extend([0; 12 + 16]);
        let mut options = Attributes::default();
        options.put(1, &(FIRST | 1).to_ne_bytes()).put(5, &selector);
        options.nest(7, |list| _ = list.nest(1, |action| self.police(action, shape)));
        self.filter("u32", about(0, FIRST), &options);
    }

    /// Sends a group's packets to a class.
    fn group(&mut self, group: usize, class: u32, shape: Option<Shape>) {
        let mut options = Attributes::default();
        options.put(1, &(SECOND | class).to_ne_bytes()).put(5, &GROUP_MASK.to_ne_bytes());
        if let Some(shape) = shape {
            options.nest(4, |list| _ = list.nest(1, |action| self.police(action, shape)));
        }
        self.filter("fw", about(mark(group), SECOND), &options);
    }

    fn filter(&mut self, kind: &str, mut place: About, options: &Attributes) {
        /// Priority 1, and `ETH_P_ALL` in network order.
        const ALL: u32 = 1 << 16 | 0x0300;
        place.info = ALL;
        let mut attributes = Attributes::default();
        attributes.put(KIND, format!("{kind}\0").as_bytes()).put(OPTIONS, options.bytes());
        self.send(RTM_NEWTFILTER, CREATE | EXCLUSIVE, place, &attributes, "tell packets apart at");
    }

    fn police(&self, action: &mut Attributes, Shape { rate, queue }: Shape) {
        let bytes = (rate / 8).max(1);
        let depth = u128::from(queue) * 1_000_000_000 / u128::from(bytes) / TICK;
        // struct tc_police: index, action (TC_ACT_SHOT), limit, burst, mtu, rate, peakrate, refcnt, bindcnt, capab
        let mut parameters = Vec::new();
        let burst = u32::try_from(depth).unwrap_or(u32::MAX);
        for number in [POLICE | self.interface, 2, 0, burst, 0] {
            parameters.extend(number.to_ne_bytes());
        }
        parameters.extend(rate_spec(bytes));
        parameters.extend(rate_spec(0));
        parameters.extend([0; 12]);
        // The table of times of old kernels, which has to be there and is not read.
        action.put(1, b"police\0").nest(2, |options| {
            options.put(1, &parameters).put(2, &[0; 1024]).put(8, &bytes.to_ne_bytes());
        });
    }

    /// Gives the policer that is there these figures. Also after one was made: the kernel takes a tree's policers away
    /// some time after the tree, and a filter that names one of that number until then gets it as it was.
    fn change_police(&mut self, shape: Shape) {
        let mut attributes = Attributes::default();
        attributes.nest(1, |list| _ = list.nest(1, |action| self.police(action, shape)));
        // struct tcamsg
        let mut message = vec![0; 4];
        message.extend(attributes.bytes());
        let doing = format!("change the queue of interface {}", self.interface);
        self.requests.push(NEW_ACTION, CREATE | REPLACE, &Raw(&message), doing);
    }
}

/// `struct tc_ratespec` of a rate in bytes a second; cells of 8 bytes, Ethernet.
fn rate_spec(bytes: u64) -> Vec<u8> {
    let mut spec = if bytes == 0 { vec![0; 8] } else { vec![3, 1, 0, 0, 0, 0, 0, 0] };
    spec.extend(u32::try_from(bytes).unwrap_or(u32::MAX).to_ne_bytes());
    spec
}

/// A share of `u32::MAX`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and u32::MAX")]
fn probability(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(u32::MAX)).round() as u32
}
