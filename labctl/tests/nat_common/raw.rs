//! IPv4 packets written byte by byte, for what a UDP socket does not send.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

use super::inside;

/// A UDP header and payload. The checksum is computed, or left out (0).
pub fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8], checksum: bool) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram =
        [from.port().to_be_bytes(), to.port().to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    datagram.extend(payload);
    if checksum {
        let mut pseudo = [from.ip().octets(), to.ip().octets()].concat();
        pseudo.extend([0, 17]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend(&datagram);
        datagram[6..8].copy_from_slice(&sum(&pseudo).to_be_bytes());
    }
    datagram
}

/// An IPv4 packet with a part of a datagram in it. `offset` is in bytes, a multiple of 8.
pub fn packet(from: Ipv4Addr, to: Ipv4Addr, id: u16, offset: usize, more: bool, part: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + part.len()).unwrap();
    let fragment = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 17, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let checksum = sum(&packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(part);
    packet
}

/// Sends packets in this order.
pub fn send(namespace: &str, to: Ipv4Addr, packets: &[Vec<u8>]) {
    inside(namespace, || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap();
        for packet in packets {
            socket.send_to(packet, &SocketAddr::from((to, 0)).into()).unwrap();
        }
    });
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
