//! What the WAN does to packets, as a pure function of time: no socket, no clock, a seeded RNG.
//!
//! A packet passes these stages in this order:
//!
//! 1. the sender's access link upwards: queue, rate, loss, delay and jitter ([`Lane`]);
//! 2. the path between the two attachments: half of the RTT of their regions, or what follows from the distance of
//!    their places, and jitter as a share of it ([`Paths`]);
//! 3. the receiver's access link downwards, as 1.
//!
//! Each stage is first in, first out: 1 and 3 for all packets of the link, 2 for all packets of the pair
//! of attachments. So packets of a pair are never reordered, but for those that a link is asked to hold back. Stage 3 is entered when the packet has come
//! there and not when it was sent: packets from far and from near share the queue in the order in which
//! they arrive.
//!
//! Random numbers are drawn from a stream for each attachment, way and purpose. So the same seed and the same packets
//! at a link give the same drops there, whatever other links carry.

use super::AttachmentId;
use super::barriers::Barriers;
use super::calendar::Calendar;
use super::counters::{Cause, Counters};
use super::lane::{Bytes, Lane, Lost, Moment, Out};
use super::paths::Paths;
use crate::link::{AccessLink, Setting, Ways};
use crate::plan::WanPlan;

/// Packets that a WAN holds at most, those in flight: at 1,500 bytes each some 400 MB. It is enough for 10 Gbit/s of
/// such packets at 300 ms.
pub const CAPACITY: usize = 262_144;

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
    Deliver {
        /// Whose it is.
        to: AttachmentId,
        /// The packet.
        packet: T,
    },
    /// It was lost on the way.
    Drop(Dropped<T>),
}

/// The model of a [`WanPlan`]. `T` is what an engine knows a packet by; a copy of it is another packet of the same
/// content.
#[derive(Debug)]
pub struct Model<T> {
    attachments: Vec<Link>,
    paths: Paths,
    barriers: Barriers,
    flights: Calendar<Flight<T>>,
    capacity: usize,
    counters: Vec<Counters>,
}

#[derive(Debug)]
struct Link {
    up: Lane,
    down: Lane,
    /// False while the link is down.
    works: bool,
}

/// A packet on its way.
#[derive(Debug)]
struct Flight<T> {
    to: AttachmentId,
    length: Bytes,
    /// What is due: its entry into the receiver's access link, or its delivery.
    delivery: bool,
    packet: T,
}

impl<T: Clone> Model<T> {
    /// A WAN in which nothing is in flight.
    #[must_use]
    pub fn new(plan: &WanPlan) -> Self {
        Self::with_capacity(plan, CAPACITY)
    }

    fn with_capacity(plan: &WanPlan, capacity: usize) -> Self {
        let lane = |spec, way, name: &str| Lane::new(spec, plan.seed, way, name);
        let link = |at: &crate::plan::Attachment| Link {
            up: lane(at.access.up, "up", at.name.as_str()),
            down: lane(at.access.down, "down", at.name.as_str()),
            works: true,
        };
        let attachments: Vec<_> = plan.attachments.iter().map(link).collect();
        Self {
            counters: vec![Counters::default(); attachments.len()],
            attachments,
            paths: Paths::new(plan),
            barriers: Barriers::default(),
            flights: Calendar::new(),
            capacity,
        }
    }

    /// Whether the plan has such an attachment.
    #[must_use]
    pub fn has(&self, AttachmentId(id): AttachmentId) -> bool {
        id < self.attachments.len()
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &WanPlan {
        self.paths.plan()
    }

    /// What an access link is like now.
    ///
    /// # Panics
    ///
    /// This and what follows, if the plan lacks the attachment; ask [`Model::has`].
    #[must_use]
    pub fn link(&self, AttachmentId(id): AttachmentId) -> AccessLink {
        let link = &self.attachments[id];
        AccessLink { up: *link.up.spec(), down: *link.down.spec() }
    }

    /// Bytes that wait for an access link, up and down.
    #[must_use]
    pub fn backlog(&self, now: Moment, AttachmentId(id): AttachmentId) -> (u64, u64) {
        let link = &self.attachments[id];
        (link.up.backlog(now), link.down.backlog(now))
    }

    /// Changes an access link for the packets that come to it from now on.
    pub fn set(&mut self, now: Moment, AttachmentId(id): AttachmentId, ways: Ways, setting: Setting) {
        let link = &mut self.attachments[id];
        if ways.up() {
            link.up.set(now, setting);
        }
        if ways.down() {
            link.down.set(now, setting);
        }
    }

    /// Takes an access link down, or up again. What was sent before and arrives while it is down is lost.
    pub fn set_works(&mut self, AttachmentId(id): AttachmentId, works: bool) {
        self.attachments[id].works = works;
    }

    /// False while an access link is down.
    #[must_use]
    pub fn works(&self, AttachmentId(id): AttachmentId) -> bool {
        self.attachments[id].works
    }

    /// Stops packets between sides, besides what is stopped already. What is on its way arrives.
    pub fn part(&mut self, sides: &[Vec<AttachmentId>]) {
        self.barriers.add(self.attachments.len(), sides);
    }

    /// Ends all partitions.
    pub fn heal(&mut self) {
        self.barriers.clear();
    }

    /// Partitions in force.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.barriers.count()
    }

    /// Packets in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// What was counted at an attachment.
    #[must_use]
    pub fn counters(&self, AttachmentId(id): AttachmentId) -> Counters {
        let link = &self.attachments[id];
        Counters { up_waiting: link.up.waiting(), down_waiting: link.down.waiting(), ..self.counters[id] }
    }

    /// Takes a packet that `from` has sent at `now` to `to`. If it is lost at once, it comes back.
    pub fn enter(
        &mut self,
        now: Moment,
        from: AttachmentId,
        to: AttachmentId,
        length: Bytes,
        packet: T,
    ) -> Result<(), Dropped<T>> {
        self.counters[from.0].sent.add(length);
        match self.ascend(now, from, to, length) {
            Ok(out) => {
                self.note(from, out);
                let arrival = self.paths.pass(out.at, from, to, out.late);
                if out.twice {
                    self.put(arrival, to, length, false, packet.clone());
                }
                self.put(arrival, to, length, false, packet);
                Ok(())
            }
            Err(cause) => {
                self.counters[from.0].drop_packet(cause);
                Err(Dropped { packet, cause })
            }
        }
    }

    fn ascend(
        &mut self,
        now: Moment,
        from: AttachmentId,
        to: AttachmentId,
        length: Bytes,
    ) -> Result<Out, Cause> {
        let link = &mut self.attachments[from.0];
        if !link.works {
            return Err(Cause::LinkDown);
        }
        if self.barriers.stop(from, to) {
            return Err(Cause::Partition);
        }
        if self.flights.len() >= self.capacity {
            return Err(Cause::Overflow);
        }
        link.up.pass(now, length).map_err(|lost| match lost {
            Lost::Queue => Cause::UpQueue,
            Lost::Wire => Cause::UpLoss,
        })
    }

    /// Passes the receiver's access link; what becomes of the packet, if that is known now.
    fn descend(&mut self, now: Moment, flight: Flight<T>) -> Option<Fate<T>> {
        let Flight { to, length, packet, .. } = flight;
        let link = &mut self.attachments[to.0];
        if !link.works {
            return Some(self.drop(to, Cause::LinkDown, packet));
        }
        match link.down.pass(now, length) {
            Ok(out) => {
                self.note(to, out);
                if out.twice {
                    self.put(out.at, to, length, true, packet.clone());
                }
                // A link that neither holds nor delays it: no need to come back for it.
                if out.at_once {
                    return Some(self.deliver(to, length, packet));
                }
                self.put(out.at, to, length, true, packet);
                None
            }
            Err(Lost::Queue) => Some(self.drop(to, Cause::DownQueue, packet)),
            Err(Lost::Wire) => Some(self.drop(to, Cause::DownLoss, packet)),
        }
    }

    fn note(&mut self, AttachmentId(at): AttachmentId, out: Out) {
        let counters = &mut self.counters[at];
        counters.duplicated += u64::from(out.twice);
        counters.reordered += u64::from(out.late);
    }

    fn put(&mut self, due: Moment, to: AttachmentId, length: Bytes, delivery: bool, packet: T) {
        self.flights.push(due, Flight { to, length, delivery, packet });
    }

    fn deliver(&mut self, to: AttachmentId, length: Bytes, packet: T) -> Fate<T> {
        if !self.works(to) {
            return self.drop(to, Cause::LinkDown, packet);
        }
        self.counters[to.0].received.add(length);
        Fate::Deliver { to, packet }
    }

    fn drop(&mut self, at: AttachmentId, cause: Cause, packet: T) -> Fate<T> {
        self.counters[at.0].drop_packet(cause);
        Fate::Drop(Dropped { packet, cause })
    }

    /// When there is something to do next; `None` while no packet is in flight.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.flights.next()
    }

    /// Does one thing that is due by `now` and returns the packet whose fate that decides. `None`: nothing more is
    /// due.
    pub fn poll(&mut self, now: Moment) -> Option<Fate<T>> {
        loop {
            let (due, flight) = self.flights.pop(now)?;
            if flight.delivery {
                return Some(self.deliver(flight.to, flight.length, flight.packet));
            }
            // At the time when it was due, not when somebody came to look: lateness must not add up.
            if let Some(fate) = self.descend(due, flight) {
                return Some(fate);
            }
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
