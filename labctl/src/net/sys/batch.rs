//! Sends many packets by many interfaces with one system call (sendmmsg(2) on a packet socket).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use super::LinkAddress;

const PACKET_QDISC_BYPASS: libc::c_int = 20;
/// Packets of one system call at most.
pub const BATCH: usize = 64;
/// Bytes that may be on their way out of the socket, in the kernel's accounting. They leave at once.
const SEND_BUFFER: usize = 4 << 20;

/// An IPv4 packet that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Whom to.
    pub to: &'a LinkAddress,
    /// The packet.
    pub bytes: &'a [u8],
}

/// What the kernel is told of a batch. Outside of a call to [`PacketSender::send`] its pointers point to nothing.
struct Messages {
    vectors: [libc::iovec; BATCH],
    headers: [libc::mmsghdr; BATCH],
}

/// A socket that packets are sent by.
pub struct PacketSender {
    socket: OwnedFd,
    /// Kept, because it is large and most of it never changes.
    messages: Box<Messages>,
}

impl PacketSender {
    /// Opens one in the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        // Of no protocol, so that it takes nothing in.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
        if setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
            // Without the right to more, the kernel gives what anybody may have.
            setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER)?;
        }
        let on: libc::c_int = 1;
        let length = libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?;
        // SAFETY: the option takes an `int`, whose address and size are given.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                PACKET_QDISC_BYPASS,
                (&raw const on).cast(),
                length,
            )
        };
        Errno::result(result)?;
        // SAFETY: these are plain C structures of integers and pointers, for which all zeroes is a valid value.
        let messages = Box::new(unsafe { mem::zeroed::<Messages>() });
        Ok(Self { socket, messages })
    }

    /// Sends packets, in this order, [`BATCH`] at most. How many of them were sent; an error is about the first one.
    pub fn send<'a>(&mut self, packets: impl Iterator<Item = Outgoing<'a>>) -> io::Result<usize> {
        let name_length =
            libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
        let Messages { vectors, headers } = &mut *self.messages;
        let mut count = 0;
        for ((packet, vector), message) in packets.zip(vectors).zip(&mut *headers) {
            vector.iov_base = packet.bytes.as_ptr().cast_mut().cast();
            vector.iov_len = packet.bytes.len();
            let header = &mut message.msg_hdr;
            header.msg_name = (&raw const packet.to.0).cast_mut().cast();
            header.msg_namelen = name_length;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            count += 1;
        }
        // SAFETY: `count` messages are filled in, each with an address and a vector of one, which are borrowed for
        // longer than the call; the kernel only reads what they point to, and writes lengths into the messages.
        let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
        let sent = Errno::result(sent)?;
        usize::try_from(sent).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for PacketSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketSender").field("socket", &self.socket).finish_non_exhaustive()
    }
}
