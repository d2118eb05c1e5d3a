//! Packets made with etherparse, and what the table says of them.

use etherparse::{EtherType, Ethernet2Header, IpFragOffset, Ipv4Header, UdpHeader, ip_number};
use etherparse::{PacketBuilder, PacketBuilderStep};
use proptest::prelude::*;

use super::Direction::{Received, Sent};
use super::*;

const HERE: [u8; 4] = [192, 168, 1, 2];
const THERE: [u8; 4] = [198, 18, 0, 9];

fn ip(direction: Direction) -> PacketBuilderStep<etherparse::IpHeaders> {
    let (from, to) = match direction {
        Sent => (HERE, THERE),
        Received => (THERE, HERE),
    };
    PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64)
}

fn packet(time: u64, direction: Direction, bytes: Vec<u8>) -> Packet {
    let length = u32::try_from(bytes.len()).unwrap();
    Packet { time: Timestamp::from_nanos(time), direction, length, bytes }
}

fn udp(time: u64, direction: Direction, local: u16, payload: usize) -> Packet {
    let mut bytes = Vec::new();
    let (source, destination) = if direction == Sent { (local, 33) } else { (33, local) };
    ip(direction).udp(source, destination).write(&mut bytes, &vec![0; payload]).unwrap();
    packet(time, direction, bytes)
}

fn tcp(time: u64, direction: Direction, sequence: u32, syn: bool, payload: usize) -> Packet {
    let mut bytes = Vec::new();
    let (source, destination) = if direction == Sent { (5000, 443) } else { (443, 5000) };
    let builder = ip(direction).tcp(source, destination, sequence, 1000);
    let builder = match (syn, direction) {
        (true, Sent) => builder.syn(),
        (true, Received) => builder.syn().ack(1),
        (false, _) => builder.ack(1),
    };
    builder.write(&mut bytes, &vec![0; payload]).unwrap();
    packet(time, direction, bytes)
}

fn table(packets: &[Packet]) -> FlowTable {
    let mut table = FlowTable::new();
    for packet in packets {
        table.add(packet);
    }
    table
}

#[test]
fn a_datagram_and_its_answer_are_one_flow_with_two_directions() {
    let table = table(&[udp(10, Sent, 4000, 18), udp(30, Received, 4000, 11)]);
    let flows: Vec<Flow> = table.flows().collect();
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].key.local, "192.168.1.2:4000".parse().unwrap());
    assert_eq!(flows[0].key.remote, "198.18.0.9:33".parse().unwrap());
    assert_eq!(flows[0].counts.sent, Count { packets: 1, payload_bytes: 18, ip_bytes: 46 });
    assert_eq!(flows[0].counts.received, Count { packets: 1, payload_bytes: 11, ip_bytes: 39 });
    assert_eq!(table.span(|_| true), Some((Timestamp::from_nanos(10), Timestamp::from_nanos(30))));
}

#[test]
fn retransmitted_payload_counts_once_as_payload_and_twice_at_the_ip_level() {
    let table = table(&[
        tcp(1, Sent, 99, true, 0),
        tcp(2, Received, 500, true, 0),
        tcp(3, Sent, 100, false, 60),
        tcp(4, Sent, 100, false, 60),
        tcp(5, Received, 501, false, 30),
    ]);
    let tcp = table.traffic(|flow| flow.begun).tcp;
    assert_eq!(tcp.sent, Count { packets: 3, payload_bytes: 60, ip_bytes: 40 + 100 + 100 });
    assert_eq!(tcp.received, Count { packets: 2, payload_bytes: 30, ip_bytes: 40 + 70 });
}

#[test]
fn what_is_left_of_an_earlier_connection_did_not_begin_here() {
    let table = table(&[tcp(1, Received, 500, false, 12), udp(2, Received, 4000, 7), udp(3, Sent, 4001, 9)]);
    assert_eq!(table.traffic(|flow| flow.begun).total().payload_bytes, 9);
    assert_eq!(table.traffic(|flow| !flow.begun).total().payload_bytes, 19);
}

#[test]
fn an_unasked_datagram_to_a_port_in_use_belongs_to_what_uses_the_port() {
    let mut unasked = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([198, 18, 0, 77], HERE, 64)
        .udp(34, 4000)
        .write(&mut unasked, &[0; 5])
        .unwrap();
    let table = table(&[udp(1, Sent, 4000, 9), packet(2, Received, unasked)]);
    assert_eq!(table.flows().count(), 2);
    assert_eq!(table.traffic(|flow| flow.begun).total().payload_bytes, 14);
}

/// A UDP datagram in fragments of `part` bytes (a multiple of 8), in order.
fn fragments(payload: usize, part: usize) -> Vec<Packet> {
    let mut whole = Vec::new();
    UdpHeader::without_ipv4_checksum(4000, 33, payload).unwrap().write(&mut whole).unwrap();
    whole.resize(8 + payload, 7);
    let count = whole.len().div_ceil(part);
    whole
        .chunks(part)
        .enumerate()
        .map(|(index, chunk)| {
            let length = u16::try_from(chunk.len()).unwrap();
            let mut header = Ipv4Header::new(length, 64, ip_number::UDP, HERE, THERE).unwrap();
            header.dont_fragment = false;
            header.identification = 77;
            header.more_fragments = index + 1 < count;
            header.fragment_offset = IpFragOffset::try_new(u16::try_from(index * part / 8).unwrap()).unwrap();
            let mut bytes = Vec::new();
            let ethernet =
                Ethernet2Header { source: [2; 6], destination: [4; 6], ether_type: EtherType::IPV4 };
            ethernet.write(&mut bytes).unwrap();
            header.write(&mut bytes).unwrap();
            bytes.extend_from_slice(chunk);
            packet(index as u64, Sent, bytes)
        })
        .collect()
}

#[test]
fn fragments_add_up_to_the_datagram_wherever_it_was_cut() {
    for part in [8, 16, 96, 1000] {
        let packets = fragments(100, part);
        let table = table(&packets);
        let sent = table.traffic(|flow| flow.begun).udp.sent;
        assert_eq!(sent.payload_bytes, 100, "cut every {part} bytes");
        assert_eq!(sent.packets, packets.len() as u64);
        assert_eq!(sent.ip_bytes, 108 + 20 * packets.len() as u64);
        assert_eq!(table.flows().count(), 1);
    }
}

#[test]
fn a_fragment_without_a_first_one_is_counted_apart() {
    let table = table(&fragments(100, 48)[1..]);
    assert_eq!(table.flows().count(), 0);
    assert_eq!(table.apart().orphan_fragments, 2);
}

#[test]
fn arp_and_icmp_are_counted_apart() {
    let mut ping = Vec::new();
    ip(Sent).icmpv4_echo_request(1, 1).write(&mut ping, &[0; 20]).unwrap();
    let mut arp = vec![2; 12];
    arp.extend_from_slice(&[0x08, 0x06]);
    arp.resize(42, 0);
    let table = table(&[packet(1, Sent, ping), packet(2, Sent, arp), packet(3, Sent, vec![1, 2, 3])]);
    let apart = table.apart();
    assert_eq!((apart.icmp_packets, apart.icmp_ip_bytes), (1, 48));
    assert_eq!((apart.arp_packets, apart.other_packets), (1, 1));
    assert_eq!(table.traffic(|_| true), Traffic::default());
}

proptest! {
    #[test]
    fn any_packets_are_counted_somewhere(
        packets in proptest::collection::vec(
            (any::<bool>(), any::<u64>(), proptest::collection::vec(any::<u8>(), 0..80), any::<bool>()), 0..80)
    ) {
        let mut table = FlowTable::new();
        let count = packets.len() as u64;
        for (sent, time, mut bytes, like_ip) in packets {
            if like_ip && bytes.len() > 24 {
                // Far enough into the parser that the transport and the fragments come up too.
                bytes[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
                let total = u16::try_from(bytes.len() - 14).unwrap();
                bytes[16..18].copy_from_slice(&total.to_be_bytes());
                bytes[23] = if bytes[23] % 2 == 0 { 6 } else { 17 };
            }
            table.add(&packet(time, if sent { Sent } else { Received }, bytes));
        }
        let apart = table.apart();
        let flows = table.traffic(|_| true).total().packets;
        prop_assert_eq!(
            flows + apart.icmp_packets + apart.arp_packets + apart.orphan_fragments + apart.other_packets, count);
    }
}
