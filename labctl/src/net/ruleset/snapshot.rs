//! The rules that a namespace has, as the messages by which the kernel makes them
//! (`linux/netfilter/nf_tables.h`). Whatever wrote the rules down, `nft` or `iptables-restore` on nftables,
//! the same messages make the same rules in another namespace, without a program.

use std::io;

use nix::sys::socket::SockProtocol;

use super::super::socket::{Answer, Socket};
use super::super::wire::{ACK, ANY_FAMILY, APPEND, Attributes, Batch, CREATE, Fields};
use super::protocol;

/// `NFNL_SUBSYS_NFTABLES`
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`, and `NFNL_MSG_BATCH_END`
const BEGIN: u16 = 16;
const END: u16 = 17;
/// `struct nfgenmsg`: family, version, and for a batch the subsystem that it is for.
const HEADER: usize = 4;
/// `NFTA_LIST_ELEM`
const LIST_ELEMENT: u16 = 1;

/// A kind of thing: the message that makes one, the one that lists them, and the attributes that both have
/// and that say what the thing is. Handles, users and times left are the kernel's own.
struct Kind {
    new: u16,
    get: u16,
    kept: &'static [u16],
}

const TABLES: Kind = Kind { new: 0, get: 1, kept: &[1, 2, 6] };
const CHAINS: Kind = Kind { new: 3, get: 4, kept: &[1, 3, 4, 5, 7, 8, 10, 12] };
const RULES: Kind = Kind { new: 6, get: 7, kept: &[1, 2, 4, 7] };
const SETS: Kind = Kind { new: 9, get: 10, kept: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 17, 18] };
const ELEMENTS: Kind = Kind { new: 12, get: 13, kept: &[1, 2] };
const OBJECTS: Kind = Kind { new: 18, get: 19, kept: &[1, 2, 3, 4, 8] };

/// `NFTA_SET_TABLE` and `NFTA_SET_NAME`, which elements refer to by the same numbers
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
/// `NFTA_SET_ID`: a number for use within a batch
const SET_ID: u16 = 10;
/// `NFTA_SET_ELEM_LIST_ELEMENTS`
const SET_ELEMENTS: u16 = 3;
/// `NFTA_SET_ELEM_EXPIRATION`
const ELEMENT_EXPIRATION: u16 = 5;
/// `NFTA_RULE_EXPRESSIONS` and `NFTA_RULE_COMPAT`
const RULE_EXPRESSIONS: u16 = 4;
const RULE_COMPAT: u16 = 5;

/// What one message makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    kind: u16,
    family: u8,
    attributes: Vec<u8>,
    /// The elements that it adds to a set, if it does. The kernel lists them in no order of meaning.
    elements: Vec<Vec<u8>>,
}

/// All rules of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    parts: Vec<Part>,
}

impl Snapshot {
    /// Reads what the namespace of the calling thread has.
    pub(super) fn read_here() -> io::Result<Self> {
        let mut reader = Reader { socket: Socket::open(SockProtocol::NetlinkNetFilter)?, parts: Vec::new() };
        // In this order each thing is made after those that it refers to.
        for kind in [TABLES, OBJECTS, CHAINS] {
            reader.read(&kind, |_, _| {})?;
        }
        let sets = reader.read_sets()?;
        for set in sets {
            reader.read_elements(&set)?;
        }
        reader.read(&RULES, |body, attributes| {
            let protocol = Fields(body).find(RULE_EXPRESSIONS).and_then(protocol::needed);
            if let Some(protocol) = protocol {
                attributes.nest(RULE_COMPAT, |compat| protocol.write(compat));
            }
        })?;
        Ok(Self { parts: reader.parts })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The messages that make the rules anew, all or none of them.
    pub(super) fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        let [high, low] = SUBSYSTEM.to_be_bytes();
        let bounds = [ANY_FAMILY, 0, high, low];
        batch.push(BEGIN, 0, &bounds, &[]);
        for (index, part) in self.parts.iter().enumerate() {
            // One answer is enough: what is refused is told of in any case.
            let last = if index + 1 == self.parts.len() { ACK } else { 0 };
            let flags = if part.kind == RULES.new { CREATE | APPEND } else { CREATE };
            let mut attributes = Attributes::default();
            attributes.put_raw(&part.attributes);
            if part.kind == ELEMENTS.new {
                attributes.nest(SET_ELEMENTS, |list| {
                    for element in &part.elements {
                        list.nest(LIST_ELEMENT, |inside| _ = inside.put_raw(element));
                    }
                });
            }
            batch.push(SUBSYSTEM << 8 | part.kind, flags | last, &[part.family, 0, 0, 0], attributes.bytes());
        }
        batch.push(END, 0, &bounds, &[]);
        batch
    }

    /// The same rules, with the parts in which order has no meaning in one order.
    pub(super) fn sorted(&self) -> Self {
        let mut sorted = self.clone();
        for part in &mut sorted.parts {
            part.elements.sort();
        }
        sorted
    }

    /// The same rules, changed in every place that holds content.
    pub(super) fn map(&self, change: impl Fn(&mut [u8])) -> Self {
        let mut mapped = self.clone();
        for part in &mut mapped.parts {
            change(&mut part.attributes);
            part.elements.iter_mut().for_each(|element| change(element));
        }
        mapped
    }

    /// All content: what [`Snapshot::map`] would change.
    pub(super) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().flat_map(|part| {
            [part.attributes.as_slice()].into_iter().chain(part.elements.iter().map(Vec::as_slice))
        })
    }
}

/// Makes rules in the namespace of the calling thread by the messages of [`Snapshot::batch`].
pub(super) fn write_here(batch: &Batch) -> io::Result<()> {
    let Answer { refused, acknowledged, .. } = Socket::open(SockProtocol::NetlinkNetFilter)?.ask(batch)?;
    match refused.first() {
        Some(refusal) => Err(refusal.reason.into()),
        None if acknowledged => Ok(()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

struct Reader {
    socket: Socket,
    parts: Vec<Part>,
}

/// A set as the kernel calls it.
struct SetRef {
    family: u8,
    table: Vec<u8>,
    name: Vec<u8>,
}

impl Reader {
    fn list(&mut self, kind: &Kind, family: u8, attributes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.socket.list(SUBSYSTEM << 8 | kind.get, &[family, 0, 0, 0], attributes)
    }

    /// Reads all of a kind; `add` adds what the kernel does not list.
    fn read(&mut self, kind: &Kind, mut add: impl FnMut(&[u8], &mut Attributes)) -> io::Result<()> {
        for body in self.list(kind, 0, &[])? {
            let (family, body) = split(&body)?;
            let mut attributes = kept(kind, body);
            add(body, &mut attributes);
            self.push(kind, family, &attributes, Vec::new());
        }
        Ok(())
    }

    fn read_sets(&mut self) -> io::Result<Vec<SetRef>> {
        let mut sets = Vec::new();
        let mut unnamed = false;
        self.read(&SETS, |body, attributes| {
            let number = u32::try_from(sets.len() + 1).unwrap_or(u32::MAX);
            attributes.put(SET_ID, &number.to_be_bytes());
            let find = |kind| Fields(body).find(kind).map(<[u8]>::to_vec);
            match (find(SET_TABLE), find(SET_NAME)) {
                (Some(table), Some(name)) => sets.push((table, name)),
                _ => unnamed = true,
            }
        })?;
        if unnamed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let families = self.parts.iter().filter(|part| part.kind == SETS.new).map(|part| part.family);
        Ok(families.zip(sets).map(|(family, (table, name))| SetRef { family, table, name }).collect())
    }

    fn read_elements(&mut self, set: &SetRef) -> io::Result<()> {
        let mut which = Attributes::default();
        which.put(SET_TABLE, &set.table).put(SET_NAME, &set.name);
        for body in self.list(&ELEMENTS, set.family, which.bytes())? {
            let (family, body) = split(&body)?;
            let Some(list) = Fields(body).find(SET_ELEMENTS) else { continue };
            let elements = Fields(list).map(|(_, element)| without(element, ELEMENT_EXPIRATION)).collect();
            self.push(&ELEMENTS, family, &kept(&ELEMENTS, body), elements);
        }
        Ok(())
    }

    fn push(&mut self, kind: &Kind, family: u8, attributes: &Attributes, elements: Vec<Vec<u8>>) {
        let attributes = attributes.bytes().to_vec();
        self.parts.push(Part { kind: kind.new, family, attributes, elements });
    }
}

/// The family of a message, and its attributes.
fn split(body: &[u8]) -> io::Result<(u8, &[u8])> {
    match (body.first(), body.get(HEADER..)) {
        (Some(family), Some(attributes)) => Ok((*family, attributes)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn kept(kind: &Kind, body: &[u8]) -> Attributes {
    let mut attributes = Attributes::default();
    for (found, value) in Fields(body).filter(|(found, _)| kind.kept.contains(found)) {
        attributes.put(found, value);
    }
    attributes
}

fn without(list: &[u8], kind: u16) -> Vec<u8> {
    let mut attributes = Attributes::default();
    for (found, value) in Fields(list).filter(|(found, _)| *found != kind) {
        attributes.put(found, value);
    }
    attributes.bytes().to_vec()
}
