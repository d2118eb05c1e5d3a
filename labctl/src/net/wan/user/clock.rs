//! The engine's time beside the system's clock, by which the kernel says when packets came.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::lane::Moment;

/// The engine's time, and where the system's clock stands beside it.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// The system's time at which this one was 0.
    zero: Duration,
    /// The last moment that was read.
    read: Moment,
    /// The last moment that was given to a packet.
    last: Moment,
}

impl Clock {
    /// A clock that is at 0 now.
    pub fn start() -> Self {
        let mut clock =
            Self { start: Instant::now(), zero: Duration::ZERO, read: Moment::ZERO, last: Moment::ZERO };
        clock.compare();
        clock
    }

    /// The moment.
    pub fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// Looks where the system's clock stands: it may be set at any time.
    pub fn compare(&mut self) {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.read = self.now();
        self.zero = system.saturating_sub(self.read);
    }

    /// When a packet came, by the time that the kernel gave it: not before the one before it, and not in the future.
    pub fn moment(&mut self, time: Duration) -> Moment {
        let mut moment = time.saturating_sub(self.zero);
        // Most came before the last look at the clock, so that it need not be looked again.
        if moment > self.read {
            self.read = self.now();
            moment = moment.min(self.read);
        }
        self.last = self.last.max(moment);
        self.last
    }
}
