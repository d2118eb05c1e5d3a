//! The boundary between the protocol and whatever runs it: a socket driver or a test.

use std::fmt;
use std::net::SocketAddrV4;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: the time since the driver's own epoch (the node's start, or 0 in a test).
///
/// Moments of two nodes are not comparable; a node has only its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The driver's epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment `since` after the epoch.
    #[must_use]
    pub const fn from_epoch(since: Duration) -> Self {
        Self(since)
    }

    /// The time since the epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

impl Sub for Time {
    type Output = Duration;

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

/// Which of a node's UDP sockets a datagram goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UdpSocket {
    /// The node's own address and port, the one that other nodes know.
    Main,
    /// A super node's second port, from which it answers the STUN-like "other port" test
    /// (RFC 3489, CHANGE-REQUEST). A client has none.
    Alternate,
}

/// A TCP connection of one machine. The machine chooses the numbers of those that it opens
/// (even numbers), the driver those that it accepts (odd numbers); neither is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Why a connection could not be made, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamError {
    /// Answered by a reset: nobody listens there, or a firewall rejects.
    Refused,
    /// An ICMP error said that the peer cannot be reached.
    Unreachable,
    /// The operating system gave up waiting.
    TimedOut,
    /// An established connection was reset.
    Reset,
}

/// What happens to a machine.
#[derive(Debug)]
pub enum Input<'a, C> {
    /// A datagram arrived.
    Datagram {
        /// The socket that it came in through.
        socket: UdpSocket,
        /// Its source.
        from: SocketAddrV4,
        /// Its payload.
        data: &'a [u8],
    },
    /// A connection that the machine asked for is established.
    Connected {
        /// Which one.
        connection: ConnectionId,
        /// The node's own end of it.
        local: SocketAddrV4,
    },
    /// A connection that the machine asked for was not made.
    ConnectFailed {
        /// Which one.
        connection: ConnectionId,
        /// Why.
        error: StreamError,
    },
    /// A peer connected to one of the machine's listening ports.
    Accepted {
        /// The number that the driver gave it.
        connection: ConnectionId,
        /// The port that the peer connected to.
        local_port: u16,
        /// The peer's end of it.
        from: SocketAddrV4,
    },
    /// Bytes arrived on a connection.
    Data {
        /// Which one.
        connection: ConnectionId,
        /// The bytes, as many as there were.
        data: &'a [u8],
    },
    /// The peer closed the connection, or it broke. Not sent for what the machine closed.
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// How it broke; `None` if the peer closed it.
        error: Option<StreamError>,
    },
    /// The moment that [`Machine::next_timeout`] gave has come.
    Timeout,
    /// What the node's user, or its owner, wants.
    Command(C),
}

/// What a machine wants done.
#[derive(Debug)]
pub enum Output<E> {
    /// Send a datagram.
    Datagram {
        /// The socket that it goes out through.
        socket: UdpSocket,
        /// Its destination.
        to: SocketAddrV4,
        /// Its payload.
        data: Vec<u8>,
    },
    /// Open a TCP connection. Time limits are the machine's: it closes what takes too long.
    Connect {
        /// The number that the machine gave it.
        connection: ConnectionId,
        /// Where to.
        to: SocketAddrV4,
    },
    /// Send bytes on a connection, in order.
    Send {
        /// Which one.
        connection: ConnectionId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Close a connection when all that was sent before is delivered. Also ends an attempt to connect.
    Close {
        /// Which one.
        connection: ConnectionId,
    },
    /// Tell the node's user, or its owner.
    Event(E),
}

/// A protocol role as a value. The driver's loop is: hand in what happened, take all outputs, wait for
/// the next input or for `next_timeout`, whichever is first.
pub trait Machine {
    /// What its user can ask for.
    type Command;
    /// What it tells its user.
    type Event;

    /// Takes one input at the moment `now`. Never fails: bad input from a peer costs that peer its
    /// connection and nobody else anything.
    fn handle(&mut self, now: Time, input: Input<'_, Self::Command>);

    /// The next thing to do, in order; `None` when there is nothing more until the next input.
    fn poll_output(&mut self) -> Option<Output<Self::Event>>;

    /// When [`Input::Timeout`] is due; `None` if only input can make a difference.
    fn next_timeout(&self) -> Option<Time>;
}
