//! An `AF_PACKET` socket (packet(7)) on one interface of one network namespace.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, bind, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};

use super::packet::{Direction, Packet, Timestamp};
use crate::net::{NetNs, receive_buffer};

/// Room for packets between the kernel and us, in bytes of the kernel's accounting (some 800 for a small
/// packet). A burst that does not fit is noticed: [`Statistics::dropped`].
const RECEIVE_BUFFER: usize = 32 << 20;

/// The largest frame that a link can carry, super-packets included: 64 KiB and an Ethernet header with
/// VLAN tags, rounded up.
const LARGEST_FRAME: usize = 68 << 10;

/// What the kernel counted for a packet socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Packets that passed the interface.
    pub packets: u64,
    /// Packets of those that the socket had no room for.
    pub dropped: u64,
}

/// The socket. It takes every packet that passes its interface, and of no other.
#[derive(Debug)]
pub(super) struct PacketSocket {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    counted: Statistics,
}

impl PacketSocket {
    /// Opens a socket on `interface` of a namespace.
    pub(super) fn open(namespace: &NetNs, interface: &str) -> io::Result<Self> {
        let socket = namespace.run(|| open_here(interface)).map_err(io::Error::other)??;
        let buffer = vec![0; LARGEST_FRAME].into_boxed_slice();
        Ok(Self { socket, buffer, counted: Statistics::default() })
    }

    /// The next packet; `None` if none is queued.
    pub(super) fn receive(&mut self) -> io::Result<Option<Packet>> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut room = [IoSliceMut::new(&mut self.buffer)];
        // MSG_TRUNC makes the length that of the packet, even if not all of it fits.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let socket = self.socket.as_raw_fd();
        let message = match recvmsg::<LinkAddr>(socket, &mut room, Some(&mut control), flags) {
            Ok(message) => message,
            Err(nix::Error::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let time = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => Some(time),
            _ => None,
        });
        let time = time.ok_or_else(|| io::Error::other("the kernel gave a packet without a time"))?;
        let address = message.address.ok_or_else(|| io::Error::other("a packet without an address"))?;
        let direction =
            if address.pkttype() == libc::PACKET_OUTGOING { Direction::Sent } else { Direction::Received };
        let length = message.bytes;
        let bytes = self.buffer[..length.min(LARGEST_FRAME)].to_vec();
        let nanos = u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(time.tv_nsec()).unwrap_or(0);
        Ok(Some(Packet {
            time: Timestamp::from_nanos(nanos),
            direction,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            bytes,
        }))
    }

    /// What the kernel counted since the socket was opened.
    pub(super) fn statistics(&mut self) -> io::Result<Statistics> {
        let now = read_statistics(self.socket.as_fd())?; // Reading sets the kernel's counters to 0.
        self.counted.packets += u64::from(now.tp_packets);
        self.counted.dropped += u64::from(now.tp_drops);
        Ok(self.counted)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Opens the socket in this thread's namespace.
fn open_here(interface: &str) -> io::Result<OwnedFd> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    // Protocol 0 takes nothing in: until it is bound, the socket would see every interface.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    receive_buffer::enlarge(&socket, RECEIVE_BUFFER)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    bind(socket.as_raw_fd(), &link_address(index)?)?;
    Ok(socket)
}

/// The address "every protocol on this interface".
fn link_address(index: u32) -> io::Result<LinkAddr> {
    let address = libc::sockaddr_ll {
        sll_family: libc::sa_family_t::try_from(libc::AF_PACKET).expect("AF_PACKET is 17"),
        sll_protocol: u16::try_from(libc::ETH_P_ALL).expect("ETH_P_ALL is 3").to_be(),
        sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = u32::try_from(size_of_val(&address)).expect("an address is small");
    #[expect(unsafe_code, reason = "nix has no safe constructor of a link-layer address")]
    // SAFETY: the pointer is to a whole, initialised sockaddr_ll that outlives the call, `length` is its
    // size, and its family is AF_PACKET, which is what `LinkAddr` checks for before it copies it.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) };
    address.ok_or_else(|| io::Error::other("nix took no link-layer address"))
}

/// `PACKET_STATISTICS`, which nix does not have.
fn read_statistics(socket: BorrowedFd<'_>) -> io::Result<libc::tpacket_stats> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = libc::socklen_t::try_from(size_of_val(&statistics)).expect("it is small");
    #[expect(unsafe_code, reason = "nix has no PACKET_STATISTICS")]
    // SAFETY: the descriptor is open for the call (it is borrowed); both pointers are to initialised
    // values that outlive it, and `length` says how much the kernel may write.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    nix::Error::result(result)?;
    Ok(statistics)
}
