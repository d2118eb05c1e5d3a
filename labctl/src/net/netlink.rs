//! Requests about the links, addresses and routes of one namespace.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use netlink_packet_core::Emitable;
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::socket::{Answer, Socket};
use super::wire::Batch;
use super::{NetError, NetNs};

/// A socket for requests about one namespace, from whichever thread. The namespace lives for as long as it
/// does.
#[derive(Debug)]
pub struct Netlink {
    namespace: Arc<str>,
    socket: Mutex<Socket>,
}

/// Requests that go to the kernel together. It carries out all that it can, in the order in which they were
/// added: one that is refused does not keep it from the next.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    batch: Batch,
    /// What each is for, in words that follow "cannot".
    actions: Vec<String>,
}

impl Requests {
    /// The messages.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        self.batch.bytes()
    }

    /// Adds other requests, after those that are there.
    pub(super) fn append(&mut self, other: Self) {
        self.batch.append(&other.batch);
        self.actions.extend(other.actions);
    }

    /// Adds a request: its type and flags, the message, what it is for.
    pub(super) fn push(&mut self, kind: u16, flags: u16, message: &impl Emitable, action: String) {
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        self.push_bytes(kind, flags, &body, &[], action);
    }

    /// Adds a request as bytes: its type and flags, the structure of its family, its attributes, what it is for.
    pub(super) fn push_bytes(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        attributes: &[u8],
        action: String,
    ) {
        self.batch.push(kind, flags, header, attributes);
        self.actions.push(action);
    }
}

/// What the kernel said to requests.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Types and bodies of the messages that it answered with.
    pub(super) told: Vec<(u16, Vec<u8>)>,
    /// What it refused: number of the request, why, and what it was for.
    pub(super) refused: Vec<(u32, Errno, String)>,
}

impl Netlink {
    /// Opens the socket.
    pub async fn open(namespace: &NetNs) -> Result<Self, NetError> {
        namespace.visit(Self::open_here).await
    }

    /// Opens the socket. The calling thread must be inside the namespace.
    pub(super) fn open_here(namespace: &NetNs) -> Result<Self, NetError> {
        let socket = Socket::open(SockProtocol::NetlinkRoute).map_err(|source| NetError::Namespace {
            name: namespace.name().to_owned(),
            action: "open a netlink socket in it",
            source,
        })?;
        Ok(Self { namespace: namespace.name().into(), socket: Mutex::new(socket) })
    }

    /// Opens the socket in the calling thread's namespace, which has no name.
    pub(super) fn open_nameless() -> io::Result<Self> {
        let socket = Socket::open(SockProtocol::NetlinkRoute)?;
        Ok(Self { namespace: "a namespace without a name".into(), socket: Mutex::new(socket) })
    }

    /// Name of the namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Makes requests. The first one that is refused is the error.
    pub fn send(&self, requests: &Requests) -> Result<(), NetError> {
        match self.ask(requests)?.refused.into_iter().next() {
            None => Ok(()),
            Some((_, reason, action)) => Err(self.refused(action, reason)),
        }
    }

    /// Makes requests, whatever becomes of each.
    pub(super) fn ask(&self, requests: &Requests) -> Result<Outcome, NetError> {
        let mut batch = requests.batch.clone();
        if batch.is_empty() {
            return Ok(Outcome { told: Vec::new(), refused: Vec::new() });
        }
        batch.acknowledge_last();
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let Answer { refused, told, .. } =
            socket.ask(&batch).map_err(|error| self.failed(requests, &error))?;
        let action = |number: u32| requests.actions.get(number as usize).cloned().unwrap_or_default();
        let refused =
            refused.into_iter().map(|refusal| (refusal.number, refusal.reason, action(refusal.number)));
        Ok(Outcome { told, refused: refused.collect() })
    }

    pub(super) fn refused(&self, action: String, reason: Errno) -> NetError {
        NetError::Netlink {
            namespace: self.namespace.to_string(),
            action,
            reason: io::Error::from(reason).to_string(),
            errno: reason as i32,
        }
    }

    fn failed(&self, requests: &Requests, error: &io::Error) -> NetError {
        NetError::Netlink {
            namespace: self.namespace.to_string(),
            action: requests.actions.first().cloned().unwrap_or_default(),
            reason: error.to_string(),
            errno: 0,
        }
    }
}
