//! Which of the packets at a client's interface are media, and when they passed.
//!
//! Nothing of this comes from the nodes. A media packet has its token and number in clear, and what is around
//! it on a TCP connection is obfuscated under a seed in clear: whoever sees the packets can read as much.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use overlay_protocol::wire::call::MediaPacket;
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::wire::super_node::{FromSuperNode, ToSuperNode};

use crate::meter::{Direction, FlowKey, Timestamp, Transport};

/// Numbers from here on are no voice.
const VOICE_BELOW: u32 = 1 << 31;
/// Fewer packets than this make no media path.
const LEAST: usize = 10;

/// A packet with payload, as it passed.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub time: Timestamp,
    pub direction: Direction,
    pub flow: FlowKey,
    pub sequence: u32,
    pub payload: Vec<u8>,
    /// The whole IP packet.
    pub ip_bytes: u32,
}

/// A media packet of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MediaSeen {
    pub time: Timestamp,
    pub direction: Direction,
    pub number: u32,
    /// UDP payload, or the frame on the TCP connection.
    pub bytes: usize,
}

/// The media packets of every flow that carries some.
pub(super) fn media(passed: &[Passed]) -> BTreeMap<FlowKey, Vec<MediaSeen>> {
    let mut flows: BTreeMap<FlowKey, Vec<&Passed>> = BTreeMap::new();
    for packet in passed {
        flows.entry(packet.flow).or_default().push(packet);
    }
    flows
        .into_iter()
        .map(|(flow, packets)| {
            let seen = match flow.transport {
                Transport::Udp => datagrams(&packets),
                Transport::Tcp => frames(&packets),
            };
            (flow, seen)
        })
        .filter(|(_, seen)| seen.len() >= LEAST)
        .collect()
}

/// Of the datagrams of a flow those that have the token of most of them, both ways, and numbers that go up.
fn datagrams(packets: &[&Passed]) -> Vec<MediaSeen> {
    let mut tokens: BTreeMap<[u8; 4], Vec<MediaSeen>> = BTreeMap::new();
    for packet in packets {
        if let Some(media) = MediaPacket::parse(&packet.payload)
            && media.sequence < VOICE_BELOW
        {
            tokens.entry(media.token).or_default().push(MediaSeen {
                time: packet.time,
                direction: packet.direction,
                number: media.sequence,
                bytes: packet.payload.len(),
            });
        }
    }
    // Obfuscated datagrams begin with a seed of their own each: no two share a token.
    tokens.into_values().filter(|seen| seen.len() >= LEAST).flatten().collect()
}

/// The media frames on a connection, each at the moment when its last byte first passed.
fn frames(packets: &[&Passed]) -> Vec<MediaSeen> {
    let mut seen = Vec::new();
    for direction in [Direction::Sent, Direction::Received] {
        let mut stream = Stream::default();
        for (time, bytes) in in_order(packets, direction) {
            stream.receive(&bytes);
            loop {
                let packet = match direction {
                    Direction::Sent => match stream.next_message::<ToSuperNode>() {
                        Ok(Some(ToSuperNode::RelayedMedia { packet })) => Some(packet),
                        Ok(Some(_)) => None,
                        Ok(None) => break,
                        Err(_) => return seen,
                    },
                    Direction::Received => match stream.next_message::<FromSuperNode>() {
                        Ok(Some(FromSuperNode::RelayedMedia { packet })) => Some(packet),
                        Ok(Some(_)) => None,
                        Ok(None) => break,
                        Err(_) => return seen,
                    },
                };
                let media = packet.as_ref().and_then(|packet| MediaPacket::parse(packet.as_slice()));
                if let (Some(media), Some(packet)) = (media, &packet)
                    && media.sequence < VOICE_BELOW
                {
                    // Header of the frame, and the length of the packet in it.
                    let bytes = overlay_protocol::wire::HEADER + 2 + packet.as_slice().len();
                    seen.push(MediaSeen { time, direction, number: media.sequence, bytes });
                }
            }
        }
    }
    seen
}

/// The bytes of one direction of a connection in their order, each when it could first be read.
fn in_order(packets: &[&Passed], direction: Direction) -> Vec<(Timestamp, Vec<u8>)> {
    let mut waiting: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut next: Option<u64> = None;
    let mut base = 0_u32;
    let mut pieces = Vec::new();
    for packet in packets.iter().filter(|packet| packet.direction == direction && !packet.payload.is_empty())
    {
        // Without a piece before it, the first one seen is the first: captures begin before connections.
        let start = if next.is_some() {
            u64::from(packet.sequence.wrapping_sub(base))
        } else {
            base = packet.sequence;
            next = Some(0);
            0
        };
        // Far ahead is far behind, wrapped around: sent again.
        if start < 1 << 31 {
            waiting.insert(start, packet.payload.clone());
        }
        while let (Some(at), Some((&start, _))) = (next, waiting.first_key_value()) {
            if start > at {
                break;
            }
            let Some((start, payload)) = waiting.pop_first() else {
                break;
            };
            let known = usize::try_from(at - start).unwrap_or(usize::MAX).min(payload.len());
            if known < payload.len() {
                next = Some(start + payload.len() as u64);
                pieces.push((packet.time, payload[known..].to_vec()));
            }
        }
    }
    pieces
}

/// Interarrival jitter of RFC 3550, section 6.4.1: its mean over the packets, in milliseconds. Pairs of when sent
/// and when received, in the order of arrival.
pub(super) fn jitter_ms(transits: &[(Timestamp, Timestamp)]) -> f64 {
    running_jitter_ms(transits).sum::<f64>() / (transits.len().max(2) - 1) as f64
}

/// The same as it was when each packet came; 0 at the first.
pub(super) fn running_jitter_ms(transits: &[(Timestamp, Timestamp)]) -> impl Iterator<Item = f64> {
    let mut jitter = 0.0_f64;
    let steps = transits.windows(2).map(move |pair| {
        let [(sent, came), (next_sent, next_came)] = [pair[0], pair[1]];
        let difference = next_came.seconds_since(came) - next_sent.seconds_since(sent);
        jitter += (difference.abs() - jitter) / 16.0;
        1e3 * jitter
    });
    transits.first().map(|_| 0.0).into_iter().chain(steps)
}

/// Whether an address is this one's, whatever the port.
pub(super) fn is_at(address: SocketAddrV4, ips: &[std::net::Ipv4Addr]) -> bool {
    ips.contains(address.ip())
}

#[cfg(test)]
mod tests {
    use overlay_protocol::wire::Bytes;
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn packet(number: u32) -> Vec<u8> {
        let mut packet = vec![9, 9, 9, 9];
        packet.extend(number.to_be_bytes());
        packet.extend([3; 63]);
        packet
    }

    fn passed(transport: Transport, ms: u64, sequence: u32, payload: Vec<u8>) -> Passed {
        let flow = FlowKey {
            transport,
            local: "10.0.0.1:1".parse().unwrap(),
            remote: "198.18.0.1:2".parse().unwrap(),
        };
        Passed { time: at(ms), direction: Direction::Sent, flow, sequence, payload, ip_bytes: 0 }
    }

    #[test]
    fn datagrams_with_one_token_are_media_and_others_are_not() {
        let mut all: Vec<_> =
            (0..20).map(|n| passed(Transport::Udp, u64::from(n) * 15, 0, packet(n))).collect();
        all.extend((0..20_u8).map(|n| passed(Transport::Udp, u64::from(n), 0, vec![100 + n; 40])));
        let media = media(&all);
        let seen = media.values().next().unwrap();
        assert_eq!(seen.len(), 20);
        assert!(seen.iter().all(|seen| seen.bytes == 71));
    }

    #[test]
    fn frames_are_found_on_a_connection_whose_segments_are_cut_repeated_and_reordered() {
        let mut random = ChaCha12Rng::seed_from_u64(1);
        let mut stream = Stream::default();
        let mut bytes = stream.send(&mut random, &ToSuperNode::Hello {});
        for number in 0..20 {
            let packet = Bytes::new(packet(number)).unwrap();
            bytes.extend(stream.send(&mut random, &ToSuperNode::RelayedMedia { packet }));
        }
        let first = u32::MAX - 300; // The numbers wrap around.
        let mut all: Vec<_> = bytes
            .chunks(50)
            .enumerate()
            .map(|(place, piece)| {
                let sequence = first.wrapping_add(u32::try_from(place * 50).unwrap());
                passed(Transport::Tcp, place as u64, sequence, piece.to_vec())
            })
            .collect();
        all.swap(3, 4);
        let again = all[5].clone();
        all.insert(8, again);
        let media = media(&all);
        let numbers: Vec<_> = media.values().next().unwrap().iter().map(|seen| seen.number).collect();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert!(media.values().next().unwrap().iter().all(|seen| seen.bytes == 77));
    }

    #[test]
    fn jitter_is_nothing_on_an_even_path_and_near_the_differences_on_an_uneven_one() {
        let even: Vec<_> = (0..200).map(|n| (at(n * 15), at(n * 15 + 40))).collect();
        assert!(jitter_ms(&even) < 1e-9);
        let uneven: Vec<_> = (0..2_000).map(|n| (at(n * 15), at(n * 15 + 40 + 4 * (n % 2)))).collect();
        assert!((jitter_ms(&uneven) - 4.0).abs() < 0.1, "{}", jitter_ms(&uneven));
    }
}
