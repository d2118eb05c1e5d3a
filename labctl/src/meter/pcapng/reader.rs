//! Reads back what [`Writer`](super::Writer) wrote.

use super::{BYTE_ORDER_MAGIC, ENHANCED_PACKET, INTERFACE_DESCRIPTION, NANOSECONDS, SECTION_HEADER, option};
use crate::meter::packet::{Direction, Packet, Timestamp};

/// A file is not one that [`Writer`](super::Writer) wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A block is cut off, or says a wrong length.
    #[error("the block at byte {0} is cut off; the capture was not ended")]
    CutOff(usize),
    /// Another byte order, another resolution of time, or no pcapng at all.
    #[error("the block at byte {0} is not as labctl writes it; only labctl's own captures can be read")]
    Foreign(usize),
}

/// All packets of a file, in its order.
///
/// # Errors
///
/// If the file is cut off, or not labctl's.
pub fn read(file: &[u8]) -> Result<Vec<Packet>, ReadError> {
    let mut packets = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let length = word(file, at + 4).ok_or(ReadError::CutOff(at))? as usize;
        let block = at.checked_add(length).and_then(|end| file.get(at..end)).ok_or(ReadError::CutOff(at))?;
        // The length stands at both ends.
        let body = length.checked_sub(4).and_then(|end| block.get(8..end)).ok_or(ReadError::CutOff(at))?;
        if word(block, length - 4) != word(block, 4) {
            return Err(ReadError::CutOff(at));
        }
        let kind = word(file, at).ok_or(ReadError::CutOff(at))?;
        if at == 0 && kind != SECTION_HEADER {
            return Err(ReadError::Foreign(at));
        }
        match kind {
            SECTION_HEADER if word(body, 0) != Some(BYTE_ORDER_MAGIC) => return Err(ReadError::Foreign(at)),
            INTERFACE_DESCRIPTION => {
                let options = body.get(8..).ok_or(ReadError::Foreign(at))?;
                if find(options, option::INTERFACE_TIME_RESOLUTION) != Some(&[NANOSECONDS]) {
                    return Err(ReadError::Foreign(at));
                }
            }
            ENHANCED_PACKET => packets.push(packet(body).ok_or(ReadError::Foreign(at))?),
            _ => {}
        }
        at += length;
    }
    Ok(packets)
}

/// A packet from the body of its block (section 4.3).
fn packet(body: &[u8]) -> Option<Packet> {
    let captured = word(body, 12)? as usize;
    let bytes = body.get(20..20_usize.checked_add(captured)?)?;
    let options = body.get(20 + captured.checked_next_multiple_of(4)?..)?;
    let flags = find(options, option::PACKET_FLAGS).and_then(|value| word(value, 0))?;
    let direction = match flags & 0b11 {
        0b01 => Direction::Received,
        0b10 => Direction::Sent,
        _ => return None,
    };
    let time = u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?);
    Some(Packet {
        time: Timestamp::from_nanos(time),
        direction,
        length: word(body, 16)?,
        bytes: bytes.to_vec(),
    })
}

/// The value of an option.
fn find(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let head = word(options, 0)?;
        let (code, length) = (head & 0xFFFF, (head >> 16) as usize);
        if code == u32::from(option::END) {
            return None;
        }
        if code == u32::from(wanted) {
            return options.get(4..4 + length);
        }
        options = options.get(4 + length.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::super::{Section, Writer};
    use super::*;
    use crate::meter::Statistics;

    fn written(packets: &[Packet]) -> Vec<u8> {
        let section = Section { application: "labctl 1", os: "Linux", comment: "trial 1", node: "alice" };
        let names = [(Ipv4Addr::new(198, 18, 0, 1), "sn-1")];
        let mut writer = Writer::new(Vec::new(), &section, "eth0", names).unwrap();
        for packet in packets {
            writer.packet(packet).unwrap();
        }
        writer.finish(Statistics { packets: 0, dropped: 0 }).unwrap()
    }

    fn some() -> Vec<Packet> {
        let packet = |n: u8| Packet {
            time: Timestamp::from_nanos(1_136_214_245_123_456_789 + u64::from(n)),
            direction: if n.is_multiple_of(2) { Direction::Sent } else { Direction::Received },
            length: u32::from(n) + 20,
            bytes: vec![n; usize::from(n) + 20],
        };
        (0..6).map(packet).collect()
    }

    #[test]
    fn packets_come_back_as_they_were_written() {
        assert_eq!(read(&written(&some())), Ok(some()));
        assert_eq!(read(&written(&[])), Ok(Vec::new()));
    }

    #[test]
    fn a_file_that_is_cut_off_or_foreign_is_refused() {
        let file = written(&some());
        assert!(matches!(read(&file[..file.len() - 1]), Err(ReadError::CutOff(_))));
        assert_eq!(read(&[0; 64]), Err(ReadError::CutOff(0)));
        let mut other_order = file;
        other_order[8..12].reverse();
        assert_eq!(read(&other_order), Err(ReadError::Foreign(0)));
    }

    proptest! {
        #[test]
        fn no_change_to_a_file_makes_reading_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            let mut file = written(&some());
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            file.truncate(file.len().saturating_sub(cut));
            let _ = read(&file);
        }
    }
}
