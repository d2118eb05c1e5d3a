//! Waiting for what the engine still does on behalf of clients that are dead.
//!
//! The engine brings a request to its end whose sender is gone: a container can appear after the labctl
//! that asked for it was killed. Until then the engine keeps its end of the connection open, and the kernel
//! tells (`sock_diag(7)`) which of its connections have nobody at the other end any more.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use nix::sys::stat::{major, minor};

use super::super::RuntimeError;
use super::container;

/// How long the engine may take to create or remove one container before something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks; there is no event for either.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until the engine behind this socket is done with the requests of the dead.
pub async fn settle(engine: &Path) {
    let begin = Instant::now();
    loop {
        match has_requests_of_the_dead(engine) {
            Ok(false) => return,
            Ok(true) if begin.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            // A connection that the engine forgot must not keep anybody from removing a lab.
            Ok(true) => {
                tracing::warn!("the engine keeps requests of dead clients for {} s", PATIENCE.as_secs());
                return;
            }
            Err(error) => {
                tracing::warn!("cannot see whether the engine is done with requests of the dead: {error}");
                return;
            }
        }
    }
}

/// Waits until a container that somebody is removing is gone.
pub async fn removed(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    let begin = Instant::now();
    while container::state(docker, name).await?.is_some() {
        if begin.elapsed() > PATIENCE {
            let doing = "waiting for the removal of container";
            let reason = format!("not done after {} s", PATIENCE.as_secs());
            return Err(RuntimeError::Engine { doing, what: name.to_owned(), reason });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// True if the server of a Unix socket has a connection whose other end is closed, or one that it has not
/// accepted yet.
fn has_requests_of_the_dead(server: &Path) -> io::Result<bool> {
    let file = std::fs::metadata(server)?;
    // The kernel tells its own form of a device number, with 20 bits for the minor one, and 32 bits of an
    // inode's.
    let device = (major(file.dev()) << 20) | minor(file.dev());
    let place = (file.ino() & u64::from(u32::MAX), device);
    let sockets = unix_sockets()?;
    Ok(sockets.iter().filter(|socket| socket.place == Some(place)).any(Socket::is_of_the_dead))
}

/// A Unix socket of this network namespace.
#[derive(Debug, Default)]
struct Socket {
    /// State, as that of a TCP socket.
    state: u8,
    /// Inode and device of the file that it is bound to, or that it was accepted from.
    place: Option<(u64, u64)>,
    /// Inode of the other end, 0 when that is closed.
    peer: u32,
    /// Connections to be accepted, for a listening one.
    waiting: u32,
}

impl Socket {
    const ESTABLISHED: u8 = 1;
    const LISTENING: u8 = 10;

    fn is_of_the_dead(&self) -> bool {
        match self.state {
            Self::ESTABLISHED => self.peer == 0,
            Self::LISTENING => self.waiting > 0,
            _ => false,
        }
    }
}

// linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UDIAG_SHOW_VFS_PEER_RQLEN: u32 = 0x2 | 0x4 | 0x10;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_RQLEN: u16 = 4;
const AF_UNIX: u8 = 1;
const HEADER: usize = 16;
const MESSAGE: usize = 16;
const REQUEST: u32 = 40;

fn unix_sockets() -> io::Result<Vec<Socket>> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    sendto(netlink.as_raw_fd(), &request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut sockets = Vec::new();
    while read_some(&netlink, &mut sockets)? {}
    Ok(sockets)
}

/// A `struct nlmsghdr` and a `struct unix_diag_req` for all sockets in all states.
fn request() -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(REQUEST.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([AF_UNIX, 0, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    request.extend(UDIAG_SHOW_VFS_PEER_RQLEN.to_ne_bytes());
    request.extend([0; 8]);
    request
}

/// Reads one datagram of the answer. False at its end.
fn read_some(netlink: &OwnedFd, sockets: &mut Vec<Socket>) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    let length = recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    let mut rest = &buffer[..length];
    while rest.len() >= HEADER {
        let (length, kind) = (u32_at(rest, 0) as usize, u16_at(rest, 4));
        let message = rest.get(HEADER..length).ok_or_else(broken)?;
        match kind {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => {
                let error = message.get(..4).map_or(0, |_| u32_at(message, 0).cast_signed());
                return Err(io::Error::from_raw_os_error(-error));
            }
            SOCK_DIAG_BY_FAMILY => sockets.push(parse(message).ok_or_else(broken)?),
            _ => {}
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    Ok(true)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is not understood")
}

/// A `struct unix_diag_msg` and the attributes after it.
fn parse(message: &[u8]) -> Option<Socket> {
    let mut socket = Socket { state: *message.get(2)?, ..Socket::default() };
    let mut rest = message.get(MESSAGE..)?;
    while rest.len() >= 4 {
        let (length, kind) = (usize::from(u16_at(rest, 0)), u16_at(rest, 2));
        let value = rest.get(4..length)?;
        match kind {
            UNIX_DIAG_VFS if value.len() >= 8 => {
                socket.place = Some((u64::from(u32_at(value, 0)), u64::from(u32_at(value, 4))));
            }
            UNIX_DIAG_PEER if value.len() >= 4 => socket.peer = u32_at(value, 0),
            UNIX_DIAG_RQLEN if value.len() >= 4 => socket.waiting = u32_at(value, 0),
            _ => {}
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    Some(socket)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_request_counts_until_it_was_taken_and_again_once_its_sender_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.sock");
        let server = UnixListener::bind(&path).unwrap();
        assert!(!has_requests_of_the_dead(&path).unwrap());
        let client = UnixStream::connect(&path).unwrap();
        assert!(has_requests_of_the_dead(&path).unwrap(), "not accepted yet");
        let (taken, _) = server.accept().unwrap();
        assert!(!has_requests_of_the_dead(&path).unwrap(), "both ends are alive");
        drop(client);
        assert!(has_requests_of_the_dead(&path).unwrap(), "the sender is gone");
        drop(taken);
        assert!(!has_requests_of_the_dead(&path).unwrap(), "the server is done");
    }
}
