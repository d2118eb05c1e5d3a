//! What is due when: gives things back in the order of their time, at a cost that does not grow with how many wait.
//!
//! Time is cut into days of an eighth of a millisecond. What is due on one of the next days lies on a heap of its own,
//! unordered until that day comes; only today's is sorted. What is due later than all of these days waits in one sorted
//! heap, which few packets ever see. (R. Brown, "Calendar queues", CACM 31(10), 1988, with days of one year only.)

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::mem;

use super::lane::Moment;

/// A day is so many bits of nanoseconds: 131 us, on which 33 packets are due at 250,000 packets/s.
const DAY_BITS: u32 = 17;
/// Days that are kept apart, half a second together. A power of two.
const DAYS: usize = 4096;
/// Empty lists that are kept to be used again.
const SPARES: usize = 1024;

/// Things and when they are due. Of two that are due at the same moment, the one that was put in first is first.
#[derive(Debug)]
pub(super) struct Calendar<T> {
    /// What is due today or was before.
    today: BinaryHeap<Entry<T>>,
    /// Number of today.
    day: u64,
    /// The days from tomorrow on, each at its number modulo their count.
    days: Vec<Vec<Entry<T>>>,
    /// A bit for each of them on which something is due.
    busy: [u64; DAYS / 64],
    /// What is due on days after these.
    later: BinaryHeap<Entry<T>>,
    sequence: u64,
    length: usize,
    spares: Vec<Vec<Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    /// In nanoseconds.
    due: u64,
    sequence: u64,
    item: T,
}

impl<T> Entry<T> {
    fn day(&self) -> u64 {
        self.due >> DAY_BITS
    }
}

impl<T> Calendar<T> {
    /// Nothing is due.
    pub(super) fn new() -> Self {
        Self {
            today: BinaryHeap::new(),
            day: 0,
            days: std::iter::repeat_with(Vec::new).take(DAYS).collect(),
            busy: [0; DAYS / 64],
            later: BinaryHeap::new(),
            sequence: 0,
            length: 0,
            spares: Vec::new(),
        }
    }

    /// How many things wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Puts something in.
    pub(super) fn push(&mut self, due: Moment, item: T) {
        self.sequence += 1;
        self.length += 1;
        self.place(Entry { due: nanoseconds(due), sequence: self.sequence, item });
    }

    fn place(&mut self, entry: Entry<T>) {
        let day = entry.day();
        if day <= self.day {
            self.today.push(entry);
        } else if day - self.day < DAYS as u64 {
            let place = place_of(day);
            let list = &mut self.days[place];
            if list.is_empty() {
                self.busy[place / 64] |= 1 << (place % 64);
                if let Some(spare) = self.spares.pop() {
                    *list = spare;
                }
            }
            list.push(entry);
        } else {
            self.later.push(entry);
        }
    }

    /// When the first thing is due.
    pub(super) fn next(&self) -> Option<Moment> {
        let first = || self.days[place_of(self.next_busy()?)].iter().map(|entry| entry.due).min();
        let due = self.today.peek().map(|entry| entry.due);
        due.or_else(first).or_else(|| Some(self.later.peek()?.due)).map(Moment::from_nanos)
    }

    /// Takes out the first thing, and when it was due, if that is by `now`.
    pub(super) fn pop(&mut self, now: Moment) -> Option<(Moment, T)> {
        let now = nanoseconds(now);
        while self.today.is_empty() {
            if self.length == 0 {
                return None;
            }
            let reached = now >> DAY_BITS;
            match self.next_busy().filter(|day| *day <= reached) {
                Some(day) => self.turn_to(day),
                None if reached > self.day => self.turn_to(reached),
                None => return None,
            }
        }
        if self.today.peek()?.due > now {
            return None;
        }
        let Entry { due, item, .. } = self.today.pop()?;
        self.length -= 1;
        Some((Moment::from_nanos(due), item))
    }

    /// The first day from tomorrow on, within those that are kept apart, on which something is due.
    fn next_busy(&self) -> Option<u64> {
        let words = self.busy.len();
        let begin = place_of(self.day + 1);
        let (word, bit) = (begin / 64, begin % 64);
        // The word in which tomorrow is has its first bits at the end of the circle.
        let ahead = (0..=words).find_map(|step| {
            let bits = self.busy[(word + step) % words];
            let bits = match step {
                0 => bits & (u64::MAX << bit),
                _ if step == words => bits & !(u64::MAX << bit),
                _ => bits,
            };
            (bits != 0).then(|| step * 64 + bits.trailing_zeros() as usize - bit)
        })?;
        Some(self.day + 1 + ahead as u64)
    }

    /// Makes this day today. Nothing is due between the two, and nothing is left of today.
    fn turn_to(&mut self, day: u64) {
        self.day = day;
        let place = place_of(day);
        if self.busy[place / 64] & 1 << (place % 64) != 0 {
            self.busy[place / 64] &= !(1 << (place % 64));
            let list = mem::take(&mut self.days[place]);
            let spare = mem::replace(&mut self.today, list.into()).into_vec();
            if self.spares.len() < SPARES {
                self.spares.push(spare);
            }
        }
        while self.later.peek().is_some_and(|entry| entry.day() < day + DAYS as u64) {
            if let Some(entry) = self.later.pop() {
                self.place(entry);
            }
        }
    }
}

/// More than 500 years are as good as never.
fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

fn place_of(day: u64) -> usize {
    // What is left is below the number of days.
    usize::try_from(day % DAYS as u64).unwrap_or(0)
}

// A heap gives its largest element: that is the one which is due first.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// What is put in at which time and how long it waits, with waits of every order of size.
    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let wait = (0_u32..36).prop_flat_map(|bits| 0_u64..1 << bits);
        let pause = (0_u32..31).prop_flat_map(|bits| 0_u64..1 << bits);
        proptest::collection::vec((pause, wait), 1..200)
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_in_the_order_of_its_time_and_none_too_early(steps in steps()) {
            let mut calendar = Calendar::new();
            let mut waiting: Vec<(u64, usize)> = Vec::new();
            let mut now = 0;
            // At the end it is waited for the last.
            let steps = steps.into_iter().map(|(pause, wait)| (pause, Some(wait))).chain([(u64::MAX >> 8, None)]);
            for (number, (pause, wait)) in steps.enumerate() {
                now += pause;
                if let Some(wait) = wait {
                    calendar.push(Duration::from_nanos(now + wait), number);
                    waiting.push((now + wait, number));
                    waiting.sort_unstable();
                }
                let first = waiting.first().map(|(due, _)| Duration::from_nanos(*due));
                prop_assert_eq!(calendar.next(), first);
                let due = waiting.partition_point(|(due, _)| *due <= now);
                for expected in waiting.drain(..due) {
                    let popped = calendar.pop(Duration::from_nanos(now));
                    prop_assert_eq!(popped, Some((Duration::from_nanos(expected.0), expected.1)));
                }
                prop_assert_eq!(calendar.pop(Duration::from_nanos(now)), None);
                prop_assert_eq!(calendar.len(), waiting.len());
            }
            prop_assert_eq!(calendar.len(), 0);
        }
    }

    #[test]
    fn what_is_late_is_before_what_is_due_and_of_two_the_first_one_put_in_is_first() {
        let at = Duration::from_millis;
        let mut calendar = Calendar::new();
        calendar.push(at(700), "far");
        assert_eq!(calendar.pop(at(600)), None);
        for (due, item) in [(650, "b"), (5, "a"), (650, "c"), (601, "soon")] {
            calendar.push(at(due), item);
        }
        let order: Vec<_> = std::iter::from_fn(|| calendar.pop(at(700))).map(|(_, item)| item).collect();
        assert_eq!(order, ["a", "soon", "b", "c", "far"]);
    }
}
