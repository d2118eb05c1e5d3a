//! What a router does to an IPv4 packet (RFC 1812). Pure.

use std::net::Ipv4Addr;

/// Length of an IPv4 header without options.
const HEADER: usize = 20;
/// Bytes of the packet that an ICMP message is about: with the headers no more than 576 (RFC 1812, 4.3.2.3).
const QUOTED: usize = 576 - HEADER - 8;
const ICMP: u8 = 1;
const TIME_EXCEEDED: u8 = 11;

/// What a router reads of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Whom to.
    pub destination: Ipv4Addr,
    /// Its whole length.
    pub length: u16,
    /// Hops that are left to it.
    pub ttl: u8,
}

impl Header {
    /// Reads the header; `None` if this is no whole IPv4 packet.
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; HEADER] = packet.first_chunk()?;
        let own = usize::from(fixed[0] & 15) * 4;
        let length = u16::from_be_bytes([fixed[2], fixed[3]]);
        let whole = fixed[0] >> 4 == 4 && own >= HEADER && usize::from(length) >= own;
        (whole && usize::from(length) <= packet.len()).then_some(Self {
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
            length,
            ttl: fixed[8],
        })
    }
}

/// Takes one hop from a packet, and mends its checksum (RFC 1141). It must have one left.
pub fn take_hop(packet: &mut [u8]) {
    packet[8] -= 1;
    let sum = u32::from(u16::from_be_bytes([packet[10], packet[11]])) + 0x0100;
    // The carry comes in again; 0xffff is the other way to write 0.
    let sum = if sum >= 0xffff { sum + 1 } else { sum };
    packet[10..12].copy_from_slice(&(sum & 0xffff).to_be_bytes()[2..]);
}

/// The message that tells a sender that its packet had no hop left, from the router `from`. `None` for what must
/// not be answered: ICMP errors, all fragments but the first, and senders that are nobody in particular.
#[must_use]
pub fn time_exceeded(from: Ipv4Addr, packet: &[u8]) -> Option<Vec<u8>> {
    let header = Header::read(packet)?;
    let to = header.source;
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff;
    if fragment != 0 || to.is_unspecified() || to.is_multicast() || to.is_broadcast() {
        return None;
    }
    if packet[9] == ICMP {
        let own = usize::from(packet[0] & 15) * 4;
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        if matches!(packet.get(own)?, 3 | 4 | 5 | 11 | 12) {
            return None;
        }
    }
    let quoted = &packet[..usize::from(header.length).min(QUOTED)];
    let length = u16::try_from(HEADER + 8 + quoted.len()).ok()?;
    let mut message = vec![0x45, 0xc0];
    message.extend(length.to_be_bytes());
    message.extend([0, 0, 0, 0, 64, ICMP, 0, 0]);
    message.extend(from.octets());
    message.extend(to.octets());
    let sum = checksum(&message);
    message[10..12].copy_from_slice(&sum.to_be_bytes());
    message.extend([TIME_EXCEEDED, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(quoted);
    let sum = checksum(&message[HEADER..]);
    message[HEADER + 2..HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    Some(message)
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv4Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

    use super::*;

    const CORE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    const ALICE: [u8; 4] = [198, 18, 0, 2];
    const BOB: [u8; 4] = [198, 18, 0, 3];

    fn packet(ttl: u8, id: u16) -> Vec<u8> {
        let mut header = etherparse::Ipv4Header::new(12, ttl, etherparse::IpNumber::UDP, ALICE, BOB).unwrap();
        header.identification = id;
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = Vec::new();
        PacketBuilder::ip(etherparse::IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()))
            .udp(1, 2)
            .write(&mut bytes, &[7; 4])
            .unwrap();
        bytes
    }

    #[test]
    fn a_hop_is_taken_and_the_checksum_is_right_whatever_it_was() {
        for id in 0..=u16::MAX {
            let mut taken = packet(64, id);
            take_hop(&mut taken);
            assert_eq!(taken[8], 63);
            assert_eq!(checksum(&taken[..HEADER]), 0, "id {id}");
        }
    }

    #[test]
    fn what_is_no_whole_packet_is_not_read() {
        let whole = packet(64, 1);
        let header = Header::read(&whole).unwrap();
        assert_eq!((header.length, header.ttl, header.destination), (32, 64, BOB.into()));
        assert_eq!(Header::read(&whole[..31]), None);
        for (place, value) in [(0, 0x65), (0, 0x44), (3, 19)] {
            let mut wrong = whole.clone();
            wrong[place] = value;
            assert_eq!(Header::read(&wrong), None);
        }
    }

    #[test]
    fn a_packet_without_hops_is_answered_with_what_it_was() {
        let asked = packet(1, 9);
        let answer = time_exceeded(CORE, &asked).unwrap();
        assert_eq!((checksum(&answer[..HEADER]), checksum(&answer[HEADER..])), (0, 0));
        let sliced = SlicedPacket::from_ip(&answer).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!() };
        assert_eq!((ip.header().source_addr(), ip.header().destination_addr()), (CORE, ALICE.into()));
        let Some(TransportSlice::Icmpv4(icmp)) = &sliced.transport else { panic!() };
        assert!(matches!(icmp.icmp_type(), Icmpv4Type::TimeExceeded(_)));
        assert_eq!(icmp.payload(), asked);
        assert_eq!(time_exceeded(CORE, &answer), None, "errors are not answered with errors");
    }
}
