//! The few system calls that need `unsafe`: `nix` has no safe form of them. Those on packets are in files of their
//! own below this one.
#![expect(unsafe_code, reason = "system calls for which there is no safe wrapper")]

pub mod batch;
pub mod bpf;
pub mod ring;

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Sets one value of an interface by the ethtool ioctl. `socket` is any socket of the namespace.
pub fn ethtool_set(socket: &impl AsFd, interface: &str, command: u32, data: u32) -> io::Result<()> {
    // SAFETY: `ifreq` is a plain C structure (an array of bytes and a union of integers, byte arrays and
    // a pointer), for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays 0, so that the name is terminated.
    if interface.len() >= request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    let mut value = EthtoolValue { command, data };
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the descriptor is open for the length of the call; SIOCETHTOOL takes a pointer to `ifreq`,
    // whose `ifru_data` points to an `ethtool_value`, as the commands used here require. The kernel
    // keeps neither pointer.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// A descriptor of a process, which the number's next owner cannot be mistaken for.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(result).map_err(io::Error::from)?;
    let fd = c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Watches a process: its descriptor can be read from its end on. Needs a runtime of tokio.
pub fn watch_process(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and always the same descriptor until it is dropped, which `AsyncFd` does last.
    unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.map_err(io::Error::from)
}

/// Sends a signal to the process of a descriptor from [`pidfd_open`].
pub fn pidfd_send_signal(process: &impl AsFd, signal: nix::sys::signal::Signal) -> io::Result<()> {
    let fd = process.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for the length of the call; a null `siginfo` asks the kernel to
    // fill it in as kill(2) does.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            signal as c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// The address of a host on a link, for IPv4.
#[derive(Clone, Copy)]
pub struct LinkAddress(libc::sockaddr_ll);

impl LinkAddress {
    /// The host behind the interface of this number that has this hardware address.
    pub fn new(interface: u32, mac: [u8; 6]) -> io::Result<Self> {
        let mut address = libc::sockaddr_ll {
            sll_family: libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?,
            sll_protocol: u16::try_from(libc::ETH_P_IP).map_err(io::Error::other)?.to_be(),
            sll_ifindex: i32::try_from(interface).map_err(io::Error::other)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0; 8],
        };
        address.sll_addr[..6].copy_from_slice(&mac);
        Ok(Self(address))
    }
}

impl std::fmt::Debug for LinkAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x?} behind interface {}", &self.0.sll_addr[..6], self.0.sll_ifindex)
    }
}

/// Mounts a `/proc` of its own that nobody else sees. It is gone when the descriptor, and those of what was
/// opened below it, are closed.
pub fn mount_private_proc() -> io::Result<OwnedFd> {
    /// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC`
    const CLOSE_ON_EXEC: u32 = 1;
    /// `FSCONFIG_CMD_CREATE`
    const CREATE: u32 = 6;
    /// `MOUNT_ATTR_NOSUID`, `MOUNT_ATTR_NODEV`, `MOUNT_ATTR_NOEXEC`
    const HARMLESS: u32 = 2 | 4 | 8;
    let own = |result: libc::c_long| {
        let fd = c_int::try_from(Errno::result(result)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
        Ok::<_, io::Error>(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: the call takes a terminated text, which it only reads, and flags.
    let context = own(unsafe { libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), CLOSE_ON_EXEC) })?;
    let fd = context.as_raw_fd();
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the descriptor is open for the length of the call; this command takes no key and no value.
    let created = unsafe { libc::syscall(libc::SYS_fsconfig, fd, CREATE, none, none, 0) };
    Errno::result(created)?;
    // SAFETY: the descriptor is open for the length of the call, which takes flags besides.
    own(unsafe { libc::syscall(libc::SYS_fsmount, fd, CLOSE_ON_EXEC, HARMLESS) })
}

/// Lets the calling thread run as soon as it has something to do, before all ordinary threads.
pub fn schedule_first() -> io::Result<()> {
    // The lowest of the real-time priorities is above every ordinary thread.
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: 0 is the calling thread; the structure is read during the call only.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
