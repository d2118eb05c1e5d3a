//! The wire format of netlink: messages of a header and attributes, one after another
//! (`linux/netlink.h`).

/// `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// `NLM_F_REQUEST`
pub const REQUEST: u16 = 1;
/// `NLM_F_ACK`
pub const ACK: u16 = 4;
/// `NLM_F_DUMP_INTR`: what was being listed has changed meanwhile.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_ROOT | NLM_F_MATCH`
pub const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_REPLACE`, where something is made
pub const REPLACE: u16 = 0x100;
/// `NLM_F_CREATE`
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`
pub const APPEND: u16 = 0x800;
/// `NLMSG_ERROR`, which an acknowledgement is, too.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`
pub const DONE: u16 = 3;
/// `AF_UNSPEC`, as headers of families have it: in one byte.
pub const ANY_FAMILY: u8 = 0;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;
/// `NLA_TYPE_MASK`
const TYPE_MASK: u16 = 0x3fff;

/// Attributes that are being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// Adds an attribute.
    ///
    /// # Panics
    ///
    /// If the value is longer than 65,531 bytes, which the format has no room for.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(4 + value.len()).expect("an attribute has at most 65,531 bytes");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an attribute that has attributes in it.
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let mut nested = Self::default();
        inside(&mut nested);
        self.put(kind | NESTED, &nested.0)
    }

    /// Adds bytes as they are: the header of an attribute that begins with a structure.
    pub fn put_raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Messages that go to the kernel in one system call. They are numbered from 0.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
    /// Where the last message begins.
    last: usize,
}

impl Batch {
    /// Adds a message: its type, its flags besides `NLM_F_REQUEST`, the structure that its family has after
    /// the header, and its attributes. Returns its number.
    pub fn push(&mut self, kind: u16, flags: u16, family_header: &[u8], attributes: &[u8]) -> u32 {
        let length = HEADER + family_header.len() + attributes.len();
        let length = u32::try_from(length).expect("a message is far below 4 GB");
        self.last = self.bytes.len();
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        // The port: the kernel knows who asks.
        self.bytes.extend([0; 4]);
        self.bytes.extend(family_header);
        self.bytes.extend(attributes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.count += 1;
        self.count - 1
    }

    /// Adds the messages of another, numbered on.
    pub fn append(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let begin = self.bytes.len();
        self.last = begin + other.last;
        self.bytes.extend(&other.bytes);
        let mut place = begin;
        while let Some(length) = self.bytes.get(place..).and_then(<[u8]>::first_chunk) {
            let length = u32::from_ne_bytes(*length) as usize;
            if let Some(number) = self.bytes.get_mut(place + 8..place + 12) {
                number.copy_from_slice(&self.count.to_ne_bytes());
            }
            self.count += 1;
            place += length.next_multiple_of(4).max(HEADER);
        }
    }

    /// Has the last message acknowledged. What is refused is told of in any case, so that one is enough.
    pub fn acknowledge_last(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            flags[0] |= ACK.to_ne_bytes()[0];
            flags[1] |= ACK.to_ne_bytes()[1];
        }
    }

    /// Gives the first message another number, which the kernel's answers to it have.
    pub fn number_first(&mut self, number: u32) {
        if let Some(place) = self.bytes.get_mut(8..12) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The messages.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The messages, to change their content.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// Number of the message that it answers.
    pub number: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Reads the messages in a buffer; a message that is cut off ends it.
#[derive(Clone, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(u32::from_ne_bytes(*self.0.first_chunk()?)).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes(*self.0.get(4..)?.first_chunk()?),
            flags: u16::from_ne_bytes(*self.0.get(6..)?.first_chunk()?),
            number: u32::from_ne_bytes(*self.0.get(8..)?.first_chunk()?),
            body: self.0.get(HEADER..length)?,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

/// Reads attributes: type without flags, and value. One that is cut off ends it.
#[derive(Clone, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The value of the first attribute of a type.
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(found, value)| (found == kind).then_some(value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk()?) & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut inner = Attributes::default();
        inner.put(1, b"lan\0").nest(2, |nested| {
            nested.put(3, &[7]).put(4, &[1, 2, 3, 4, 5]);
        });
        let mut batch = Batch::default();
        assert_eq!(batch.push(16, ACK, &[9; 4], inner.bytes()), 0);
        assert_eq!(batch.push(17, 0, &[], &[]), 1);
        let messages: Vec<_> = Messages(batch.bytes()).collect();
        assert_eq!((messages[0].kind, messages[0].flags, messages[0].number), (16, REQUEST | ACK, 0));
        assert_eq!((messages[1].kind, messages[1].number, messages[1].body), (17, 1, &[][..]));
        let fields = Fields(&messages[0].body[4..]);
        assert_eq!(fields.clone().find(1), Some(&b"lan\0"[..]));
        let nested: Vec<_> = Fields(fields.find(2).unwrap()).collect();
        assert_eq!(nested, [(3, &[7][..]), (4, &[1, 2, 3, 4, 5][..])]);
    }

    #[test]
    fn batches_are_put_together_and_numbered_on() {
        let mut batch = Batch::default();
        batch.push(16, 0, &[1, 2, 3], &[]);
        let mut other = batch.clone();
        other.push(17, 0, &[], &[]);
        batch.append(&Batch::default());
        batch.append(&other);
        batch.acknowledge_last();
        let all: Vec<_> = Messages(batch.bytes()).map(|message| (message.kind, message.number)).collect();
        assert_eq!(all, [(16, 0), (16, 1), (17, 2)]);
        assert_eq!(Messages(batch.bytes()).last().map(|last| last.flags), Some(REQUEST | ACK));
    }

    #[test]
    fn what_is_cut_off_ends_the_reading() {
        let mut batch = Batch::default();
        batch.push(16, 0, &[], Attributes::default().put(1, &[1, 2, 3]).bytes());
        for length in 0..batch.bytes().len() {
            assert_eq!(Messages(&batch.bytes()[..length]).count(), 0, "{length} bytes");
        }
        assert_eq!(Fields(&[3, 0, 1, 0]).count(), 0, "a length below that of the header");
    }
}
