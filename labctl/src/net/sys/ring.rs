//! A ring of packets that the kernel writes and we read (packet(7), `PACKET_RX_RING`, version 2 of its headers).
//!
//! Version 3 hands over blocks of packets, the last of them after a millisecond at the soonest: too late for a WAN whose
//! delays are exact.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const PACKET_RX_RING: libc::c_int = 5;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VERSION: libc::c_int = 10;
const TPACKET_V2: libc::c_int = 1;
/// The frame is ours; 0: the kernel's.
const TP_STATUS_USER: u32 = 1;

/// Room for one packet with its headers.
const FRAME: usize = 2048;
/// Frames: a burst of 65 ms at 250,000 packets/s.
const FRAMES: usize = 16_384;
/// The kernel's memory comes in blocks of this size.
const BLOCK: usize = 1 << 16;
const LENGTH: usize = FRAME * FRAMES;

/// `struct tpacket_req`.
#[repr(C)]
struct RingRequest {
    block_size: u32,
    block_count: u32,
    frame_size: u32,
    frame_count: u32,
}

/// `struct tpacket2_hdr`. Behind it, at 32 bytes, is a `struct sockaddr_ll`.
#[repr(C)]
#[derive(Clone, Copy)]
struct FrameHeader {
    status: u32,
    length: u32,
    captured: u32,
    mac: u16,
    net: u16,
    seconds: u32,
    nanoseconds: u32,
    vlan: [u16; 2],
    padding: [u8; 4],
}

/// A packet in the ring.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Number of the interface that it came in by.
    pub interface: u32,
    /// When it came in, by the system's clock, since 1970.
    pub time: Duration,
    /// Its bytes from the IP header on, as far as they fit.
    pub bytes: &'a [u8],
}

/// IPv4 packets that come in by any interface of a network namespace.
#[derive(Debug)]
pub struct PacketRing {
    socket: OwnedFd,
    memory: NonNull<u8>,
    next: usize,
    dropped: u64,
}

impl PacketRing {
    /// Opens one in the calling thread's namespace. It takes 32 MiB of the kernel's memory.
    pub fn open() -> io::Result<Self> {
        // Of no protocol, so that nothing comes before the ring is there.
        let socket = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        set_option(&socket, PACKET_VERSION, &TPACKET_V2)?;
        let number = |value: usize| u32::try_from(value).map_err(io::Error::other);
        let request = RingRequest {
            block_size: number(BLOCK)?,
            block_count: number(LENGTH / BLOCK)?,
            frame_size: number(FRAME)?,
            frame_count: number(FRAMES)?,
        };
        set_option(&socket, PACKET_RX_RING, &request)?;
        // SAFETY: a new mapping of the ring, whose length is that of the request; the kernel chooses its place.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory: NonNull<u8> =
            NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("a mapping at 0"))?;
        // The keeper forks for each container: the child has no use for the ring, and mapping its 8,192 pages once more
        // would take longer than all else of a fork. Without this only time is lost.
        // SAFETY: the whole of the mapping that was just made; nothing about it changes for this process.
        unsafe { libc::madvise(memory.as_ptr().cast(), LENGTH, libc::MADV_DONTFORK) };
        let ring = Self { socket, memory, next: 0, dropped: 0 };
        let super::LinkAddress(address) = super::LinkAddress::new(0, [0; 6])?;
        let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
        // SAFETY: the address is whole and outlives the call, and `length` is its size.
        let bound = unsafe { libc::bind(ring.socket.as_raw_fd(), (&raw const address).cast(), length) };
        Errno::result(bound)?;
        Ok(ring)
    }

    /// Hands over the next packet, if there is one. Its place is the kernel's again afterwards.
    pub fn take<T>(&mut self, use_it: impl FnOnce(Frame<'_>) -> T) -> Option<T> {
        // SAFETY: `next` is below FRAMES, so that the frame is within the mapping, which is aligned to pages and
        // lives as long as `self`.
        let frame = unsafe { self.memory.add(self.next * FRAME) };
        // SAFETY: a frame begins with its status, a `u32` aligned to 2048 bytes that both sides access whole.
        let status = unsafe { AtomicU32::from_ptr(frame.cast().as_ptr()) };
        if status.load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the frame is ours now: the kernel does not touch it until the status says so. Every bit pattern
        // is a `FrameHeader`, and it is aligned.
        let header = unsafe { frame.cast::<FrameHeader>().read() };
        // SAFETY: as above; `sockaddr_ll` is at 32 bytes, where the kernel put one.
        let address = unsafe { frame.add(size_of::<FrameHeader>()).cast::<libc::sockaddr_ll>().read() };
        let start = usize::from(header.net).min(FRAME);
        let captured = usize::try_from(header.captured).unwrap_or(0).min(FRAME - start);
        // SAFETY: `start + captured` is at most FRAME, so that all of it is within the frame, which is ours.
        let bytes = unsafe { std::slice::from_raw_parts(frame.add(start).as_ptr(), captured) };
        let outcome = use_it(Frame {
            interface: address.sll_ifindex.cast_unsigned(),
            time: Duration::new(header.seconds.into(), header.nanoseconds.min(999_999_999)),
            bytes,
        });
        status.store(0, Ordering::Release);
        self.next = (self.next + 1) % FRAMES;
        Some(outcome)
    }

    /// Packets that came while the ring was full, since it was opened.
    pub fn dropped(&mut self) -> io::Result<u64> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = libc::socklen_t::try_from(size_of_val(&statistics)).map_err(io::Error::other)?;
        // SAFETY: both pointers are to initialised values that outlive the call, and `length` says how much the
        // kernel may write.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        Errno::result(result)?;
        // Reading sets the kernel's counter to 0.
        self.dropped += u64::from(statistics.tp_drops);
        Ok(self.dropped)
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `open`, and nothing that borrows from it outlives `self`.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), LENGTH) };
    }
}

fn set_option<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the value is plain data that outlives the call, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, ptr::from_ref(value).cast(), length)
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
