//! Writes captures in the pcapng format, which Wireshark, tshark and tcpdump read
//! (draft-ietf-opsawg-pcapng; section numbers below are of that draft).
//!
//! One section, little-endian, times in nanoseconds, whole packets, direction in `epb_flags`.

mod reader;

use std::io::{self, Write};
use std::net::Ipv4Addr;

use super::packet::{Direction, Packet, Timestamp};
use super::packet_socket::Statistics;

pub use reader::{ReadError, read};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;
/// `if_tsresol`: times count units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Option codes; `opt_comment` is of every block, the others of the block that the name begins with.
mod option {
    pub const END: u16 = 0;
    pub const COMMENT: u16 = 1;
    pub const SECTION_OS: u16 = 3;
    pub const SECTION_APPLICATION: u16 = 4;
    pub const INTERFACE_NAME: u16 = 2;
    pub const INTERFACE_DESCRIPTION: u16 = 3;
    pub const INTERFACE_TIME_RESOLUTION: u16 = 9;
    pub const PACKET_FLAGS: u16 = 2;
    pub const STATISTICS_START: u16 = 2;
    pub const STATISTICS_END: u16 = 3;
    pub const STATISTICS_RECEIVED: u16 = 4;
    pub const STATISTICS_DROPPED: u16 = 5;
}

/// What a section header says of the file.
#[derive(Clone, Debug, Default)]
pub struct Section<'a> {
    /// The program that writes, with its version.
    pub application: &'a str,
    /// The operating system, with its version.
    pub os: &'a str,
    /// What the file holds, for people.
    pub comment: &'a str,
    /// The node or gateway whose interface it is: the interface's description and comment.
    pub node: &'a str,
}

/// Writes one file with one interface.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    block: Vec<u8>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl<W: Write> Writer<W> {
    /// Begins a file about one Ethernet interface. `names` are shown in the place of addresses.
    pub fn new<'a>(
        output: W,
        section: &Section<'_>,
        interface: &str,
        names: impl IntoIterator<Item = (Ipv4Addr, &'a str)>,
    ) -> io::Result<Self> {
        let mut writer = Self { output, block: Vec::new(), first: None, last: None };
        writer.section_header(section)?;
        writer.interface_description(interface, section.node)?;
        writer.name_resolution(names)?;
        Ok(writer)
    }

    /// Section 4.1.
    fn section_header(&mut self, section: &Section<'_>) -> io::Result<()> {
        self.put(&BYTE_ORDER_MAGIC.to_le_bytes());
        self.put(&1u16.to_le_bytes()); // Major version.
        self.put(&0u16.to_le_bytes()); // Minor version.
        self.put(&u64::MAX.to_le_bytes()); // The section's length is not known beforehand.
        self.text(option::COMMENT, section.comment);
        self.text(option::SECTION_OS, section.os);
        self.text(option::SECTION_APPLICATION, section.application);
        self.end_of_options();
        self.write_block(SECTION_HEADER)
    }

    /// Section 4.2.
    fn interface_description(&mut self, name: &str, node: &str) -> io::Result<()> {
        self.put(&ETHERNET.to_le_bytes());
        self.put(&[0; 2]); // Reserved.
        self.put(&0u32.to_le_bytes()); // No limit on the length of a packet.
        self.text(option::INTERFACE_NAME, name);
        self.text(option::INTERFACE_DESCRIPTION, node);
        self.text(option::COMMENT, node);
        self.option(option::INTERFACE_TIME_RESOLUTION, &[NANOSECONDS]);
        self.end_of_options();
        self.write_block(INTERFACE_DESCRIPTION)
    }

    /// Section 4.5.
    fn name_resolution<'a>(
        &mut self,
        names: impl IntoIterator<Item = (Ipv4Addr, &'a str)>,
    ) -> io::Result<()> {
        const IPV4: u16 = 1;
        const END: u16 = 0;
        let mut any = false;
        for (address, name) in names {
            let name = clip(name);
            let mut record = address.octets().to_vec();
            record.extend_from_slice(name.as_bytes());
            record.push(0);
            self.option(IPV4, &record); // A record is laid out as an option is.
            any = true;
        }
        if !any {
            return Ok(());
        }
        self.option(END, &[]);
        self.write_block(NAME_RESOLUTION)
    }

    /// Adds a packet (section 4.3).
    pub fn packet(&mut self, packet: &Packet) -> io::Result<()> {
        self.first.get_or_insert(packet.time);
        self.last = Some(packet.time);
        self.put(&0u32.to_le_bytes()); // The first, and only, interface.
        self.put_time(packet.time);
        let captured = u32::try_from(packet.bytes.len()).map_err(io::Error::other)?;
        self.put(&captured.to_le_bytes());
        self.put(&packet.length.to_le_bytes());
        self.put(&packet.bytes);
        self.pad();
        let flags: u32 = match packet.direction {
            Direction::Received => 0b01,
            Direction::Sent => 0b10,
        };
        self.option(option::PACKET_FLAGS, &flags.to_le_bytes());
        self.end_of_options();
        self.write_block(ENHANCED_PACKET)
    }

    /// Ends the file with the kernel's own counters (section 4.6) and gives the output back.
    pub fn finish(mut self, statistics: Statistics) -> io::Result<W> {
        let end = self.last.unwrap_or_else(Timestamp::now);
        self.put(&0u32.to_le_bytes());
        self.put_time(end);
        self.time_option(option::STATISTICS_START, self.first.unwrap_or(end));
        self.time_option(option::STATISTICS_END, end);
        self.option(option::STATISTICS_RECEIVED, &statistics.packets.to_le_bytes());
        self.option(option::STATISTICS_DROPPED, &statistics.dropped.to_le_bytes());
        self.end_of_options();
        self.write_block(INTERFACE_STATISTICS)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
    }

    /// Times are 64 bits, the upper half first, each half in the file's byte order.
    fn put_time(&mut self, time: Timestamp) {
        self.put(&halves(time));
    }

    fn time_option(&mut self, code: u16, time: Timestamp) {
        self.option(code, &halves(time));
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).expect("texts are clipped, other options are a few bytes");
        self.put(&code.to_le_bytes());
        self.put(&length.to_le_bytes());
        self.put(value);
        self.pad();
    }

    fn text(&mut self, code: u16, text: &str) {
        if !text.is_empty() {
            self.option(code, clip(text).as_bytes());
        }
    }

    fn end_of_options(&mut self) {
        self.option(option::END, &[]);
    }

    /// Writes the gathered body as a block (section 3.1) and begins the next one.
    fn write_block(&mut self, kind: u32) -> io::Result<()> {
        let length = u32::try_from(self.block.len() + 12).map_err(io::Error::other)?;
        self.output.write_all(&kind.to_le_bytes())?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(&self.block)?;
        self.output.write_all(&length.to_le_bytes())?;
        self.block.clear();
        Ok(())
    }
}

fn halves(time: Timestamp) -> [u8; 8] {
    let nanos = time.as_nanos().to_le_bytes();
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&nanos[4..]);
    bytes[4..].copy_from_slice(&nanos[..4]);
    bytes
}

/// An option's value has a 16-bit length; no name or comment here comes near.
fn clip(text: &str) -> &str {
    const LIMIT: usize = 4096;
    let end = (0..=LIMIT.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block: its type and its body.
    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let length = word(&file[4..]) as usize;
            assert_eq!(length % 4, 0, "blocks are aligned to 32 bits");
            assert_eq!(word(&file[length - 4..]) as usize, length, "the length stands at both ends");
            blocks.push((word(file), file[8..length - 4].to_vec()));
            file = &file[length..];
        }
        blocks
    }

    #[test]
    fn what_is_written_reads_back() {
        let packets: Vec<Packet> = (0..5u8)
            .map(|n| Packet {
                time: Timestamp::from_nanos(1_136_214_245_123_456_789 + u64::from(n)),
                direction: if n % 2 == 0 { Direction::Sent } else { Direction::Received },
                length: u32::from(n) + 20,
                bytes: vec![n; usize::from(n) + 20],
            })
            .collect();
        let section = Section { application: "labctl 1", os: "Linux", comment: "trial 1", node: "alice" };
        let names = [(Ipv4Addr::new(198, 18, 0, 1), "sn-1")];
        let mut writer = Writer::new(Vec::new(), &section, "eth0", names).unwrap();
        for packet in &packets {
            writer.packet(packet).unwrap();
        }
        let file = writer.finish(Statistics { packets: 5, dropped: 0 }).unwrap();

        let blocks = blocks(&file);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0A0D_0D0A, 1, 4, 6, 6, 6, 6, 6, 5]);
        for ((_, body), packet) in blocks[3..8].iter().zip(&packets) {
            let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
            let time = u64::from(word(4)) << 32 | u64::from(word(8));
            assert_eq!(time, packet.time.as_nanos());
            assert_eq!(word(12) as usize, packet.bytes.len());
            assert_eq!(word(16), packet.length);
            assert_eq!(&body[20..20 + packet.bytes.len()], packet.bytes);
            let options = 20 + packet.bytes.len().next_multiple_of(4);
            assert_eq!(word(options), 0x0004_0002);
            assert_eq!(word(options + 4), if packet.direction == Direction::Sent { 2 } else { 1 });
        }
    }

    #[test]
    fn a_text_longer_than_an_option_is_clipped_between_characters() {
        let long = "é".repeat(40_000);
        let section = Section { application: &long, os: &long, comment: &long, node: &long };
        let file =
            Writer::new(Vec::new(), &section, &long, []).unwrap().finish(Statistics::default()).unwrap();
        assert_eq!(blocks(&file).len(), 3);
    }
}
