//! Packet queues of netfilter (NFQUEUE): takes the heads of packets from the kernel and tells it what to
//! do with them. The packets themselves stay in the kernel.
//!
//! The `nfq` crate keeps a buffer of 4 KB for each packet that waits and sends verdicts one by one; here a
//! waiting packet is a number, and one system call carries many verdicts. The messages are those of
//! `linux/netfilter/nfnetlink.h` and `nfnetlink_queue.h`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::{fs, mem};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};

use serde::{Deserialize, Serialize};

use super::super::link::InterfaceIndex;
use super::super::{NetError, sys};
use super::access::Bytes;

/// Bytes of each packet that the kernel copies: none is needed, but without a copy it does not say how
/// long the packet is.
const COPY: u32 = 4;
/// Packets that one queue holds at most. The engine's own limit is reached before, unless all traffic is
/// between two addresses.
const QUEUE_LENGTH: u32 = 131_072;
/// Buffer for packets that the kernel has announced and the engine has not read: some 50,000.
const RECEIVE_BUFFER: usize = 32 << 20;
/// Verdicts are sent off when there are so many bytes of them.
const VERDICT_BATCH: usize = 16 << 10;

const SUBSYSTEM: u16 = 3; // NFNL_SUBSYS_QUEUE
const PACKET: u16 = SUBSYSTEM << 8; // NFQNL_MSG_PACKET
const VERDICT: u16 = SUBSYSTEM << 8 | 1; // NFQNL_MSG_VERDICT
const CONFIG: u16 = SUBSYSTEM << 8 | 2; // NFQNL_MSG_CONFIG
const ERROR: u16 = 2; // NLMSG_ERROR
const REQUEST: u16 = 1; // NLM_F_REQUEST
const ACK: u16 = 4; // NLM_F_ACK
const HEADER: usize = 16; // struct nlmsghdr
const FAMILY_HEADER: usize = 4; // struct nfgenmsg

/// A packet that waits in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRef {
    queue: u16,
    id: u32,
}

/// What the kernel says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The packet.
    pub packet: PacketRef,
    /// Interface that it came from; 0 if none.
    pub from: InterfaceIndex,
    /// Interface that it would leave by; 0 if none.
    pub to: InterfaceIndex,
    /// Its length.
    pub length: Bytes,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is dropped.
    Drop,
    /// It goes on.
    Accept,
}

/// Packets that the kernel dropped because nobody took them, since the queues were bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelDrops {
    /// A queue was full.
    pub queue: u64,
    /// The engine did not read fast enough.
    pub unread: u64,
}

/// A socket that has bound packet queues of the namespace in which it was opened. If it is closed, the
/// kernel drops what waits.
#[derive(Debug)]
pub struct QueueSocket {
    fd: OwnedFd,
    received: Vec<u8>,
    verdicts: Vec<u8>,
    /// Packets that came while a queue was set up.
    early: Vec<Packet>,
}

impl QueueSocket {
    /// Binds the queues 0 to `count - 1` of the calling thread's namespace.
    pub fn bind(count: u16) -> Result<Self, NetError> {
        let mut queues = Self::open().map_err(|source| NetError::Queue { action: "open it", source })?;
        for queue in 0..count {
            queues.configure(queue).map_err(|source| NetError::Queue { action: "bind it", source })?;
        }
        Ok(queues)
    }

    fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        sys::set_no_enobufs(&fd)?;
        setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
        Ok(Self { fd, received: vec![0; 8 << 10], verdicts: Vec::new(), early: Vec::new() })
    }

    /// Binds one queue and waits for the kernel's answer.
    fn configure(&mut self, queue: u16) -> io::Result<()> {
        let mut message = Vec::new();
        begin(&mut message, CONFIG, REQUEST | ACK, queue);
        // NFQA_CFG_CMD: struct nfqnl_msg_config_cmd { NFQNL_CFG_CMD_BIND, pad, pf }
        attribute(&mut message, 1, &[1, 0, 0, 0]);
        // NFQA_CFG_PARAMS: struct nfqnl_msg_config_params { copy_range, NFQNL_COPY_PACKET }
        let mut params = [0, 0, 0, 0, 2];
        params[..4].copy_from_slice(&COPY.to_be_bytes());
        attribute(&mut message, 2, &params);
        // NFQA_CFG_QUEUE_MAXLEN
        attribute(&mut message, 3, &QUEUE_LENGTH.to_be_bytes());
        end(&mut message, 0);
        send(self.fd.as_raw_fd(), &message, MsgFlags::empty())?;
        // The kernel has answered by the time that `send` returns: its answer is there, perhaps behind
        // packets.
        let mut early = mem::take(&mut self.early);
        let answer = loop {
            if let Some(answer) = self.read(&mut early)? {
                break answer;
            }
        };
        self.early = early;
        answer
    }

    /// Reads what one system call gives: packets are added to `packets`. The answer to a request is
    /// returned, should one be among them.
    fn read(&mut self, packets: &mut Vec<Packet>) -> io::Result<Option<io::Result<()>>> {
        let length = recv(self.fd.as_raw_fd(), &mut self.received, MsgFlags::empty())?;
        let mut answer = None;
        for (kind, body) in Messages(&self.received[..length]) {
            match kind {
                PACKET => packets.extend(parse_packet(body)),
                ERROR => answer = Some(parse_answer(body)),
                _ => {}
            }
        }
        Ok(answer)
    }

    /// Adds packets that have come to `packets`, at least one and not many more than `limit`; `false` if
    /// there are none.
    pub fn receive(&mut self, packets: &mut Vec<Packet>, limit: usize) -> Result<bool, NetError> {
        packets.append(&mut self.early);
        while packets.len() < limit {
            match self.read(packets) {
                // Answers are to verdicts on packets which the kernel has dropped meanwhile, because
                // their interface has gone. There is nothing left to do for those.
                Ok(_) => {}
                // The kernel could not keep a message; it counts the packet as dropped.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EINTR)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(source) => return Err(NetError::Queue { action: "read from it", source }),
            }
        }
        Ok(!packets.is_empty())
    }

    /// Says what is to be done with a packet. The kernel hears of it at the next [`QueueSocket::flush`],
    /// or before.
    pub fn decide(&mut self, packet: PacketRef, verdict: Verdict) -> Result<(), NetError> {
        let start = self.verdicts.len();
        begin(&mut self.verdicts, VERDICT, REQUEST, packet.queue);
        let number: u32 = match verdict {
            Verdict::Drop => 0,   // NF_DROP
            Verdict::Accept => 1, // NF_ACCEPT
        };
        // NFQA_VERDICT_HDR: struct nfqnl_msg_verdict_hdr { verdict, id }
        let mut header = [0; 8];
        header[..4].copy_from_slice(&number.to_be_bytes());
        header[4..].copy_from_slice(&packet.id.to_be_bytes());
        attribute(&mut self.verdicts, 2, &header);
        end(&mut self.verdicts, start);
        if self.verdicts.len() < VERDICT_BATCH { Ok(()) } else { self.flush() }
    }

    /// Sends the verdicts that were collected.
    pub fn flush(&mut self) -> Result<(), NetError> {
        if self.verdicts.is_empty() {
            return Ok(());
        }
        loop {
            match send(self.fd.as_raw_fd(), &self.verdicts, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(error) => {
                    return Err(NetError::Queue { action: "send verdicts", source: error.into() });
                }
                Ok(_) => break,
            }
        }
        self.verdicts.clear();
        Ok(())
    }
}

impl AsFd for QueueSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the kernel dropped in the queues of the calling thread's namespace.
pub fn kernel_drops() -> io::Result<KernelDrops> {
    let table = fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue")?;
    // number, port, waiting, copy mode, copy range, dropped in the queue, not read, last id, 1
    Ok(table.lines().fold(KernelDrops::default(), |drops, line| {
        let column = |index| line.split_whitespace().nth(index).and_then(|word| word.parse().ok());
        KernelDrops {
            queue: drops.queue + column(5).unwrap_or(0),
            unread: drops.unread + column(6).unwrap_or(0),
        }
    }))
}

/// Begins a message: `struct nlmsghdr` with a length that [`end`] fills in, and `struct nfgenmsg`.
fn begin(buffer: &mut Vec<u8>, kind: u16, flags: u16, queue: u16) {
    buffer.extend(0_u32.to_ne_bytes());
    buffer.extend(kind.to_ne_bytes());
    buffer.extend(flags.to_ne_bytes());
    // Sequence number and port: nobody asks for them.
    buffer.extend([0; 8]);
    // AF_UNSPEC, NFNETLINK_V0, the queue.
    buffer.extend([0, 0]);
    buffer.extend(queue.to_be_bytes());
}

fn attribute(buffer: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).expect("attributes are short");
    buffer.extend(length.to_ne_bytes());
    buffer.extend(kind.to_ne_bytes());
    buffer.extend(value);
    buffer.resize(buffer.len().next_multiple_of(4), 0);
}

fn end(buffer: &mut [u8], start: usize) {
    let length = u32::try_from(buffer.len() - start).expect("messages are short");
    buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// The messages in a buffer: type, and what follows the header.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(u32::from_ne_bytes(*self.0.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes(*self.0.get(4..)?.first_chunk()?);
        let body = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    }
}

/// The attributes of a message: type, and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk()?) & 0x3fff; // NLA_TYPE_MASK
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn parse_packet(body: &[u8]) -> Option<Packet> {
    let queue = u16::from_be_bytes(*body.get(2..)?.first_chunk()?);
    let (mut id, mut from, mut to, mut copied, mut length) = (None, 0, 0, 0, None);
    for (kind, value) in Attributes(body.get(FAMILY_HEADER..)?) {
        let number = || value.first_chunk().copied().map(u32::from_be_bytes);
        match kind {
            1 => id = number(),                              // NFQA_PACKET_HDR
            5 => from = number()?,                           // NFQA_IFINDEX_INDEV
            6 => to = number()?,                             // NFQA_IFINDEX_OUTDEV
            10 => copied = u32::try_from(value.len()).ok()?, // NFQA_PAYLOAD
            13 => length = number(),                         // NFQA_CAP_LEN, if not all was copied
            _ => {}
        }
    }
    Some(Packet {
        packet: PacketRef { queue, id: id? },
        from: InterfaceIndex(from),
        to: InterfaceIndex(to),
        length: Bytes(length.unwrap_or(copied)),
    })
}

/// The kernel's answer to a request: `struct nlmsgerr`, which begins with an error number.
fn parse_answer(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().copied().map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut buffer = Vec::new();
        begin(&mut buffer, PACKET, 0, 9);
        for (kind, value) in attributes {
            attribute(&mut buffer, *kind, value);
        }
        end(&mut buffer, 0);
        buffer
    }

    #[test]
    fn packets_are_read_one_after_another() {
        let long = message(&[
            (1, &[0, 0, 0, 42, 8, 0, 2]),
            (5, &1000_u32.to_be_bytes()),
            (6, &1003_u32.to_be_bytes()),
            (10, &[0x45, 0, 5, 220]),
            (13, &1500_u32.to_be_bytes()),
        ]);
        let short = message(&[(1, &[0, 0, 0, 43, 8, 0, 2]), (10, &[0; 3])]);
        let buffer = [long, short].concat();
        let packets: Vec<_> = Messages(&buffer).filter_map(|(_, body)| parse_packet(body)).collect();
        let packet = |id, from, to, length| Packet {
            packet: PacketRef { queue: 9, id },
            from: InterfaceIndex(from),
            to: InterfaceIndex(to),
            length: Bytes(length),
        };
        assert_eq!(packets, [packet(42, 1000, 1003, 1500), packet(43, 0, 0, 3)]);
    }

    #[test]
    fn a_cut_off_message_ends_the_reading() {
        let whole = message(&[(1, &[0, 0, 0, 42, 8, 0, 2])]);
        for length in 0..whole.len() {
            assert_eq!(Messages(&whole[..length]).count(), 0, "{length} bytes");
        }
        assert_eq!(Attributes(&[3, 0, 1, 0]).count(), 0, "a length below that of the header");
    }
}
