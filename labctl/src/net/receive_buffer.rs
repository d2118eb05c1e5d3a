//! How much a socket may hold that nobody has read yet.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

/// Lets a socket hold so many bytes: for root whatever the machine's limit (`net.core.rmem_max`) is, for an
/// ordinary user as many as that limit allows. What does not fit is dropped, and the kernel counts it.
pub fn enlarge(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    match setsockopt(socket, sockopt::RcvBufForce, &bytes) {
        Err(Errno::EPERM) => Ok(setsockopt(socket, sockopt::RcvBuf, &bytes)?),
        forced => Ok(forced?),
    }
}
