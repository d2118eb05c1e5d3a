//! A captured packet, and what its headers say.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etherparse::{EtherType, Ethernet2Slice, IpNumber, Ipv4Slice, TcpSlice, UdpHeaderSlice};
use serde::{Deserialize, Serialize};

/// A moment by the machine's real-time clock, in nanoseconds since 1970-01-01 UTC.
///
/// The kernel stamps packets with this clock. Durations between a command and an event are taken from
/// the monotonic clock instead. As text it is RFC 3339 with nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = humantime::TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self::from(humantime::parse_rfc3339(&text)?))
    }
}

impl From<SystemTime> for Timestamp {
    /// The nearest moment that there is a number for: from 1970 to 2554.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Timestamp {
    /// The moment that many nanoseconds after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds from `earlier` to `self`; negative if `earlier` is the later one.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        let nanos = i128::from(self.0) - i128::from(earlier.0);
        nanos as f64 / 1e9
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(self.0)).fmt(f)
    }
}

/// Which way a packet passed the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Out of the namespace, onto the link.
    Sent,
    /// From the link, into the namespace.
    Received,
}

/// A packet as it passed an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When the kernel saw it.
    pub time: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// Its length on the link, in bytes, link-layer header included.
    pub length: u32,
    /// The packet from its Ethernet header on; fewer bytes than `length` only if it did not fit the buffer.
    pub bytes: Vec<u8>,
}

/// The transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// UDP (RFC 768).
    Udp,
    /// TCP (RFC 9293).
    Tcp,
}

/// What the fragments of one IPv4 packet have in common (RFC 791, section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Transport protocol.
    pub transport: Transport,
    /// Identification.
    pub identification: u16,
}

/// A UDP or TCP packet, or the first fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// UDP or TCP.
    pub transport: Transport,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Whom it is for.
    pub destination: SocketAddrV4,
    /// Length of the IP packet with its header: the total-length field.
    pub ip_bytes: u32,
    /// Length of the transport's header, in bytes.
    pub header_bytes: u32,
    /// Bytes behind the transport's header.
    pub payload_bytes: u32,
    /// TCP: the sequence number of the first payload byte.
    pub sequence: u32,
    /// TCP: this opens a connection (SYN without ACK).
    pub opens: bool,
    /// Set if more fragments of the packet follow.
    pub fragment: Option<FragmentKey>,
}

/// What a packet is, by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// UDP or TCP over IPv4.
    Segment(Segment),
    /// A later fragment of a UDP or TCP packet: its ports stood in the first one.
    Fragment {
        /// Which packet it is of.
        key: FragmentKey,
        /// Where its bytes belong in the payload of the whole IP packet.
        offset: u32,
        /// Bytes behind the IP header.
        payload_bytes: u32,
        /// Length of this fragment with its IP header.
        ip_bytes: u32,
    },
    /// ICMP over IPv4.
    Icmp {
        /// Length of the IP packet with its header.
        ip_bytes: u32,
    },
    /// ARP.
    Arp,
    /// Anything else, malformed packets and IPv6 (which labs do not have) included.
    Other,
}

/// Reads the headers of an Ethernet frame. Never fails: what is not understood is [`Parsed::Other`].
///
/// IP-level length is the header's, not the frame's: Ethernet pads short frames.
#[must_use]
pub fn parse(frame: &[u8]) -> Parsed {
    let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(frame) else { return Parsed::Other };
    match ethernet.ether_type() {
        EtherType::IPV4 => parse_ipv4(ethernet.payload_slice()).unwrap_or(Parsed::Other),
        EtherType::ARP => Parsed::Arp,
        _ => Parsed::Other,
    }
}

fn parse_ipv4(bytes: &[u8]) -> Option<Parsed> {
    let ip = Ipv4Slice::from_slice(bytes).ok()?;
    let header = ip.header();
    let ip_bytes = u32::from(header.total_len());
    let transport = match ip.payload().ip_number {
        IpNumber::UDP => Transport::Udp,
        IpNumber::TCP => Transport::Tcp,
        IpNumber::ICMP => return Some(Parsed::Icmp { ip_bytes }),
        _ => return None,
    };
    let payload = ip.payload().payload;
    let key = FragmentKey {
        source: header.source_addr(),
        destination: header.destination_addr(),
        transport,
        identification: header.identification(),
    };
    let offset = u32::from(header.fragments_offset().value()) * 8;
    if offset > 0 {
        return Some(Parsed::Fragment { key, offset, payload_bytes: length(payload.len()), ip_bytes });
    }
    let fragment = header.more_fragments().then_some(key);
    let (source, destination, header_bytes, payload_bytes, sequence, opens) = match transport {
        Transport::Udp => {
            let udp = UdpHeaderSlice::from_slice(payload).ok()?;
            let here = payload.len() - udp.slice().len();
            // The length field can say less than there is (RFC 768 leaves the rest undefined), but in a
            // first fragment it tells of the whole datagram, of which this is a part.
            let said = usize::from(udp.length()).saturating_sub(udp.slice().len());
            let count = if udp.length() == 0 { here } else { here.min(said) };
            (udp.source_port(), udp.destination_port(), udp.slice().len(), count, 0, false)
        }
        Transport::Tcp => {
            let tcp = TcpSlice::from_slice(payload).ok()?;
            // SYN takes a sequence number of its own (RFC 9293, section 3.4).
            let first = tcp.sequence_number().wrapping_add(u32::from(tcp.syn()));
            let header_bytes = tcp.header_slice().len();
            let opens = tcp.syn() && !tcp.ack();
            (tcp.source_port(), tcp.destination_port(), header_bytes, tcp.payload().len(), first, opens)
        }
    };
    Some(Parsed::Segment(Segment {
        transport,
        source: SocketAddrV4::new(key.source, source),
        destination: SocketAddrV4::new(key.destination, destination),
        ip_bytes,
        header_bytes: length(header_bytes),
        payload_bytes: length(payload_bytes),
        sequence,
        opens,
        fragment,
    }))
}

/// A length within an IPv4 packet.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("an IPv4 packet has at most 65,535 bytes")
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_of_a_short_frame_is_no_part_of_the_ip_packet() {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1000, 2000)
            .write(&mut frame, b"hello")
            .unwrap();
        frame.resize(60, 0);
        let Parsed::Segment(segment) = parse(&frame) else { panic!("{:?}", parse(&frame)) };
        assert_eq!(segment.ip_bytes, 20 + 8 + 5);
        assert_eq!(segment.payload_bytes, 5);
        assert_eq!(segment.source, "10.0.0.1:1000".parse().unwrap());
        assert_eq!(segment.destination, "10.0.0.2:2000".parse().unwrap());
    }

    #[test]
    fn a_syn_opens_and_takes_a_sequence_number_but_its_answer_does_not_open() {
        let build = |answer: bool| {
            let mut frame = Vec::new();
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
                .tcp(1000, 80, u32::MAX, 1000)
                .syn();
            let builder = if answer { builder.ack(7) } else { builder };
            builder.write(&mut frame, &[]).unwrap();
            match parse(&frame) {
                Parsed::Segment(segment) => segment,
                other => panic!("{other:?}"),
            }
        };
        assert!(build(false).opens);
        assert_eq!(build(false).sequence, 0);
        assert!(!build(true).opens);
    }

    #[test]
    fn times_print_as_utc() {
        let time = Timestamp::from_nanos(1_136_214_245_000_001_000);
        assert_eq!(time.to_string(), "2006-01-02T15:04:05.000001000Z");
        assert_eq!(Timestamp::try_from(time.to_string()), Ok(time));
        assert!((Timestamp::from_nanos(1).seconds_since(Timestamp::from_nanos(2)) + 1e-9).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_called_other(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_change_to_a_good_packet_is_parsed_or_called_other(
            tcp in any::<bool>(),
            changes in proptest::collection::vec((0usize..100, any::<u8>()), 1..8),
            cut in 0usize..100,
        ) {
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
            let mut frame = Vec::new();
            if tcp {
                builder.tcp(1, 2, 3, 4).write(&mut frame, &[7; 46]).unwrap();
            } else {
                builder.udp(1, 2).write(&mut frame, &[7; 58]).unwrap();
            }
            for (at, byte) in changes {
                if let Some(place) = frame.get_mut(at) { *place = byte }
            }
            frame.truncate(frame.len() - cut.min(frame.len()));
            if let Parsed::Segment(segment) = parse(&frame) {
                prop_assert!(segment.ip_bytes as usize <= frame.len());
                prop_assert!(segment.payload_bytes < segment.ip_bytes);
            }
        }
    }
}
