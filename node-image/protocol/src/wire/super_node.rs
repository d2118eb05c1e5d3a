//! Connections between a client and a super node.

use std::net::SocketAddrV4;

use super::call::{LONGEST_MEDIA, LONGEST_SIGNAL, Ticket};
use super::directory::{DirectoryRecord, MOST_IN_BATCH};
use super::{Bytes, DecodeError, List, Reader, Wire, messages};
use crate::certificate::{Certificate, Signature};
use crate::event::{NatVerdict, RecordSource};
use crate::user::UserName;

/// Most names in one question for buddies.
pub const MOST_BUDDIES: usize = 50;

/// Where and how a user can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Address of the client's interface, with its listening port.
    pub private: SocketAddrV4,
    /// The address that super nodes see: by UDP, or by TCP where UDP is blocked.
    pub public: SocketAddrV4,
    /// The client's NAT type.
    pub nat: NatVerdict,
}

impl Wire for Presence {
    fn put(&self, out: &mut Vec<u8>) {
        self.private.put(out);
        self.public.put(out);
        self.nat.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            private: SocketAddrV4::take(from)?,
            public: SocketAddrV4::take(from)?,
            nat: NatVerdict::take(from)?,
        })
    }
}

impl Presence {
    /// What a client signs with KA- when it registers: the super node's nonce, then its presence.
    #[must_use]
    pub fn signed_bytes(&self, nonce: &[u8; 8]) -> Vec<u8> {
        let mut bytes = b"presence".to_vec();
        bytes.extend_from_slice(nonce);
        self.put(&mut bytes);
        bytes
    }
}

/// What a super node holds of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// The user's certificate.
    pub certificate: Certificate,
    /// Where the user was last reached.
    pub presence: Presence,
    /// True while the user's client is connected.
    pub online: bool,
}

impl Wire for UserEntry {
    fn put(&self, out: &mut Vec<u8>) {
        self.certificate.put(out);
        self.presence.put(out);
        self.online.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            certificate: Certificate::take(from)?,
            presence: Presence::take(from)?,
            online: bool::take(from)?,
        })
    }
}

/// Why a super node refuses a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationRefusal {
    /// No login server that it knows signed the certificate.
    ForgedCertificate,
    /// The registration is not signed with the key that the certificate is for.
    ForeignKey,
    /// It holds a newer certificate of the same user.
    Outdated,
}

impl Wire for RegistrationRefusal {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::ForgedCertificate => 1,
            Self::ForeignKey => 2,
            Self::Outdated => 3,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            1 => Ok(Self::ForgedCertificate),
            2 => Ok(Self::ForeignKey),
            3 => Ok(Self::Outdated),
            _ => Err(DecodeError::Value("a reason that does not exist")),
        }
    }
}

messages! {
    /// What a client sends to a super node.
    ToSuperNode {
        /// The first message: asks to be served.
        0x20 Hello {}
        /// Enters the user: certificate, presence, and the proof that the client has KA-.
        0x21 Register {
            /// The certificate for the user and KA+.
            certificate: Certificate,
            /// Where the user can be reached.
            presence: Presence,
            /// By KA-, over the super node's nonce and the presence.
            signature: Signature,
        }
        /// Asks for entries for the host cache.
        0x22 HostsWanted {
            /// How many at the most.
            most: u8,
        }
        /// Asks for what is known of users.
        0x23 BuddiesWanted {
            /// The users.
            users: List<UserName, MOST_BUDDIES>,
        }
        /// Asks for nodes that can relay for the client.
        0x24 RelaysWanted {
            /// How many at the most.
            most: u8,
        }
        /// I am still here.
        0x25 KeepAlive {}
        /// Begins a search for a user.
        0x30 Search {
            /// Chosen by the client; what belongs to this search repeats it.
            search: u32,
            /// The user.
            user: UserName,
            /// The super node is to ask the other nodes itself, because the client's UDP is blocked.
            on_behalf: bool,
        }
        /// What the nodes of the last batch answered.
        0x31 SearchReport {
            /// Which search.
            search: u32,
            /// The node that knew the user; none: a larger batch is wanted.
            found_at: Option<SocketAddrV4>,
        }
        /// A caller: let me talk to this user, who is connected here.
        0x40 ReachUser {
            /// The callee.
            user: UserName,
        }
        /// Pass this on to the other end of a channel.
        0x41 PassSignal {
            /// The channel.
            channel: u32,
            /// A [`super::call::Signal`], which the super node does not look into.
            signal: Bytes<LONGEST_SIGNAL>,
        }
        /// A channel is not needed any more.
        0x42 CloseChannel {
            /// The channel.
            channel: u32,
        }
        /// Take this end of a call as one that you relay for. Sent again it keeps the place.
        0x43 JoinRelay {
            /// What both ends of the call know, and nobody else.
            ticket: Ticket,
        }
        /// Pass this on to the other end of the call.
        0x44 RelayedMedia {
            /// A media packet, which the relay cannot read.
            packet: Bytes<LONGEST_MEDIA>,
        }
    }
}

messages! {
    /// What a super node sends to a client.
    FromSuperNode {
        /// The client is served.
        0x40 Welcome {
            /// To be signed in the registration, so that none can be sent twice.
            nonce: [u8; 8],
            /// Where the connection comes from, as seen here.
            observed: SocketAddrV4,
        }
        /// The super node serves as many clients as it can; it closes the connection.
        0x41 Busy {}
        /// The registration is accepted.
        0x42 Registered {}
        /// The registration is refused; the super node closes the connection.
        0x43 RegistrationRefused {
            /// Why.
            reason: RegistrationRefusal,
        }
        /// Entries for the host cache, in random order.
        0x44 Hosts {
            /// Super nodes.
            entries: List<SocketAddrV4, 200>,
        }
        /// What is known of one user; one message for each that was asked for.
        0x45 Buddy {
            /// The user.
            user: UserName,
            /// Nothing if the user is not known here.
            found: Option<UserEntry>,
        }
        /// Nodes that can relay for the client.
        0x46 Relays {
            /// Nodes with public addresses.
            entries: List<SocketAddrV4, 200>,
        }
        /// The answer to a keep-alive.
        0x47 StillHere {}
        /// Nodes that the client is to ask by UDP.
        0x50 SearchBatch {
            /// Which search.
            search: u32,
            /// The nodes, the likeliest first; empty if there are no more: the user is not known.
            nodes: List<SocketAddrV4, MOST_IN_BATCH>,
        }
        /// The end of a search, where the super node knew the user or searched on the client's behalf.
        0x51 SearchResult {
            /// Which search.
            search: u32,
            /// Nothing if the user is not known.
            found: Option<DirectoryRecord>,
            /// Where the super node has it from.
            source: RecordSource,
            /// Nodes that the super node asked.
            asked: u8,
        }
        /// To the caller: the user is connected, and this is the channel.
        0xa0 UserReached {
            /// The channel.
            channel: u32,
        }
        /// To the caller: the user is not connected here, or too many calls are.
        0xa1 UserNotReached {}
        /// To the callee: somebody wants to talk to you.
        0xa2 Reached {
            /// The channel.
            channel: u32,
        }
        /// From the other end of a channel.
        0xa3 PassedSignal {
            /// The channel.
            channel: u32,
            /// A [`super::call::Signal`].
            signal: Bytes<LONGEST_SIGNAL>,
        }
        /// The other end has left the channel.
        0xa4 ChannelClosed {
            /// The channel.
            channel: u32,
        }
        /// This end of the call has its place.
        0xa5 RelayJoined {}
        /// The relay has as many calls as it takes.
        0xa6 RelayFull {}
        /// From the other end of the call.
        0xa7 RelayedMedia {
            /// A media packet.
            packet: Bytes<LONGEST_MEDIA>,
        }
    }
}
