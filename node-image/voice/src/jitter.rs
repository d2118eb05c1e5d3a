//! The jitter buffer: packets come as the network brings them, and leave one each packet time.
//!
//! # The rules
//!
//! 1. The first packet is played `first_delay` after it came; from then on one packet is due each packet time.
//! 2. A packet that is due and there is played.
//! 3. One that is not there while a later one is counts as **lost**: its time is concealed.
//! 4. If nothing is there at all, the buffer **stretches**: the time is concealed, and the same packet is due
//!    again next time. So the delay grows by one packet time, up to `longest_delay`; beyond it, rule 3 holds
//!    with nothing there.
//! 5. Packets that come when their time is over are **late**, ones that are there or were played are
//!    **duplicates**; neither is played.
//! 6. If through a whole `calm` the buffer always held two packets more than `first_delay` asks for, one is
//!    **skipped**, so that the delay shrinks again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The times that shape a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    /// What one packet plays for.
    pub packet_time: Duration,
    /// How long the first packet waits: the jitter that costs no sound.
    pub first_delay: Duration,
    /// The longest that the buffer stretches to.
    pub longest_delay: Duration,
    /// How long the buffer must have been too full before it shrinks.
    pub calm: Duration,
}

impl Default for JitterConfig {
    /// For packets of 15 ms: 60 ms of patience at first, 240 ms at the most.
    fn default() -> Self {
        Self {
            packet_time: crate::codec::PACKET_TIME,
            first_delay: Duration::from_millis(60),
            longest_delay: Duration::from_millis(240),
            calm: Duration::from_secs(3),
        }
    }
}

/// What is to be played for one packet time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// This packet.
    Packet {
        /// Its number.
        sequence: u32,
        /// The coded sound.
        voice: Vec<u8>,
    },
    /// A sound in the place of one that did not come.
    Conceal,
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JitterCounts {
    /// Played.
    pub played: u64,
    /// Their time came and they were not there (rule 3).
    pub lost: u64,
    /// Times that the buffer stretched by one packet time (rule 4).
    pub stretched: u64,
    /// Came when their time was over. Also counted as lost.
    pub late: u64,
    /// Came twice.
    pub duplicates: u64,
    /// Left out to shorten the delay (rule 6).
    pub skipped: u64,
    /// Sum of the times that the played packets waited, in microseconds: by `played` it is the mean.
    pub waited_us: u64,
}

/// See the module.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    packets: BTreeMap<u32, (Duration, Vec<u8>)>,
    /// The packet that is due at `due`.
    next: u32,
    due: Option<Duration>,
    /// How far the buffer has stretched beyond the first delay, less what it shrank.
    stretch: Duration,
    /// The fewest packets that were left after a playout since `calm_since`.
    fewest: usize,
    calm_since: Duration,
    counts: JitterCounts,
}

/// Packets that the buffer holds at most, in front of the one that is due: a second and a half of 15 ms ones.
/// What is farther ahead is dropped, so that a peer cannot fill the memory.
pub const MOST_AHEAD: u32 = 100;

impl JitterBuffer {
    /// An empty buffer, which waits for the first packet.
    #[must_use]
    pub fn new(config: JitterConfig) -> Self {
        Self {
            config,
            packets: BTreeMap::new(),
            next: 0,
            due: None,
            stretch: Duration::ZERO,
            fewest: usize::MAX,
            calm_since: Duration::ZERO,
            counts: JitterCounts::default(),
        }
    }

    /// Takes a packet that came at `now`, a time since any epoch.
    pub fn push(&mut self, now: Duration, sequence: u32, voice: Vec<u8>) {
        if self.due.is_none() {
            self.next = sequence;
            self.due = Some(now + self.config.first_delay);
            self.calm_since = now;
        }
        if sequence < self.next {
            // Before anything was played, an earlier packet is no late one: it was overtaken by the first.
            if self.counts == JitterCounts::default() && self.next - sequence < MOST_AHEAD {
                self.next = sequence;
            } else {
                self.counts.late += 1;
                return;
            }
        }
        if sequence - self.next >= MOST_AHEAD {
            // The sender went on through a gap that was longer than the buffer: begin again with it.
            self.jump(now, sequence);
        }
        if self.packets.insert(sequence, (now, voice)).is_some() {
            self.counts.duplicates += 1;
        }
    }

    /// After a long gap: what was missed is lost, and the packet is played as the first one was.
    fn jump(&mut self, now: Duration, sequence: u32) {
        let missed = u64::from(sequence - self.next) - self.packets.len() as u64;
        self.counts.lost += missed + self.packets.len() as u64;
        self.packets.clear();
        self.next = sequence;
        self.due = Some(now + self.config.first_delay);
        self.stretch = Duration::ZERO;
        self.calm_since = now;
        self.fewest = usize::MAX;
    }

    /// When the next playout is due; `None` before the first packet.
    #[must_use]
    pub fn next_playout(&self) -> Option<Duration> {
        self.due
    }

    /// What is to be played, if something is due at `now`. To be called until it yields nothing.
    pub fn pop(&mut self, now: Duration) -> Option<Playout> {
        let due = self.due.filter(|&due| due <= now)?;
        self.due = Some(due + self.config.packet_time);
        if let Some((came, voice)) = self.packets.remove(&self.next) {
            let sequence = self.next;
            self.next = self.next.saturating_add(1);
            self.counts.played += 1;
            self.counts.waited_us += u64::try_from(due.saturating_sub(came).as_micros()).unwrap_or(0);
            self.shrink(due);
            return Some(Playout::Packet { sequence, voice });
        }
        let can_stretch = self.config.first_delay + self.stretch < self.config.longest_delay;
        if self.packets.is_empty() && can_stretch {
            self.stretch += self.config.packet_time;
            self.counts.stretched += 1;
        } else {
            self.next = self.next.saturating_add(1);
            self.counts.lost += 1;
        }
        self.fewest = 0;
        Some(Playout::Conceal)
    }

    /// Rule 6.
    fn shrink(&mut self, now: Duration) {
        self.fewest = self.fewest.min(self.packets.len());
        if now.saturating_sub(self.calm_since) < self.config.calm {
            return;
        }
        let wanted = self.config.first_delay.as_micros() / self.config.packet_time.as_micros().max(1);
        if self.fewest as u128 >= wanted + 2 && self.packets.remove(&self.next).is_some() {
            self.next = self.next.saturating_add(1);
            self.counts.skipped += 1;
            self.stretch = self.stretch.saturating_sub(self.config.packet_time);
        }
        self.fewest = usize::MAX;
        self.calm_since = now;
    }

    /// Packets that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.packets.len()
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn counts(&self) -> JitterCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(15);

    /// Plays what comes at the given milliseconds, until `end`, and says what was played: numbers, and `None`
    /// where it was concealed.
    fn play(arrivals: &[(u64, u32)], end: u64) -> (Vec<Option<u32>>, JitterCounts) {
        let mut buffer = JitterBuffer::new(JitterConfig::default());
        let mut heard = Vec::new();
        let mut arrivals = arrivals.to_vec();
        arrivals.sort_unstable();
        let mut arrivals = arrivals.into_iter().peekable();
        for now in 0..=end {
            while let Some((_, sequence)) = arrivals.next_if(|&(at, _)| at == now) {
                buffer.push(Duration::from_millis(now), sequence, vec![]);
            }
            while let Some(playout) = buffer.pop(Duration::from_millis(now)) {
                heard.push(match playout {
                    Playout::Packet { sequence, .. } => Some(sequence),
                    Playout::Conceal => None,
                });
            }
        }
        (heard, buffer.counts())
    }

    fn steady(count: u32, delay: u64) -> Vec<(u64, u32)> {
        (0..count).map(|packet| (u64::from(packet) * 15 + delay, packet)).collect()
    }

    #[test]
    fn a_steady_stream_is_played_whole_and_each_packet_waits_the_first_delay() {
        let (heard, counts) = play(&steady(100, 40), 99 * 15 + 40 + 60);
        assert_eq!(heard, (0..100).map(Some).collect::<Vec<_>>());
        assert_eq!(counts, JitterCounts { played: 100, waited_us: 100 * 60_000, ..JitterCounts::default() });
    }

    #[test]
    fn jitter_within_the_first_delay_costs_nothing() {
        let mut arrivals = steady(100, 40);
        for (at, packet) in &mut arrivals {
            *at += u64::from(*packet * 37 % 60);
        }
        let (heard, counts) = play(&arrivals, 100 * 15 + 40 + 59);
        assert_eq!(heard.iter().flatten().count(), heard.len());
        assert_eq!((counts.lost, counts.late, counts.stretched), (0, 0, 0));
    }

    #[test]
    fn after_the_last_number_that_there_is_nothing_more_is_played_and_nothing_breaks() {
        let arrivals = [(0, u32::MAX - 1), (15, u32::MAX), (30, 0)];
        let (heard, counts) = play(&arrivals, 200);
        assert_eq!(heard[..2], [Some(u32::MAX - 1), Some(u32::MAX)]);
        assert!(heard[2..].iter().all(Option::is_none), "{heard:?}");
        assert_eq!((counts.played, counts.late), (2, 1), "0 is long past");
    }

    #[test]
    fn reordered_packets_are_played_in_order() {
        let mut arrivals = steady(20, 0);
        arrivals[3].0 = 15 * 6 + 1;
        let (heard, counts) = play(&arrivals, 19 * 15 + 60);
        assert_eq!(heard, (0..20).map(Some).collect::<Vec<_>>());
        assert_eq!(counts.late, 0);
    }

    #[test]
    fn a_packet_overtaken_by_the_very_first_one_is_not_lost() {
        let (heard, _) = play(&[(20, 0), (15, 1), (30, 2)], 15 + 60 + 30);
        assert_eq!(heard, [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_lost_packet_is_concealed_in_its_place() {
        let mut arrivals = steady(20, 0);
        arrivals.remove(7);
        let (heard, counts) = play(&arrivals, 19 * 15 + 60);
        assert_eq!(heard[6..9], [Some(6), None, Some(8)]);
        assert_eq!((counts.played, counts.lost, counts.late), (19, 1, 0));
    }

    #[test]
    fn a_late_packet_is_not_played_and_counts_as_lost_and_late() {
        let mut arrivals = steady(20, 0);
        arrivals[7].0 = 7 * 15 + 61;
        let (heard, counts) = play(&arrivals, 19 * 15 + 60);
        assert_eq!(heard[6..9], [Some(6), None, Some(8)]);
        assert_eq!((counts.lost, counts.late), (1, 1));
    }

    #[test]
    fn a_duplicate_is_played_once() {
        let mut arrivals = steady(20, 0);
        arrivals.push((7 * 15 + 10, 7));
        let (heard, counts) = play(&arrivals, 19 * 15 + 60);
        assert_eq!(heard, (0..20).map(Some).collect::<Vec<_>>());
        assert_eq!(counts.duplicates, 1);
    }

    #[test]
    fn a_stall_stretches_the_buffer_and_loses_nothing() {
        let mut arrivals = steady(20, 0);
        arrivals.extend((20..60).map(|packet| (u64::from(packet) * 15 + 100, packet)));
        let (heard, counts) = play(&arrivals, 59 * 15 + 105);
        assert_eq!(heard.iter().copied().flatten().collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
        assert_eq!((counts.lost, counts.late, counts.stretched), (0, 0, 3));
    }

    #[test]
    fn a_silent_peer_stretches_the_buffer_to_its_limit_only() {
        let (_, counts) = play(&steady(10, 0), 10 * 15 + 60 + 1_000);
        assert_eq!(counts.stretched, (240 - 60) / 15);
        assert!(counts.lost > 0);
    }

    #[test]
    fn after_a_stall_the_delay_shrinks_again() {
        let mut arrivals = steady(20, 0);
        arrivals.push((20 * 15 + 100, 20));
        arrivals.extend((21..1_500).map(|packet| ((u64::from(packet) * 15).max(20 * 15 + 100), packet)));
        let (_, counts) = play(&arrivals, 1_500 * 15);
        assert!(counts.stretched > counts.skipped && counts.skipped > 0, "{counts:?}");
        assert_eq!(counts.lost, 0);
    }

    #[test]
    fn a_gap_of_seconds_counts_as_lost_and_does_not_hold_up_what_follows() {
        let mut arrivals = steady(20, 0);
        arrivals.extend((400..420).map(|packet| (u64::from(packet) * 15, packet)));
        let (heard, counts) = play(&arrivals, 420 * 15 + 300);
        let last: Vec<_> = heard.iter().copied().flatten().rev().take(20).collect();
        assert_eq!(last, (400..420).rev().collect::<Vec<_>>());
        assert_eq!(counts.played, 40);
        assert!(counts.lost >= 380, "{counts:?}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_it_is_played_in_order_once_and_little_is_kept(
            arrivals in proptest::collection::vec((0_u64..2_000, proptest::num::u32::ANY), 0..200),
        ) {
            let mut buffer = JitterBuffer::new(JitterConfig::default());
            let mut arrivals = arrivals;
            arrivals.sort_unstable();
            let mut last = None;
            for (at, sequence) in arrivals {
                // Some close together, some anywhere.
                let sequence = if at % 7 == 0 { sequence } else { sequence % 300 };
                buffer.push(Duration::from_millis(at), sequence, vec![]);
                proptest::prop_assert!(buffer.waiting() <= MOST_AHEAD as usize);
                while let Some(playout) = buffer.pop(Duration::from_millis(at)) {
                    if let Playout::Packet { sequence, .. } = playout {
                        proptest::prop_assert!(last.is_none_or(|last| sequence > last));
                        last = Some(sequence);
                    }
                }
            }
        }
    }

    #[test]
    fn the_tick_is_the_packet_time() {
        let mut buffer = JitterBuffer::new(JitterConfig::default());
        assert_eq!(buffer.next_playout(), None);
        buffer.push(Duration::from_secs(1), 5, vec![1]);
        let first = buffer.next_playout().unwrap();
        assert_eq!(first, Duration::from_millis(1_060));
        assert!(buffer.pop(Duration::from_millis(1_059)).is_none());
        assert!(buffer.pop(first).is_some());
        assert_eq!(buffer.next_playout(), Some(first + TICK));
    }
}
