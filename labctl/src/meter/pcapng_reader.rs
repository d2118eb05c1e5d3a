//! Reads back the packets of a capture that [`pcapng`](super::pcapng) wrote, or another program in the same byte order.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// Type and length before a block's body, and the length again behind it.
const HEAD: usize = 8;
const AROUND: usize = 12;
/// Interface, time and lengths before an enhanced packet's bytes.
const BEFORE_PACKET: usize = 20;

/// The frames of all packets in a file, in its order.
///
/// # Errors
///
/// If the file cannot be read, or is no pcapng file in little-endian order, or is cut within a block.
pub fn frames(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    read(&fs::read(path)?)
}

fn read(mut file: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    if word(file, 0) != Some(SECTION_HEADER) || word(file, HEAD) != Some(BYTE_ORDER_MAGIC) {
        return Err(wrong("it is no pcapng file in little-endian byte order"));
    }
    let mut frames = Vec::new();
    while !file.is_empty() {
        let cut = || wrong("it ends within a block");
        let kind = word(file, 0).ok_or_else(cut)?;
        let length = word(file, 4).and_then(|length| usize::try_from(length).ok()).ok_or_else(cut)?;
        let body = file.get(HEAD..length.saturating_sub(AROUND - HEAD)).ok_or_else(cut)?;
        if kind == ENHANCED_PACKET {
            let captured = word(body, 12).and_then(|length| usize::try_from(length).ok()).ok_or_else(cut)?;
            let frame = body.get(BEFORE_PACKET..).and_then(|rest| rest.get(..captured)).ok_or_else(cut)?;
            frames.push(frame.to_vec());
        }
        file = file.get(length.max(AROUND)..).ok_or_else(cut)?;
    }
    Ok(frames)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::super::pcapng::{Section, Writer};
    use super::super::{Direction, Packet, Statistics, Timestamp};
    use super::*;

    fn file(packets: &[Vec<u8>]) -> Vec<u8> {
        let names = [([198, 18, 0, 1].into(), "sn-1")];
        let mut writer = Writer::new(Vec::new(), &Section::default(), "eth0", names).unwrap();
        for bytes in packets {
            let length = u32::try_from(bytes.len()).unwrap();
            let time = Timestamp::from_nanos(1);
            writer
                .packet(&Packet { time, direction: Direction::Sent, length, bytes: bytes.clone() })
                .unwrap();
        }
        writer.finish(Statistics { packets: 2, dropped: 0 }).unwrap()
    }

    #[test]
    fn the_frames_that_were_written_come_back() {
        let packets = vec![vec![1; 61], vec![2; 64], Vec::new()];
        assert_eq!(read(&file(&packets)).unwrap(), packets);
    }

    #[test]
    fn what_is_no_capture_or_is_cut_is_refused() {
        let whole = file(&[vec![7; 50]]);
        for length in 1..whole.len() {
            let read = read(&whole[..length]);
            assert!(read.is_err() || read.unwrap().len() <= 1, "cut at {length}");
        }
        assert!(read(b"{}").is_err());
        assert!(read(&whole[..whole.len() - 1]).is_err());
    }
}
