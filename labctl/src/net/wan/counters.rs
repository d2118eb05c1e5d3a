//! What the WAN counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lane::Bytes;

/// Packets and their bytes at IP level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP headers included.
    pub bytes: u64,
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

impl Tally {
    /// Counts a packet.
    pub fn add(&mut self, Bytes(length): Bytes) {
        self.packets += 1;
        self.bytes += u64::from(length);
    }
}

/// How long packets waited in the queue of a link before they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Packets that waited.
    pub packets: u64,
    /// How long, all of them together, in nanoseconds.
    pub total_ns: u64,
    /// The longest of these times, in nanoseconds.
    pub longest_ns: u64,
}

impl Waiting {
    /// Counts a packet, unless it did not wait.
    pub fn add(&mut self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.packets += 1;
        self.total_ns = self.total_ns.saturating_add(time);
        self.longest_ns = self.longest_ns.max(time);
    }

    /// The longest time.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_ns)
    }
}

/// Why the WAN drops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The queue of the sender's access link was full.
    UpQueue,
    /// Lost on the sender's access link.
    UpLoss,
    /// The queue of the receiver's access link was full.
    DownQueue,
    /// Lost on the receiver's access link.
    DownLoss,
    /// The sender's or the receiver's access link was down.
    LinkDown,
    /// Sender and receiver were on two sides of a partition.
    Partition,
    /// The WAN holds as many packets as it can ([`CAPACITY`](super::CAPACITY)).
    Overflow,
}

/// Packets that were dropped, by cause. See [`Cause`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drops {
    /// On the way up, queue full.
    pub up_queue: u64,
    /// On the way up, lost.
    pub up_loss: u64,
    /// On the way down, queue full.
    pub down_queue: u64,
    /// On the way down, lost.
    pub down_loss: u64,
    /// Sent or about to be received while the link was down.
    pub link_down: u64,
    /// Sent to the other side of a partition.
    pub partition: u64,
    /// Sent, but the WAN held too many.
    pub overflow: u64,
}

impl Drops {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.up_queue
            + self.up_loss
            + self.down_queue
            + self.down_loss
            + self.link_down
            + self.partition
            + self.overflow
    }
}

/// What one attachment sent, got and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Sent by it, whatever became of it.
    pub sent: Tally,
    /// Delivered to it.
    pub received: Tally,
    /// Dropped on its access link, or for its sake.
    pub dropped: Drops,
    /// Doubled on its access link.
    pub duplicated: u64,
    /// Overtaken on its access link.
    pub reordered: u64,
    /// What waited on the way up.
    pub up_waiting: Waiting,
    /// What waited on the way down.
    pub down_waiting: Waiting,
}

impl Counters {
    /// Counts a dropped packet.
    pub fn drop_packet(&mut self, cause: Cause) {
        let count = match cause {
            Cause::UpQueue => &mut self.dropped.up_queue,
            Cause::UpLoss => &mut self.dropped.up_loss,
            Cause::DownQueue => &mut self.dropped.down_queue,
            Cause::DownLoss => &mut self.dropped.down_loss,
            Cause::LinkDown => &mut self.dropped.link_down,
            Cause::Partition => &mut self.dropped.partition,
            Cause::Overflow => &mut self.dropped.overflow,
        };
        *count += 1;
    }
}
