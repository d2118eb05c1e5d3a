//! What super nodes tell each other, and clients, of users and of one another. `docs/search.md` has the rules.

use std::net::SocketAddrV4;

use super::super_node::Presence;
use super::{DecodeError, List, Reader, Wire};
use crate::certificate::Certificate;
use crate::event::RecordSource;

/// Most members in one gossip message: they fit into a datagram.
pub const MOST_MEMBERS: usize = 64;

/// Most super nodes that one user is attached to at a time. A client whose UDP is blocked keeps ten.
pub const MOST_ATTACHMENTS: usize = 12;

/// Most super nodes of a user that a search yields.
pub const MOST_SUPER_NODES: usize = 4;

/// Most nodes in one batch of a search.
pub const MOST_IN_BATCH: usize = 64;

/// What is known of a super node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// It answers, or nobody has noticed that it does not.
    Alive,
    /// It did not answer.
    Dead,
}

impl Wire for Life {
    fn put(&self, out: &mut Vec<u8>) {
        (*self == Self::Dead).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::take(from)? { Self::Dead } else { Self::Alive })
    }
}

/// A super node as others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address.
    pub address: SocketAddrV4,
    /// Raised by the super node itself, when it hears that it is taken for dead: the higher word counts.
    pub incarnation: u32,
    /// Whether it lives.
    pub life: Life,
}

impl Wire for Member {
    fn put(&self, out: &mut Vec<u8>) {
        self.address.put(out);
        self.incarnation.put(out);
        self.life.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            address: SocketAddrV4::take(from)?,
            incarnation: u32::take(from)?,
            life: Life::take(from)?,
        })
    }
}

/// What one super node says of one user. Only that super node makes a new version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The super node.
    pub super_node: SocketAddrV4,
    /// Chosen at random when the super node starts; serial numbers compare within one life of it.
    pub life: u32,
    /// Higher is newer.
    pub serial: u32,
    /// Where the user is reached.
    pub presence: Presence,
    /// True while the user's client is connected to this super node.
    pub online: bool,
    /// Seconds since the user logged in there.
    pub logged_in: u32,
    /// Seconds since the super node last knew the user to be online.
    pub seen: u32,
}

impl Wire for Attachment {
    fn put(&self, out: &mut Vec<u8>) {
        self.super_node.put(out);
        self.life.put(out);
        self.serial.put(out);
        self.presence.put(out);
        self.online.put(out);
        self.logged_in.put(out);
        self.seen.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            super_node: SocketAddrV4::take(from)?,
            life: u32::take(from)?,
            serial: u32::take(from)?,
            presence: Presence::take(from)?,
            online: bool::take(from)?,
            logged_in: u32::take(from)?,
            seen: u32::take(from)?,
        })
    }
}

/// What a search yields: who the user is, and where.
///
/// The certificate is proof of the pair (user name, KA+) once it is verified against the login servers' keys.
/// The rest is the word of super nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryRecord {
    /// The user's newest certificate.
    pub certificate: Certificate,
    /// Private and public address, and NAT type: whether UDP gets through is part of it.
    pub presence: Presence,
    /// True if the user's client is connected to a super node that lives.
    pub online: bool,
    /// Seconds since the last login.
    pub logged_in: u32,
    /// Seconds since the user was last known to be online.
    pub seen: u32,
    /// The user's super nodes; the one in use first.
    pub super_nodes: List<SocketAddrV4, MOST_SUPER_NODES>,
}

impl Wire for DirectoryRecord {
    fn put(&self, out: &mut Vec<u8>) {
        self.certificate.put(out);
        self.presence.put(out);
        self.online.put(out);
        self.logged_in.put(out);
        self.seen.put(out);
        self.super_nodes.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            certificate: Certificate::take(from)?,
            presence: Presence::take(from)?,
            online: bool::take(from)?,
            logged_in: u32::take(from)?,
            seen: u32::take(from)?,
            super_nodes: List::take(from)?,
        })
    }
}

impl Wire for RecordSource {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Index => 0,
            Self::Cache => 1,
            Self::Search => 2,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Index),
            1 => Ok(Self::Cache),
            2 => Ok(Self::Search),
            _ => Err(DecodeError::Value("a source of a record that does not exist")),
        }
    }
}
