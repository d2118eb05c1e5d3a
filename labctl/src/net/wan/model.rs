//! What the WAN does to packets, as a pure function of time: no socket, no clock, a seeded RNG.
//!
//! A packet passes these stages in this order:
//!
//! 1. the sender's access link upwards: queue, rate, loss, delay and jitter ([`Access`]);
//! 2. the path between the two regions: half of their RTT, and jitter as a share of it;
//! 3. the receiver's access link downwards, as 1.
//!
//! Each stage is first in, first out: 1 and 3 for all packets of the link, 2 for all packets of the pair
//! of attachments. So packets of a pair are never reordered. Stage 3 is entered when the packet has come
//! there and not when it was sent: packets from far and from near share the queue in the order in which
//! they arrive.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::AttachmentId;
use super::access::{Access, Bytes, Lost, Moment, jittered};
use super::counters::{Cause, Counters};
use crate::plan::WanPlan;

/// Packets that a WAN holds at most, those in flight. The kernel holds the packets themselves: at 1,500
/// bytes each this is some 300 MB there. It is enough for 7 Gbit/s of such packets at 200 ms.
pub const CAPACITY: usize = 131_072;

/// What an engine does with packets: the model behind every way of taking them from the kernel.
///
/// `T` is what the engine knows a packet by.
pub trait Impairment<T> {
    /// Takes a packet that `from` has sent at `now` to `to`. If it is lost at once, it comes back.
    fn enter(
        &mut self,
        now: Moment,
        from: AttachmentId,
        to: AttachmentId,
        length: Bytes,
        packet: T,
    ) -> Result<(), Dropped<T>>;

    /// When there is something to do next; `None` while no packet is in flight.
    fn next(&self) -> Option<Moment>;

    /// Does one thing that is due by `now` and returns the packet whose fate that decides. `None`:
    /// nothing more is due.
    fn poll(&mut self, now: Moment) -> Option<Fate<T>>;

    /// What was counted, by attachment.
    fn counters(&self) -> &[Counters];
}

/// A packet that is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped<T> {
    /// The packet.
    pub packet: T,
    /// Why.
    pub cause: Cause,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<T> {
    /// Its time has come.
    Deliver(T),
    /// It was lost on the way.
    Drop(Dropped<T>),
}

/// The model of a [`WanPlan`].
#[derive(Debug)]
pub struct Model<T> {
    attachments: Vec<Link>,
    delay: Vec<Vec<Duration>>,
    jitter: f64,
    /// When the last packet of a pair came through the path. Kept only where there is jitter: without it
    /// the order is the one of sending.
    paths: HashMap<(AttachmentId, AttachmentId), Moment>,
    random: ChaCha8Rng,
    flights: BinaryHeap<Flight<T>>,
    sequence: u64,
    capacity: usize,
    counters: Vec<Counters>,
}

#[derive(Debug)]
struct Link {
    region: usize,
    up: Access,
    down: Access,
}

/// A packet on its way.
#[derive(Debug)]
struct Flight<T> {
    due: Moment,
    /// Of two that are due at the same moment, the one that was put in first is first.
    sequence: u64,
    to: AttachmentId,
    length: Bytes,
    /// What is due: its entry into the receiver's access link, or its delivery.
    delivery: bool,
    packet: T,
}

impl<T> Model<T> {
    /// A WAN in which nothing is in flight.
    #[must_use]
    pub fn new(plan: &WanPlan) -> Self {
        Self::with_capacity(plan, CAPACITY)
    }

    fn with_capacity(plan: &WanPlan, capacity: usize) -> Self {
        let attachments: Vec<_> = plan
            .attachments
            .iter()
            .map(|at| Link {
                region: at.region,
                up: Access::new(at.up, at.loss, at.access_delay, at.access_jitter),
                down: Access::new(at.down, at.loss, at.access_delay, at.access_jitter),
            })
            .collect();
        Self {
            counters: vec![Counters::default(); attachments.len()],
            attachments,
            delay: plan.delay.clone(),
            jitter: plan.jitter.clamp(0.0, 1.0),
            paths: HashMap::new(),
            random: ChaCha8Rng::seed_from_u64(plan.seed),
            flights: BinaryHeap::new(),
            sequence: 0,
            capacity,
        }
    }

    /// Whether the plan has such an attachment.
    #[must_use]
    pub fn has(&self, AttachmentId(id): AttachmentId) -> bool {
        id < self.attachments.len()
    }

    fn path(&mut self, now: Moment, from: AttachmentId, to: AttachmentId) -> Moment {
        let delay = self.delay[self.attachments[from.0].region][self.attachments[to.0].region];
        let jitter = delay.mul_f64(self.jitter);
        let out = now.saturating_add(jittered(delay, jitter, &mut self.random));
        if jitter.is_zero() {
            return out;
        }
        let last = self.paths.entry((from, to)).or_default();
        *last = out.max(*last);
        *last
    }

    fn put(&mut self, due: Moment, to: AttachmentId, length: Bytes, delivery: bool, packet: T) {
        self.sequence += 1;
        self.flights.push(Flight { due, sequence: self.sequence, to, length, delivery, packet });
    }

    /// Passes the receiver's access link; what becomes of the packet, if that is known now.
    fn descend(&mut self, flight: Flight<T>) -> Option<Fate<T>> {
        let Flight { due: now, to, length, packet, .. } = flight;
        let link = &mut self.attachments[to.0].down;
        match link.pass(now, length, &mut self.random) {
            // A link that neither holds nor delays anything: no need to come back for it.
            Ok(due) if due == now && !link.has_memory() => Some(self.deliver(to, length, packet)),
            Ok(due) => {
                self.put(due, to, length, true, packet);
                None
            }
            Err(lost) => {
                let cause = match lost {
                    Lost::Queue => Cause::DownQueue,
                    Lost::Wire => Cause::DownLoss,
                };
                self.counters[to.0].drop_packet(cause);
                Some(Fate::Drop(Dropped { packet, cause }))
            }
        }
    }

    fn deliver(&mut self, to: AttachmentId, length: Bytes, packet: T) -> Fate<T> {
        self.counters[to.0].received.add(length);
        Fate::Deliver(packet)
    }
}

impl<T> Impairment<T> for Model<T> {
    /// Panics if the plan lacks one of the two attachments; ask [`Model::has`].
    fn enter(
        &mut self,
        now: Moment,
        from: AttachmentId,
        to: AttachmentId,
        length: Bytes,
        packet: T,
    ) -> Result<(), Dropped<T>> {
        self.counters[from.0].sent.add(length);
        let left = if self.flights.len() < self.capacity {
            self.attachments[from.0].up.pass(now, length, &mut self.random).map_err(|lost| match lost {
                Lost::Queue => Cause::UpQueue,
                Lost::Wire => Cause::UpLoss,
            })
        } else {
            Err(Cause::Overflow)
        };
        match left {
            Ok(left) => {
                let arrival = self.path(left, from, to);
                self.put(arrival, to, length, false, packet);
                Ok(())
            }
            Err(cause) => {
                self.counters[from.0].drop_packet(cause);
                Err(Dropped { packet, cause })
            }
        }
    }

    fn next(&self) -> Option<Moment> {
        self.flights.peek().map(|flight| flight.due)
    }

    fn poll(&mut self, now: Moment) -> Option<Fate<T>> {
        while self.next()? <= now {
            let flight = self.flights.pop()?;
            if flight.delivery {
                return Some(self.deliver(flight.to, flight.length, flight.packet));
            }
            // At the time when it was due, not when somebody came to look: lateness must not add up.
            if let Some(fate) = self.descend(flight) {
                return Some(fate);
            }
        }
        None
    }

    fn counters(&self) -> &[Counters] {
        &self.counters
    }
}

// The heap gives its largest element: that is the one which is due first.
impl<T> Ord for Flight<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}

impl<T> PartialOrd for Flight<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Flight<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Flight<T> {}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
