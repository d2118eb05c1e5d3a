//! Connections between a client and a super node.

use std::net::SocketAddrV4;

use super::{DecodeError, List, Reader, Wire, messages};
use crate::certificate::{Certificate, Signature};
use crate::event::NatVerdict;
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
    }
}
