//! What the programs keep in their maps, byte by byte, and where packets have what they look at.

/// `struct __sk_buff` of `linux/bpf.h`: offsets of what the programs read and write.
pub(super) mod packet {
    pub(in super::super) const LENGTH: i16 = 0;
    /// Whom the frame is for: 0 is this host (`PACKET_HOST`).
    pub(in super::super) const KIND: i16 = 4;
    pub(in super::super) const MARK: i16 = 8;
    pub(in super::super) const PROTOCOL: i16 = 16;
    pub(in super::super) const INTERFACE: i16 = 40;
    /// A number that nobody else uses, and that stays with the packet on its way through the gateway.
    pub(in super::super) const TURN: i16 = 44;
    /// The number that the program was attached with: the gateway.
    pub(in super::super) const GATEWAY: i16 = 72;
    pub(in super::super) const BEGIN: i16 = 76;
    pub(in super::super) const END: i16 = 80;
}

/// An Ethernet frame with IPv4 without options: offsets from its beginning.
pub(super) mod frame {
    /// Both hardware addresses, 12 bytes.
    pub(in super::super) const HARDWARE: i16 = 0;
    /// Version and length of the header: 0x45.
    pub(in super::super) const VERSION: i16 = 14;
    pub(in super::super) const TOTAL: i16 = 16;
    pub(in super::super) const IDENTIFICATION: i16 = 18;
    pub(in super::super) const FRAGMENT: i16 = 20;
    pub(in super::super) const TTL: i16 = 22;
    pub(in super::super) const PROTOCOL: i16 = 23;
    pub(in super::super) const CHECKSUM: i32 = 24;
    /// Source, destination, source port, destination port: 12 bytes.
    pub(in super::super) const ENDS: i16 = 26;
    pub(in super::super) const UDP_CHECKSUM: i32 = 40;
    pub(in super::super) const UDP_END: i32 = 42;
    /// Words of the TCP header, in the upper half of the byte.
    pub(in super::super) const TCP_WORDS: i16 = 46;
    pub(in super::super) const TCP_FLAGS: i16 = 47;
    pub(in super::super) const TCP_CHECKSUM: i32 = 50;
    pub(in super::super) const TCP_END: i32 = 54;
    /// Ethernet's header.
    pub(in super::super) const HEADER: i32 = 14;
}

/// A flow as it arrives: the key of the flows, 24 bytes.
pub(super) mod flow {
    /// Addresses and ports, as in the packet: 12 bytes.
    pub(in super::super) const ENDS: i16 = 0;
    pub(in super::super) const PORTS: i16 = 8;
    pub(in super::super) const GATEWAY: i16 = 12;
    pub(in super::super) const INTERFACE: i16 = 16;
    pub(in super::super) const PROTOCOL: i16 = 20;
    pub(in super::super) const SIZE: i16 = 24;
}

/// What becomes of the packets of a flow: the value of the flows, 56 bytes.
pub(super) mod way {
    /// Until when, on the kernel's monotonic clock, nanoseconds.
    pub(in super::super) const UNTIL: i16 = 0;
    /// The gateway's time since its last restart that it was learned in.
    pub(in super::super) const ERA: i16 = 8;
    pub(in super::super) const INTERFACE: i16 = 12;
    /// Addresses and ports that the packets leave with.
    pub(in super::super) const ENDS: i16 = 16;
    pub(in super::super) const PORTS: i16 = 24;
    /// What the checksums change by: IP's, the transport's for addresses, the transport's for ports.
    pub(in super::super) const IP_DIFFERENCE: i16 = 28;
    pub(in super::super) const ADDRESS_DIFFERENCE: i16 = 32;
    pub(in super::super) const PORT_DIFFERENCE: i16 = 36;
    pub(in super::super) const HARDWARE: i16 = 40;
    /// Where the gateway counts them.
    pub(in super::super) const INWARDS: i16 = 52;
    pub(in super::super) const SIZE: i16 = 56;
}

/// The packet that a processor has last let go the ordinary way: one for each processor, 48 bytes.
pub(super) mod last {
    /// Its flow.
    pub(in super::super) const FLOW: i16 = 0;
    /// Its [`packet::TURN`]; 0: none.
    pub(in super::super) const TURN: i16 = 24;
    pub(in super::super) const TOTAL: i16 = 28;
    pub(in super::super) const IDENTIFICATION: i16 = 30;
    pub(in super::super) const TTL: i16 = 32;
    /// The gateway's time since its last restart when it came.
    pub(in super::super) const ERA: i16 = 36;
    /// When it came, on the kernel's monotonic clock, nanoseconds.
    pub(in super::super) const SINCE: i16 = 40;
    pub(in super::super) const SIZE: i16 = 48;
}

/// A gateway, 64 bytes: [`Gateway`].
pub(super) mod gateway {
    pub(in super::super) const ERA: i16 = 0;
    pub(in super::super) const OUTSIDE: i16 = 4;
    pub(in super::super) const UDP: i16 = 8;
    pub(in super::super) const TCP: i16 = 16;
    pub(in super::super) const SENT: i16 = 24;
    pub(in super::super) const RECEIVED: i16 = 40;
    pub(in super::super) const TRANSITORY: i16 = 56;
    /// [`ON`](super::ON), [`TCP`](super::TCP).
    pub(in super::super) const STATE: i16 = 60;
    #[cfg(test)]
    pub(in super::super) const SIZE: i16 = 64;
}

/// The gateway's packets may take the fast path.
pub(super) const ON: u32 = 1;
/// The programs can see to TCP.
pub(super) const TCP: u32 = 2;

/// What the programs know of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gateway {
    /// Changes with each restart: what was learned in another one does not count.
    pub(super) era: u32,
    /// Number of the outside interface.
    pub(super) outside: u32,
    /// How long what was learned of UDP holds, nanoseconds; 0: nothing is learned.
    pub(super) udp: u64,
    /// The same of TCP.
    pub(super) tcp: u64,
    /// Packets and bytes that left, and that came in.
    pub(super) sent: [u64; 2],
    /// Packets and bytes that came in.
    pub(super) received: [u64; 2],
    /// How long a connection that was reset lives on in connection tracking, milliseconds.
    pub(super) transitory: u32,
    /// Bits: [`ON`], [`TCP`].
    pub(super) state: u32,
}

/// Bytes of a [`Gateway`].
pub(super) const GATEWAY_SIZE: usize = 64;

impl Gateway {
    pub(super) fn to_bytes(self) -> [u8; GATEWAY_SIZE] {
        let mut bytes = [0; GATEWAY_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &self.era.to_ne_bytes());
        put(4, &self.outside.to_ne_bytes());
        let long = [self.udp, self.tcp, self.sent[0], self.sent[1], self.received[0], self.received[1]];
        for (at, value) in (8..).step_by(8).zip(long) {
            put(at, &value.to_ne_bytes());
        }
        put(56, &self.transitory.to_ne_bytes());
        put(60, &self.state.to_ne_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8; GATEWAY_SIZE]) -> Self {
        let short = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u32::from_ne_bytes);
        let long = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u64::from_ne_bytes);
        Self {
            era: short(0),
            outside: short(4),
            udp: long(8),
            tcp: long(16),
            sent: [long(24), long(32)],
            received: [long(40), long(48)],
            transitory: short(56),
            state: short(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_written_where_the_programs_look() {
        let known = Gateway {
            era: 1,
            outside: 2,
            udp: 3,
            tcp: 4,
            sent: [5, 6],
            received: [7, 8],
            transitory: 9,
            state: 10,
        };
        let bytes = known.to_bytes();
        assert_eq!(Gateway::of_bytes(&bytes), known);
        assert_eq!(bytes.len(), usize::try_from(gateway::SIZE).unwrap());
        for (at, value) in [
            (gateway::ERA, 1),
            (gateway::OUTSIDE, 2),
            (gateway::UDP, 3),
            (gateway::TCP, 4),
            (gateway::SENT, 5),
            (gateway::RECEIVED, 7),
            (gateway::TRANSITORY, 9),
            (gateway::STATE, 10),
        ] {
            let at = usize::try_from(at).unwrap();
            assert_eq!(u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap()), value, "at {at}");
        }
    }
}
