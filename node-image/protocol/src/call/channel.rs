//! The way of signalling: a connection straight to the callee, or a channel that a super node passes on.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use crate::login::Core;
use crate::machine::{ConnectionId, Time};
use crate::user::UserName;
use crate::wire::call::{Signal, whole};
use crate::wire::stream::Stream;
use crate::wire::super_node::{FromSuperNode, ToSuperNode};
use crate::wire::{Bytes, DecodeError, Message};

/// Somewhere to reach the callee at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The callee itself.
    Straight(SocketAddrV4),
    /// A super node that the callee may be connected to.
    Through(SocketAddrV4),
}

/// The caller's attempts, one after another.
#[derive(Debug)]
pub(crate) struct Dialling {
    user: UserName,
    targets: VecDeque<Target>,
    known_port: Option<u16>,
    current: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    target: Target,
    connection: ConnectionId,
    ports: Vec<u16>,
    deadline: Time,
    /// Once connected.
    stream: Option<Stream>,
}

/// What an attempt came to.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// Not yet anything.
    Pending,
    /// There is a channel, and perhaps the callee's first word behind it.
    Open(Box<Channel>, Option<SocketAddrV4>),
    /// All ways failed.
    Failed,
}

impl Dialling {
    pub fn start(core: &mut Core, user: UserName, targets: Vec<Target>, known_port: Option<u16>) -> Self {
        let mut dialling = Self { user, targets: targets.into(), known_port, current: None };
        dialling.next(core);
        dialling
    }

    /// Goes on to the next port, then to the next target; `false` if none is left.
    fn next(&mut self, core: &mut Core) -> bool {
        let (target, mut ports) = match self.current.take() {
            // Once a node let the client in it is not tried at another port.
            Some(attempt) if attempt.stream.is_none() && !attempt.ports.is_empty() => {
                (attempt.target, attempt.ports)
            }
            _ => {
                let Some(target) = self.targets.pop_front() else {
                    return false;
                };
                let (Target::Straight(node) | Target::Through(node)) = target;
                let mut ports = core.parameters.listening_ports(node.port());
                if let Some(place) = ports.iter().position(|&port| Some(port) == self.known_port) {
                    let known = ports.remove(place);
                    ports.insert(0, known);
                }
                ports.reverse();
                (target, ports)
            }
        };
        let Some(port) = ports.pop() else {
            return false;
        };
        let (Target::Straight(node) | Target::Through(node)) = target;
        let connection = core.connect(SocketAddrV4::new(*node.ip(), port));
        let deadline = core.now + core.parameters.call_dial_timeout.duration();
        self.current = Some(Attempt { target, connection, ports, deadline, stream: None });
        true
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.current.as_ref().is_some_and(|attempt| attempt.connection == connection)
    }

    pub fn connected(&mut self, core: &mut Core) -> Dialled {
        let Some(attempt) = &mut self.current else {
            return Dialled::Pending;
        };
        let mut stream = Stream::default();
        match attempt.target {
            Target::Straight(_) => {
                let connection = attempt.connection;
                self.current = None;
                Dialled::Open(Box::new(Channel::Straight { connection, stream }), None)
            }
            Target::Through(_) => {
                let question = ToSuperNode::ReachUser { user: self.user.clone() };
                let mut bytes = stream.send(&mut core.random, &ToSuperNode::Hello {});
                bytes.extend(stream.send(&mut core.random, &question));
                core.send(attempt.connection, bytes);
                attempt.stream = Some(stream);
                attempt.deadline = core.now + core.parameters.call_dial_timeout.duration();
                Dialled::Pending
            }
        }
    }

    pub fn ended(&mut self, core: &mut Core) -> Dialled {
        if self.next(core) { Dialled::Pending } else { Dialled::Failed }
    }

    /// Bytes of a super node. What follows its answer stays in the channel's stream.
    pub fn data(&mut self, core: &mut Core, data: &[u8]) -> Dialled {
        let Some(Attempt { connection, stream: Some(stream), target, .. }) = &mut self.current else {
            return Dialled::Pending;
        };
        let (connection, Target::Straight(node) | Target::Through(node)) = (*connection, *target);
        stream.receive(data);
        loop {
            match stream.next_message::<FromSuperNode>() {
                Ok(None) => return Dialled::Pending,
                Ok(Some(FromSuperNode::Welcome { .. })) => {}
                Ok(Some(FromSuperNode::UserReached { channel })) => {
                    let stream = std::mem::take(stream);
                    self.current = None;
                    let channel = Channel::Through { connection, stream, channel };
                    return Dialled::Open(Box::new(channel), Some(node));
                }
                Ok(Some(_)) | Err(_) => {
                    core.close(connection);
                    return self.ended(core);
                }
            }
        }
    }

    pub fn advance(&mut self, core: &mut Core) -> Dialled {
        match &self.current {
            Some(attempt) if core.now >= attempt.deadline => {
                core.close(attempt.connection);
                self.ended(core)
            }
            Some(_) => Dialled::Pending,
            None => Dialled::Failed,
        }
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.current.as_ref().map(|attempt| attempt.deadline)
    }

    pub fn close(&self, core: &mut Core) {
        if let Some(attempt) = &self.current {
            core.close(attempt.connection);
        }
    }
}

/// A way that signalling takes.
#[derive(Debug)]
pub(crate) enum Channel {
    /// A connection between the two ends.
    Straight { connection: ConnectionId, stream: Stream },
    /// The caller's connection to the callee's super node.
    Through { connection: ConnectionId, stream: Stream, channel: u32 },
    /// The callee's end, on the connection to its super node.
    Link { connection: ConnectionId, channel: u32 },
}

/// What a callee's super node is to be sent, on the connection that the login made.
#[derive(Debug)]
pub(crate) struct ForLink {
    pub connection: ConnectionId,
    pub message: ToSuperNode,
}

impl Channel {
    /// True for a channel that has the connection for itself.
    pub fn owns(&self, other: ConnectionId) -> bool {
        match self {
            Self::Straight { connection, .. } | Self::Through { connection, .. } => *connection == other,
            Self::Link { .. } => false,
        }
    }

    /// True for the callee's end of this channel.
    pub fn is_link(&self, other: ConnectionId, number: u32) -> bool {
        matches!(self, Self::Link { connection, channel } if *connection == other && *channel == number)
    }

    /// The link that it goes over, if it has no connection of its own.
    pub fn link(&self) -> Option<ConnectionId> {
        match self {
            Self::Link { connection, .. } => Some(*connection),
            _ => None,
        }
    }

    /// True if it goes over this link.
    pub fn is_on_link(&self, other: ConnectionId) -> bool {
        matches!(self, Self::Link { connection, .. } if *connection == other)
    }

    pub fn send(&mut self, core: &mut Core, signal: &Signal) -> Option<ForLink> {
        let frame = || Bytes::new(signal.to_frame()).expect("a signal is shorter than its limit");
        match self {
            Self::Straight { connection, stream } => {
                let bytes = stream.send(&mut core.random, signal);
                core.send(*connection, bytes);
                None
            }
            Self::Through { connection, stream, channel } => {
                let message = ToSuperNode::PassSignal { channel: *channel, signal: frame() };
                let bytes = stream.send(&mut core.random, &message);
                core.send(*connection, bytes);
                None
            }
            Self::Link { connection, channel } => {
                let message = ToSuperNode::PassSignal { channel: *channel, signal: frame() };
                Some(ForLink { connection: *connection, message })
            }
        }
    }

    /// Takes bytes of a connection of its own.
    pub fn receive(&mut self, data: &[u8]) {
        if let Self::Straight { stream, .. } | Self::Through { stream, .. } = self {
            stream.receive(data);
        }
    }

    /// The next signal that came on a connection of its own.
    ///
    /// # Errors
    ///
    /// If the peer broke the protocol, or left.
    pub fn next_signal(&mut self) -> Result<Option<Signal>, DecodeError> {
        match self {
            Self::Straight { stream, .. } => stream.next_message(),
            Self::Through { stream, channel, .. } => loop {
                return match stream.next_message::<FromSuperNode>()? {
                    None => Ok(None),
                    Some(FromSuperNode::PassedSignal { channel: number, signal }) if number == *channel => {
                        whole(signal.as_slice()).map(Some)
                    }
                    Some(FromSuperNode::StillHere {}) => continue,
                    Some(other) => Err(DecodeError::Type(other.kind())),
                };
            },
            Self::Link { .. } => Ok(None),
        }
    }

    /// Keeps a super node from closing the connection.
    pub fn keep_alive(&mut self, core: &mut Core) {
        if let Self::Through { connection, stream, .. } = self {
            let bytes = stream.send(&mut core.random, &ToSuperNode::KeepAlive {});
            core.send(*connection, bytes);
        }
    }

    pub fn close(&self, core: &mut Core) -> Option<ForLink> {
        match self {
            Self::Straight { connection, .. } | Self::Through { connection, .. } => {
                core.close(*connection);
                None
            }
            Self::Link { connection, channel } => {
                let message = ToSuperNode::CloseChannel { channel: *channel };
                Some(ForLink { connection: *connection, message })
            }
        }
    }
}
