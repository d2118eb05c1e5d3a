//! Packets -> the messages of one login, search or call, in the order in which they passed. Pure.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddrV4;

use crate::experiment::call::replay::CallPacket;
use crate::meter::{Direction, Flow, FlowKey, FlowTable, Packet, Timestamp, Transport};

/// The first packets of a way of media that are messages of their own: they open and check it.
const MEDIA_APART: usize = 4;

/// The messages of one trial, as they passed the client's interface.
///
/// They are the flows that the table of bytes counts, with the same bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ladder {
    /// In the order of the capture.
    pub messages: Vec<Message>,
}

/// A packet that carries payload, or opens a TCP connection; or many packets of media.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message {
    /// Since the command, in seconds.
    pub after_s: f64,
    /// Out of the client, or into it.
    pub direction: Direction,
    /// UDP or TCP.
    pub transport: Transport,
    /// The other end.
    pub remote: SocketAddrV4,
    /// Payload, in bytes; of TCP only what had not passed before.
    pub payload_bytes: u64,
    /// TCP: it opens the connection.
    pub opens: bool,
    /// Packets that are told as one message: 1, or more of media.
    pub packets: u64,
    /// When the last of them passed, in seconds since the command.
    pub until_s: f64,
}

impl Ladder {
    /// Of a login: the flows that began in it, every TCP byte once. `started` is when the command was sent.
    #[must_use]
    pub fn of(packets: &[Packet], started: Timestamp) -> Self {
        Self::of_flows(packets, started, |flow| flow.begun)
    }

    /// Of a search: all flows, for it asks on a connection that was there before. Every TCP byte once.
    #[must_use]
    pub fn of_all(packets: &[Packet], started: Timestamp) -> Self {
        Self::of_flows(packets, started, |_| true)
    }

    fn of_flows(packets: &[Packet], started: Timestamp, which: impl Fn(&Flow) -> bool) -> Self {
        let mut table = FlowTable::new();
        let added: Vec<_> = packets.iter().filter_map(|packet| Some((packet, table.add(packet)?))).collect();
        let flows: HashSet<FlowKey> = table.flows().filter(which).map(|flow| flow.key).collect();
        let messages = added
            .into_iter()
            .filter(|(_, added)| flows.contains(&added.flow))
            .filter(|(_, added)| added.count.payload_bytes > 0 || added.opens)
            .map(|(packet, added)| Message {
                after_s: packet.time.seconds_since(started),
                direction: packet.direction,
                transport: added.flow.transport,
                remote: added.flow.remote,
                payload_bytes: added.count.payload_bytes,
                opens: added.opens,
                packets: 1,
                until_s: packet.time.seconds_since(started),
            })
            .collect();
        Self { messages }
    }

    /// Of a call: all its packets. Of media the first ones of each way are messages of their own; those that follow
    /// each other, whatever the direction, are one message for each direction.
    #[must_use]
    pub fn of_call(packets: &[CallPacket], started: Timestamp) -> Self {
        let mut messages: Vec<Message> = Vec::new();
        let mut known: HashMap<FlowKey, usize> = HashMap::new();
        // Where the messages are that the packets of a flow and direction are added to.
        let mut open: HashMap<(FlowKey, Direction), usize> = HashMap::new();
        for packet in packets {
            let at = packet.time.seconds_since(started);
            let seen = known.entry(packet.flow).or_insert(0);
            *seen += 1;
            let is_one_of_many = packet.media && !packet.opens && *seen > MEDIA_APART;
            let key = (packet.flow, packet.direction);
            if let (true, Some(&place)) = (is_one_of_many, open.get(&key)) {
                let message = &mut messages[place];
                message.payload_bytes += packet.payload_bytes;
                message.packets += 1;
                message.until_s = at;
                continue;
            }
            if is_one_of_many {
                open.insert(key, messages.len());
            } else {
                open.clear();
            }
            messages.push(Message {
                after_s: at,
                direction: packet.direction,
                transport: packet.flow.transport,
                remote: packet.flow.remote,
                payload_bytes: packet.payload_bytes,
                opens: packet.opens,
                packets: 1,
                until_s: at,
            });
        }
        Self { messages }
    }

    /// Payload of one transport in both directions, in bytes.
    #[must_use]
    pub fn payload_bytes(&self, transport: Transport) -> u64 {
        self.messages.iter().filter(|one| one.transport == transport).map(|one| one.payload_bytes).sum()
    }

    /// Payload of UDP and TCP in both directions, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.messages.iter().map(|one| one.payload_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const HERE: [u8; 4] = [192, 168, 1, 2];
    const THERE: [u8; 4] = [198, 18, 0, 7];

    fn packet(at: u64, direction: Direction, tcp: Option<(u32, bool)>, payload: &[u8]) -> Packet {
        let (from, to, ports) = match direction {
            Direction::Sent => (HERE, THERE, (5000, 80)),
            Direction::Received => (THERE, HERE, (80, 5000)),
        };
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
        let mut bytes = Vec::new();
        match tcp {
            None => ip.udp(ports.0, ports.1).write(&mut bytes, payload).unwrap(),
            Some((sequence, opens)) => {
                let tcp = ip.tcp(ports.0, ports.1, sequence, 1000);
                let tcp = if opens { tcp.syn() } else { tcp };
                tcp.write(&mut bytes, payload).unwrap();
            }
        }
        let length = u32::try_from(bytes.len()).unwrap();
        Packet { time: Timestamp::from_nanos(1_000_000_000 + at * 1_000_000), direction, length, bytes }
    }

    #[test]
    fn a_retransmission_is_no_message_and_the_bytes_are_the_tables() {
        use Direction::{Received, Sent};
        let packets = [
            packet(0, Sent, None, b"probe"),
            packet(10, Received, None, b"answer"),
            packet(20, Sent, Some((100, true)), b""),
            packet(30, Sent, Some((101, false)), b"hello"),
            packet(40, Sent, Some((101, false)), b"hello"),
            packet(50, Received, Some((900, false)), b"welcome"),
        ];
        let ladder = Ladder::of(&packets, Timestamp::from_nanos(1_000_000_000));
        let seen: Vec<_> = ladder.messages.iter().map(|one| (one.transport, one.payload_bytes)).collect();
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        assert_eq!(seen, [(udp, 5), (udp, 6), (tcp, 0), (tcp, 5), (tcp, 7)]);
        assert!((ladder.messages[3].after_s - 0.03).abs() < 1e-9);

        let mut table = FlowTable::new();
        for packet in &packets {
            let _ = table.add(packet);
        }
        assert_eq!(ladder.total_bytes(), table.traffic(|flow| flow.begun).total().payload_bytes);
        assert_eq!((ladder.payload_bytes(udp), ladder.payload_bytes(tcp)), (11, 12));
    }

    #[test]
    fn what_is_left_over_from_before_is_in_a_search_and_not_in_a_login() {
        let packets = [packet(0, Direction::Received, Some((900, false)), b"late")];
        assert_eq!(Ladder::of(&packets, Timestamp::from_nanos(0)), Ladder::default());
        assert_eq!(Ladder::of_all(&packets, Timestamp::from_nanos(0)).total_bytes(), 4);
    }

    #[test]
    fn media_packets_are_told_as_one_message_until_something_else_passes() {
        let flow = |port| FlowKey {
            transport: Transport::Udp,
            local: "192.168.1.2:5000".parse().unwrap(),
            remote: SocketAddrV4::new(THERE.into(), port),
        };
        let packet = |at: u64, direction, media: bool| CallPacket {
            time: Timestamp::from_nanos(at * 1_000_000),
            direction,
            flow: flow(if media { 80 } else { 81 }),
            payload_bytes: 10,
            opens: false,
            media,
        };
        let both = [Direction::Sent, Direction::Received];
        let mut packets: Vec<_> =
            (0..20).map(|at| packet(at, both[usize::from(at % 2 == 1)], true)).collect();
        packets.push(packet(30, Direction::Sent, false));
        packets.extend((40..44).map(|at| packet(at, Direction::Sent, true)));
        let ladder = Ladder::of_call(&packets, Timestamp::from_nanos(0));
        let seen: Vec<_> = ladder.messages.iter().map(|one| (one.packets, one.payload_bytes)).collect();
        let one = (1, 10);
        assert_eq!(seen, [one, one, one, one, (8, 80), (8, 80), one, (4, 40)]);
        assert_eq!(ladder.total_bytes(), 250, "every packet is in it once");
        let last = &ladder.messages[7];
        assert!((last.after_s - 0.04).abs() < 1e-9 && (last.until_s - 0.043).abs() < 1e-9);
    }
}
