//! The few system calls that need `unsafe`: `nix` has no safe form of them.
#![expect(unsafe_code, reason = "system calls for which there is no safe wrapper")]

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

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

/// A netlink socket that drops what does not fit its buffer, one message at a time, instead of
/// refusing everything until it has been read empty.
pub fn set_no_enobufs(socket: &impl AsFd) -> io::Result<()> {
    let on: c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?;
    // SAFETY: the option takes an `int`, whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_NO_ENOBUFS,
            (&raw const on).cast(),
            length,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Lets the calling thread run as soon as it has something to do, before all ordinary threads.
pub fn schedule_first() -> io::Result<()> {
    // The lowest of the real-time priorities is above every ordinary thread.
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: 0 is the calling thread; the structure is read during the call only.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
