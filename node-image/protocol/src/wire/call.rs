//! Between caller and callee: signalling, directly or through a super node; and the shape of media packets.

use std::net::SocketAddrV4;

use super::login_server::Nonce;
use super::super_node::Presence;
use super::{Bytes, DecodeError, List, Message, Reader, Wire, messages};
use crate::certificate::{Certificate, Signature};
use crate::user::UserName;

/// Longest frame of a [`Signal`]: less than what a frame around it can hold.
pub const LONGEST_SIGNAL: usize = 1_600;
/// Longest media packet.
pub const LONGEST_MEDIA: usize = 256;
/// Most relays that one end of a call offers.
pub const MOST_RELAYS: usize = 8;

/// A place at a relay: both ends of a call derive it from their key, and nobody else knows it.
pub type Ticket = [u8; 16];
/// An RSA block of a client's key: at most 2,048 bits.
pub type Share = Bytes<256>;

/// Relays that one end knows, the best first.
pub type RelayList = List<SocketAddrV4, MOST_RELAYS>;

messages! {
    /// What caller and callee send each other.
    Signal {
        /// The callee's first word.
        0x40 Greeting {
            /// To be signed in the invitation, so that none can be sent twice.
            nonce: Nonce,
        }
        /// The caller: who I am, and my half of the key.
        0x41 Invite {
            /// Whom I call.
            callee: UserName,
            /// Of the caller.
            certificate: Certificate,
            /// Where the caller is.
            presence: Presence,
            /// Relays that the caller knows.
            relays: RelayList,
            /// The caller's half of the session key, for the callee's eyes only (KB+).
            share: Share,
            /// By KA-, over the nonce and all fields but the certificate.
            signature: Signature,
        }
        /// The callee: who I am, my half of the key; it rings.
        0x42 Ringing {
            /// Of the callee.
            certificate: Certificate,
            /// Where the callee is.
            presence: Presence,
            /// The relays that are used, in this order.
            relays: RelayList,
            /// The callee's half of the session key, for the caller's eyes only (KA+).
            share: Share,
            /// By KB-, over the invitation and all fields but the certificate.
            signature: Signature,
        }
        /// The callee: there will be no call, before there is a key.
        0x43 Rejected {
            /// Why.
            reason: Rejection,
        }
        /// Anything later: a [`Control`] under the session key.
        0x44 Sealed {
            /// Counts the sender's sealed messages, from 0.
            number: u32,
            /// The sealed frame.
            sealed: Bytes<128>,
        }
    }
}

messages! {
    /// What is said under the session key.
    Control {
        /// The callee takes the call.
        0x48 Answer {}
        /// The callee does not.
        0x49 Refuse {}
        /// Either end ends the call, or the caller cancels it.
        0x4a HangUp {}
        /// The sender's media take this path from now on.
        0x4b Path {
            /// Its generation: see `call::media`.
            generation: u32,
            /// The sender has its place there; else it is on the way.
            ready: bool,
        }
    }
}

/// Why a call is rejected before there is a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The callee is in another call.
    Busy,
    /// The certificate is not signed by a login server, or the invitation not by the certificate's key.
    NotAuthentic,
    /// The invitation is for another user.
    AnotherUser,
    /// Both call each other, and the callee's own call is the one that counts.
    Glare,
}

impl Wire for Rejection {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Busy => 1,
            Self::NotAuthentic => 2,
            Self::AnotherUser => 3,
            Self::Glare => 4,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            1 => Ok(Self::Busy),
            2 => Ok(Self::NotAuthentic),
            3 => Ok(Self::AnotherUser),
            4 => Ok(Self::Glare),
            _ => Err(DecodeError::Value("a reason that does not exist")),
        }
    }
}

/// A message that must be the whole of `bytes`.
///
/// # Errors
///
/// If it is not.
pub fn whole<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    let (message, length) = M::from_frame(bytes)?.ok_or(DecodeError::TooShort)?;
    if length < bytes.len() {
        return Err(DecodeError::LeftOver(bytes.len() - length));
    }
    Ok(message)
}

/// A media packet: 12 bytes around the voice.
///
/// | bytes | field |
/// | --- | --- |
/// | 4 | token: the beginning of the path's ticket |
/// | 4 | sequence number; from 2^31 on it is no voice but a [`Control`] |
/// | n | AES-128 in counter mode |
/// | 4 | tag: HMAC-SHA-256 over all before it, cut (as RFC 4568 does for voice, AES_CM_128_HMAC_SHA1_32) |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPacket<'a> {
    /// Tells a relay, and the receiver, which call and path it belongs to.
    pub token: [u8; 4],
    /// Counts packets from 0.
    pub sequence: u32,
    /// The encrypted voice.
    pub sealed: &'a [u8],
    /// The tag.
    pub tag: [u8; 4],
}

impl<'a> MediaPacket<'a> {
    /// Bytes around the voice.
    pub const OVERHEAD: usize = 12;

    /// Takes a packet apart; `None` if it is too short or too long to be one.
    #[must_use]
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        if packet.len() > LONGEST_MEDIA {
            return None;
        }
        let (&token, rest) = packet.split_first_chunk::<4>()?;
        let (&sequence, rest) = rest.split_first_chunk::<4>()?;
        let (sealed, &tag) = rest.split_last_chunk::<4>()?;
        Some(Self { token, sequence: u32::from_be_bytes(sequence), sealed, tag })
    }
}
