//! What the WAN counts.

use serde::{Deserialize, Serialize};

use super::access::Bytes;

/// Packets and their bytes at IP level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP headers included.
    pub bytes: u64,
}

impl Tally {
    /// Counts a packet.
    pub fn add(&mut self, Bytes(length): Bytes) {
        self.packets += 1;
        self.bytes += u64::from(length);
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
    /// The WAN holds as many packets as it can ([`CAPACITY`](super::CAPACITY)).
    Overflow,
}

/// Packets that were dropped, by cause. See [`Cause`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// On the way up, queue full.
    pub up_queue: u64,
    /// On the way up, lost.
    pub up_loss: u64,
    /// On the way down, queue full.
    pub down_queue: u64,
    /// On the way down, lost.
    pub down_loss: u64,
    /// Sent, but the WAN held too many.
    pub overflow: u64,
}

/// What one attachment sent, got and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Sent by it, whatever became of it.
    pub sent: Tally,
    /// Delivered to it.
    pub received: Tally,
    /// Dropped on its access link.
    pub dropped: Drops,
}

impl Counters {
    /// Counts a dropped packet.
    pub fn drop_packet(&mut self, cause: Cause) {
        let count = match cause {
            Cause::UpQueue => &mut self.dropped.up_queue,
            Cause::UpLoss => &mut self.dropped.up_loss,
            Cause::DownQueue => &mut self.dropped.down_queue,
            Cause::DownLoss => &mut self.dropped.down_loss,
            Cause::Overflow => &mut self.dropped.overflow,
        };
        *count += 1;
    }
}
