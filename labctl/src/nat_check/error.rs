//! Why a check could not be made.

use std::io;
use std::net::SocketAddrV4;

use crate::lab::LabError;
use crate::net::NetError;

/// Why a check could not be made. A NAT that is not what it says is no error.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The network for it could not be made.
    #[error("making the network of the check: {0}")]
    Network(#[from] NetError),
    /// Its place on this machine is taken.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A socket.
    #[error("cannot {action}: {source}")]
    Socket {
        /// What was being done.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An answer that must come did not.
    #[error("no answer from {server} to {client}: the NAT lets nothing through, or the machine stands still")]
    NoAnswer {
        /// Who did not answer.
        server: SocketAddrV4,
        /// To whom.
        client: SocketAddrV4,
    },
    /// Something that is no STUN message, or not the one that was asked for.
    #[error("a STUN message that makes no sense: {reason}")]
    Message {
        /// What is wrong with it.
        reason: String,
    },
    /// What was seen is of no kind that there is.
    #[error("what was seen contradicts itself: {what}")]
    Contradiction {
        /// What was seen.
        what: String,
    },
    /// One profile's check.
    #[error("profile {name}: {source}")]
    Profile {
        /// Which.
        name: String,
        /// Why.
        source: Box<CheckError>,
    },
}

impl CheckError {
    /// An error of a socket.
    pub(super) fn socket(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Socket { action, source }
    }
}
