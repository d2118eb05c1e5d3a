//! What a client that is measured is doing at this moment, for whoever watches. No record is made from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::meter::Direction;

/// Packets at a client that carry payload, so far, by its meter.
#[derive(Debug, Default)]
pub struct LiveCount {
    sent: AtomicU64,
    received: AtomicU64,
    bytes: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveTraffic {
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Bytes of application payload, both ways.
    pub bytes: u64,
}

impl LiveCount {
    /// Counts a packet.
    pub(super) fn add(&self, direction: Direction, payload_bytes: u64) {
        if payload_bytes == 0 {
            return;
        }
        let packets = match direction {
            Direction::Sent => &self.sent,
            Direction::Received => &self.received,
        };
        packets.fetch_add(1, Relaxed);
        self.bytes.fetch_add(payload_bytes, Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> LiveTraffic {
        LiveTraffic {
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

/// What a client does; `E` is what it tells of it.
#[derive(Clone, Debug)]
pub enum Doing<E> {
    /// Its meter runs, and it is told to begin.
    Begins {
        /// What the meter counts.
        count: Arc<LiveCount>,
        /// Of a login: how many UDP probes it sends at the most before it takes UDP for blocked.
        most_probes: Option<usize>,
    },
    /// It says what it has come to.
    Told(E),
}
