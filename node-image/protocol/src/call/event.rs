//! What a client tells of its calls.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How media leave an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaProtocol {
    /// By UDP.
    Udp,
    /// By TCP, because UDP is blocked.
    Tcp,
}

/// What a client tells of a call. The last line of a call is [`CallEvent::Ended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum CallEvent {
    /// A call begins at this end.
    Calling {
        /// Whom.
        user: String,
    },
    /// The callee is reached.
    Reached {
        /// The super node that signalling goes through; none if it goes straight.
        through: Option<SocketAddrV4>,
    },
    /// At the callee: somebody calls, and is who the certificate says.
    Incoming {
        /// The caller.
        user: String,
    },
    /// At the caller: it rings at the callee, who is who the certificate says.
    Ringing {
        /// The callee.
        user: String,
    },
    /// The callee took the call.
    Answered {},
    /// This end has a media path.
    MediaPath {
        /// Which one: 0 is straight.
        generation: u32,
        /// The relay; none if it is straight.
        relay: Option<SocketAddrV4>,
        /// How media leave this end.
        protocol: MediaProtocol,
    },
    /// The peer is heard again.
    Gap {
        /// How long it was not.
        ms: f64,
    },
    /// Both called each other; the call of the other one counts, and is answered.
    Glare {
        /// The other.
        user: String,
    },
    /// Somebody called and was turned away; no call of this end is concerned.
    TurnedAway {
        /// Who it was said to be.
        user: String,
        /// Why.
        reason: CallEnd,
    },
    /// The call is over.
    Ended {
        /// Who was at the other end.
        user: String,
        /// Why.
        reason: CallEnd,
        /// What came of it, by this end's account.
        summary: CallSummary,
    },
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum CallEnd {
    /// This end hung up.
    #[error("hung up here")]
    HungUp,
    /// The other end hung up.
    #[error("hung up at the other end")]
    PeerHungUp,
    /// The caller ended it before it was answered.
    #[error("cancelled before it was answered")]
    Cancelled,
    /// The callee did not want it.
    #[error("refused")]
    Refused,
    /// The callee is in another call.
    #[error("the callee is in another call")]
    Busy,
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    NoAnswer,
    /// Neither the callee nor one of its super nodes that knows it could be reached.
    #[error("the callee could not be reached")]
    Unreachable,
    /// The peer is not who the certificate says, or the certificate is not a login server's.
    #[error("the peer is not who the certificate says")]
    NotAuthentic,
    /// Neither a straight path nor a relay for media.
    #[error("there is no path for media")]
    NoMediaPath,
    /// The peer was not heard for too long.
    #[error("the peer was not heard any more")]
    Lost,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol")]
    Protocol,
    /// The client is not logged in.
    #[error("the client is not logged in")]
    NotLoggedIn,
}

/// A call by one end's account. Bytes and times of packets are the meters' business.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallSummary {
    /// From the command to the answer, in milliseconds; none if it was not answered.
    pub setup_ms: Option<f64>,
    /// Media packets sent.
    pub sent: u64,
    /// Media packets received, each that was authentic.
    pub received: u64,
    /// Silences of the peer that made this end look for another path, in milliseconds.
    pub gaps_ms: Vec<f64>,
}
