//! One way of an access link: a bounded queue, a rate, a loss and a delay, in this order.

use std::time::Duration;

use super::counters::Waiting;
use super::random::{Jitter, Random};
use crate::link::{LinkSpec, Loss, Queue, Setting};

/// Moment in the life of a WAN: time since its engine started.
pub type Moment = Duration;

/// Length of an IP packet, its header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u32);

/// [`Queue::Usual`] holds what the link carries in this time ...
const QUEUE_TIME: Duration = Duration::from_millis(100);
/// ... but at least so many bytes.
const QUEUE_LEAST: u64 = 10 * 1500;

const NANOSECONDS: u64 = 1_000_000_000;

/// How long a link of `rate` bit/s is busy with so many bytes.
#[must_use]
pub fn time_for(rate: u64, bytes: u64) -> Duration {
    Duration::from_nanos(share(bytes, 8 * NANOSECONDS, rate.max(1)))
}

/// What a link of `rate` bit/s carries in a time, in bytes.
#[must_use]
pub fn bytes_in(rate: u64, time: Duration) -> u64 {
    share(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), rate, 8 * NANOSECONDS)
}

/// `count * of / parts`, or the largest number if that is larger.
fn share(count: u64, of: u64, parts: u64) -> u64 {
    if let Some(product) = count.checked_mul(of) {
        return product / parts;
    }
    // A division of twice the width takes several times as long; only large numbers need it.
    u64::try_from(u128::from(count) * u128::from(of) / u128::from(parts)).unwrap_or(u64::MAX)
}

/// Bytes that wait for a link of `rate` bit/s at most.
#[must_use]
pub fn queue_limit(queue: Queue, rate: u64) -> u64 {
    match queue {
        Queue::Usual => bytes_in(rate, QUEUE_TIME).max(QUEUE_LEAST),
        Queue::Time(time) => bytes_in(rate, time),
        Queue::Bytes(bytes) => bytes,
    }
}

/// Why a packet does not leave a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The queue was full (drop tail).
    Queue,
    /// It was lost on the wire, after it had used its time there.
    Wire,
}

/// How a packet leaves a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Out {
    /// When.
    pub at: Moment,
    /// True if others may overtake it.
    pub late: bool,
    /// True if it leaves twice.
    pub twice: bool,
    /// True if it leaves at once, and none before it is still to leave.
    pub at_once: bool,
}

/// One way of an access link.
#[derive(Clone, Debug)]
pub struct Lane {
    spec: LinkSpec,
    /// When the link has sent all that it has taken.
    free: Moment,
    /// When the last packet comes out: a wire does not reorder, so that none comes out before it.
    last: Moment,
    /// The state of a wire that loses in bursts.
    bad: bool,
    jitter: Jitter,
    losses: Random,
    /// For what happens to few packets: it must not shift what happens to the others.
    rare: Random,
    waiting: Waiting,
}

impl Lane {
    /// The lane of an attachment, `way` being `up` or `down`.
    #[must_use]
    pub fn new(spec: LinkSpec, seed: u64, way: &str, name: &str) -> Self {
        let random = |purpose: &str| Random::new(seed, &format!("{way} {purpose}"), name);
        Self {
            spec,
            free: Moment::ZERO,
            last: Moment::ZERO,
            bad: false,
            jitter: Jitter::new(random("jitter")),
            losses: random("loss"),
            rare: random("rare"),
            waiting: Waiting::default(),
        }
    }

    /// What it is like.
    #[must_use]
    pub fn spec(&self) -> &LinkSpec {
        &self.spec
    }

    /// What waited so far.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Bytes that wait for the link or are being sent.
    #[must_use]
    pub fn backlog(&self, now: Moment) -> u64 {
        self.spec.rate.map_or(0, |rate| bytes_in(rate, self.free.saturating_sub(now)))
    }

    /// Changes a property for the packets that come from now on. What waits already keeps the time at which it
    /// leaves; what comes behind it at another rate reckons with it as bytes.
    pub fn set(&mut self, now: Moment, setting: Setting) {
        let backlog = self.backlog(now);
        self.spec.set(setting);
        self.free = match self.spec.rate {
            Some(rate) => now.saturating_add(time_for(rate, backlog)),
            None => now,
        };
    }

    /// Passes a packet that comes at `now`.
    pub fn pass(&mut self, now: Moment, length: Bytes) -> Result<Out, Lost> {
        let sent = self.send(now, length)?;
        if self.loses() {
            return Err(Lost::Wire);
        }
        let out = sent.saturating_add(self.delay());
        let late = self.rare.chance(self.spec.reorder);
        let twice = self.rare.chance(self.spec.duplicate);
        if late {
            let at = out.max(self.last).saturating_add(self.spec.reorder_by);
            return Ok(Out { at, late, twice, at_once: false });
        }
        let at_once = out == now && self.last < now;
        self.last = self.last.max(out);
        Ok(Out { at: self.last, late, twice, at_once })
    }

    /// When the last bit of a packet has been sent.
    fn send(&mut self, now: Moment, Bytes(length): Bytes) -> Result<Moment, Lost> {
        let Some(rate) = self.spec.rate else { return Ok(now) };
        let wait = self.free.saturating_sub(now);
        // A packet that finds the link free is always taken.
        if !wait.is_zero() {
            let waiting = bytes_in(rate, wait).saturating_add(u64::from(length));
            if waiting > queue_limit(self.spec.queue, rate) {
                return Err(Lost::Queue);
            }
        }
        self.waiting.add(wait);
        self.free = self.free.max(now).saturating_add(time_for(rate, length.into()));
        Ok(self.free)
    }

    fn loses(&mut self) -> bool {
        match self.spec.loss {
            Loss::Independent(share) => self.losses.chance(share),
            Loss::Bursts(wire) => {
                let changes = if self.bad { wire.to_good } else { wire.to_bad };
                self.bad ^= self.losses.chance(changes);
                self.losses.chance(if self.bad { wire.in_bad } else { wire.in_good })
            }
        }
    }

    fn delay(&mut self) -> Duration {
        let LinkSpec { delay, jitter, distribution, correlation, .. } = self.spec;
        if jitter.is_zero() {
            return delay;
        }
        shifted(delay, jitter, self.jitter.next(distribution, correlation))
    }
}

/// A delay with `times` the jitter added; never below 0.
pub(super) fn shifted(delay: Duration, jitter: Duration, times: f64) -> Duration {
    /// More than any delay can be. A tail without end would otherwise hold up all that follows.
    const LONGEST: Duration = Duration::from_secs(60);
    let shift = Duration::try_from_secs_f64(jitter.as_secs_f64() * times.abs()).unwrap_or(LONGEST);
    if times < 0.0 { delay.saturating_sub(shift) } else { delay.saturating_add(shift.min(LONGEST)) }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
