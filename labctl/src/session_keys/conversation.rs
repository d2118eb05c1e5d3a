//! What clients said to a login server, put together from the frames of a capture.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use overlay_protocol::wire::login_server::ToLoginServer;
use overlay_protocol::wire::stream::Stream;

use crate::meter::{Parsed, Transport, parse};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// One direction of a connection, from its SYN on.
#[derive(Debug, Default)]
struct Direction {
    /// Sequence number of the first byte.
    first: u32,
    /// Pieces by where they begin, counted from the first byte.
    pieces: BTreeMap<u32, Vec<u8>>,
}

impl Direction {
    /// The bytes from the first on, up to the first gap.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (&start, piece) in &self.pieces {
            let Some(known) = bytes.len().checked_sub(start as usize) else { break };
            if let Some(more) = piece.get(known..) {
                bytes.extend_from_slice(more);
            }
        }
        bytes
    }
}

/// All requests to the login server at this address. A connection that began before the capture is left out.
pub(super) fn requests(frames: &[Vec<u8>], server: SocketAddrV4) -> Vec<ToLoginServer> {
    let mut done = Vec::new();
    let mut open: BTreeMap<SocketAddrV4, Direction> = BTreeMap::new();
    for frame in frames {
        let Parsed::Segment(segment) = parse(frame) else { continue };
        if segment.transport != Transport::Tcp || segment.destination != server {
            continue;
        }
        if segment.opens {
            // The meter counts the SYN itself: it is the number of the first byte.
            let first = segment.sequence;
            // A SYN that is sent again begins nothing new.
            if open.get(&segment.source).is_none_or(|direction| direction.first != first) {
                let direction = Direction { first, ..Direction::default() };
                done.extend(open.insert(segment.source, direction));
            }
            continue;
        }
        let Some(direction) = open.get_mut(&segment.source) else { continue };
        let end = ETHERNET + segment.ip_bytes as usize;
        let payload = frame.get(end - segment.payload_bytes as usize..end).unwrap_or_default();
        let start = segment.sequence.wrapping_sub(direction.first);
        // Far ahead is behind: a keep-alive repeats the byte before the next one.
        if !payload.is_empty() && start < 1 << 31 {
            let piece = direction.pieces.entry(start).or_default();
            if piece.len() < payload.len() {
                *piece = payload.to_vec();
            }
        }
    }
    done.extend(open.into_values());
    done.iter().flat_map(|direction| messages(&direction.bytes())).collect()
}

fn messages(bytes: &[u8]) -> Vec<ToLoginServer> {
    let mut stream = Stream::default();
    stream.receive(bytes);
    std::iter::from_fn(|| stream.next_message().ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use overlay_protocol::wire::Bytes;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    const CLIENT: &str = "192.168.1.2:40000";
    const SERVER: &str = "198.18.0.2:33033";

    /// An Ethernet frame with a TCP segment from client to server.
    fn frame(sequence: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
        let (client, server): (SocketAddrV4, SocketAddrV4) =
            (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(client.ip().octets(), server.ip().octets(), 64)
            .tcp(client.port(), server.port(), sequence, 1000);
        let builder = if syn { builder.syn() } else { builder.ack(1) };
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).unwrap();
        frame
    }

    fn login(fill: u8) -> ToLoginServer {
        ToLoginServer::Login {
            key: Bytes::new(vec![fill; 192]).unwrap(),
            sealed: Bytes::new(vec![fill; 200]).unwrap(),
        }
    }

    #[test]
    fn a_request_is_put_together_from_pieces_in_any_order_and_sent_twice() {
        let mut random = ChaCha20Rng::seed_from_u64(1);
        let bytes = Stream::default().send(&mut random, &login(7));
        let first = u32::MAX - 50; // The numbers wrap around.
        let mut frames = vec![frame(first, true, &[]), frame(first, true, &[])];
        let mut pieces: Vec<_> = bytes
            .chunks(60)
            .enumerate()
            .map(|(n, piece)| frame(first.wrapping_add(1 + 60 * u32::try_from(n).unwrap()), false, piece))
            .collect();
        pieces.swap(1, 3);
        let again = pieces[2].clone();
        pieces.push(again);
        frames.extend(pieces);
        let found = requests(&frames, SERVER.parse().unwrap());
        let [ToLoginServer::Login { key, .. }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(key.as_slice(), [7; 192]);
    }

    #[test]
    fn two_connections_from_one_port_are_two_conversations() {
        let mut random = ChaCha20Rng::seed_from_u64(2);
        let mut frames = Vec::new();
        for (first, fill) in [(10, 1), (5_000_000, 2)] {
            frames.push(frame(first, true, &[]));
            frames.push(frame(first + 1, false, &Stream::default().send(&mut random, &login(fill))));
        }
        assert_eq!(requests(&frames, SERVER.parse().unwrap()).len(), 2);
        assert!(requests(&frames, CLIENT.parse().unwrap()).is_empty());
    }
}
