//! One direction of an access link: a bounded queue, a rate, a loss and a delay, in this order.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

/// Moment in the life of a WAN: time since its engine started.
pub type Moment = Duration;

/// Length of an IP packet, its header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u32);

/// A queue holds what the link carries in this time ...
const QUEUE_TIME: Duration = Duration::from_millis(100);
/// ... but at least so many packets of 1,500 bytes, or a slow link could not take one whole burst.
const QUEUE_PACKETS: u64 = 10;

const NANOSECONDS: u128 = 1_000_000_000;

/// Data rate of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// A rate in bit/s; at least 1.
    #[must_use]
    pub fn new(bits_per_second: u64) -> Self {
        Self(bits_per_second.max(1))
    }

    /// How long the link is busy with a packet.
    #[must_use]
    pub fn time_for(self, Bytes(length): Bytes) -> Duration {
        let nanoseconds = u128::from(length) * 8 * NANOSECONDS / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// What the link carries in a time, in bytes.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = time.as_nanos() * u128::from(self.0) / 8 / NANOSECONDS;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Bytes that wait for the link at most.
    #[must_use]
    pub fn queue_limit(self) -> u64 {
        self.bytes_in(QUEUE_TIME).max(QUEUE_PACKETS * 1500)
    }
}

/// Why a packet does not leave an access link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The queue was full (drop tail).
    Queue,
    /// It was lost on the wire, after it had used its time there.
    Wire,
}

/// One direction of an access link.
#[derive(Clone, Debug)]
pub struct Access {
    rate: Option<Rate>,
    loss: f64,
    delay: Duration,
    jitter: Duration,
    /// When the link has sent all that it has taken.
    free: Moment,
    /// When the last packet came out: a wire does not reorder, so that none comes out before it.
    last: Moment,
}

impl Access {
    /// A link. `rate` in bit/s, none for no limit; `loss` from 0.0 to 1.0; `jitter` is uniform in plus or
    /// minus this and does not make the delay negative.
    #[must_use]
    pub fn new(rate: Option<u64>, loss: f64, delay: Duration, jitter: Duration) -> Self {
        let rate = rate.map(Rate::new);
        Self { rate, loss, delay, jitter, free: Moment::ZERO, last: Moment::ZERO }
    }

    /// Whether a packet's fate depends on the packets before it: then they must be passed in the order
    /// in which they come.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.rate.is_some() || !self.jitter.is_zero()
    }

    /// Passes a packet that comes at `now`; when it comes out at the other end.
    pub fn pass(&mut self, now: Moment, length: Bytes, random: &mut ChaCha8Rng) -> Result<Moment, Lost> {
        let sent = match self.rate {
            None => now,
            Some(rate) => {
                let waiting = rate.bytes_in(self.free.saturating_sub(now));
                if waiting.saturating_add(u64::from(length.0)) > rate.queue_limit() {
                    return Err(Lost::Queue);
                }
                self.free = self.free.max(now).saturating_add(rate.time_for(length));
                self.free
            }
        };
        if self.loss > 0.0 && unit(random) < self.loss {
            return Err(Lost::Wire);
        }
        let out = sent.saturating_add(jittered(self.delay, self.jitter, random));
        self.last = self.last.max(out);
        Ok(if self.has_memory() { self.last } else { out })
    }
}

/// A delay with a uniform jitter of plus or minus `jitter`.
pub fn jittered(delay: Duration, jitter: Duration, random: &mut ChaCha8Rng) -> Duration {
    if jitter.is_zero() {
        return delay;
    }
    let shift = unit(random) * 2.0 - 1.0;
    let size = jitter.mul_f64(shift.abs());
    if shift < 0.0 { delay.saturating_sub(size) } else { delay.saturating_add(size) }
}

/// Uniform in 0.0 (included) to 1.0 (not included), in steps of 2^-53.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const FULL: Bytes = Bytes(1500);

    fn random() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    #[test]
    fn a_burst_leaves_at_the_rate_of_the_link() {
        // 1,500 bytes at 12 Mbit/s take 1 ms.
        let mut link = Access::new(Some(12_000_000), 0.0, Duration::from_millis(5), Duration::ZERO);
        let mut random = random();
        for packet in 1..=20 {
            let out = link.pass(Moment::ZERO, FULL, &mut random);
            assert_eq!(out, Ok(Duration::from_millis(5 + packet)));
        }
        // After a pause the link is free again, and the past is forgotten.
        let later = Duration::from_secs(9);
        assert_eq!(link.pass(later, FULL, &mut random), Ok(later + Duration::from_millis(6)));
    }

    #[test]
    fn what_comes_to_a_full_queue_is_dropped_and_takes_no_time() {
        // 100 ms at 12 Mbit/s are 150,000 bytes, that is 100 packets.
        let mut link = Access::new(Some(12_000_000), 0.0, Duration::ZERO, Duration::ZERO);
        let mut random = random();
        let passed = (0..150).filter(|_| link.pass(Moment::ZERO, FULL, &mut random).is_ok()).count();
        assert_eq!(passed, 100);
        // One packet's time later there is room for one more, at the end.
        let now = Duration::from_millis(1);
        assert_eq!(link.pass(now, FULL, &mut random), Ok(Duration::from_millis(101)));
        assert_eq!(link.pass(now, FULL, &mut random), Err(Lost::Queue));
    }

    #[test]
    fn the_queue_of_a_slow_link_takes_ten_packets() {
        let mut link = Access::new(Some(56_000), 0.0, Duration::ZERO, Duration::ZERO);
        let mut random = random();
        let passed = (0..50).filter(|_| link.pass(Moment::ZERO, FULL, &mut random).is_ok()).count();
        assert_eq!(passed, 10);
    }

    #[test]
    fn the_share_that_is_lost_is_the_one_asked_for() {
        let mut link = Access::new(None, 0.1, Duration::ZERO, Duration::ZERO);
        let mut random = random();
        let lost = (0..100_000).filter(|_| link.pass(Moment::ZERO, FULL, &mut random).is_err()).count();
        // Five standard deviations of a binomial distribution around the mean: 10,000 +/- 475.
        assert!((9_525..=10_475).contains(&lost), "{lost} of 100,000");
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_uses_them() {
        let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(5));
        let bounds = Duration::from_millis(15)..=Duration::from_millis(25);
        let mut random = random();
        let delays: Vec<_> = (0..10_000).map(|_| jittered(delay, jitter, &mut random)).collect();
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!(bounds.contains(least) && bounds.contains(most), "{least:?} to {most:?}");
        assert!(*least < Duration::from_micros(15_500) && *most > Duration::from_micros(24_500));
        let mean = delays.iter().sum::<Duration>() / 10_000;
        assert!(mean.abs_diff(delay) < Duration::from_micros(150), "mean {mean:?}");
    }

    #[test]
    fn jitter_larger_than_the_delay_does_not_send_packets_back_in_time() {
        let mut link = Access::new(None, 0.0, Duration::from_millis(1), Duration::from_millis(50));
        let mut random = random();
        let mut last = Moment::ZERO;
        for step in 0..1000 {
            let now = Duration::from_micros(step * 100);
            let out = link.pass(now, FULL, &mut random).unwrap();
            assert!(out >= now && out >= last);
            last = out;
        }
    }
}
