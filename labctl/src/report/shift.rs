//! By how much one sample is more than another: the Hodges-Lehmann estimate with its distribution-free interval.
//!
//! Trials are few and their times have long tails, so that neither means nor a normal distribution are safe. The
//! estimate is the median of all differences between a value of one sample and a value of the other; the interval is
//! made of those differences that Mann and Whitney's test would not refuse. It holds whatever the distribution is,
//! needs no random numbers, and excludes 0 exactly where that test says that the samples differ.
//!
//! Hodges and Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34 (1963);
//! Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3rd edition (2014), sections 4.2 and 4.3.

use serde::Serialize;

use super::statistics::clean;

/// The probability with which the interval may miss.
const MISS: f64 = 0.05;
/// From so many values in either sample on, U is taken to be normally distributed.
const MANY: usize = 50;
/// Quantile of the normal distribution for [`MISS`] on both sides.
const NORMAL: f64 = 1.959_963_985;
/// Up to so many differences are made and sorted (32 MB); of more only those that are needed are looked for.
const IN_MEMORY: usize = 1 << 22;

/// A shift from one sample to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shift {
    /// The estimate, in the samples' unit.
    pub estimate: f64,
    /// Its 95 % confidence interval; `None` if there are too few values for one.
    pub interval: Option<(f64, f64)>,
}

impl Shift {
    /// From the first sample to the second; `None` if either is empty.
    #[must_use]
    pub fn between(first: &[f64], second: &[f64]) -> Option<Self> {
        let differences = if first.len().saturating_mul(second.len()) <= IN_MEMORY {
            Differences::sorted(first, second)
        } else {
            Differences::to_search(first, second)
        };
        let count = differences.count();
        let last = count.checked_sub(1)?;
        let estimate = f64::midpoint(differences.at(last / 2), differences.at(count / 2));
        let rank = rank(first.len(), second.len());
        let interval = rank.map(|rank| (differences.at(rank - 1), differences.at(count - rank)));
        Some(Self { estimate, interval })
    }

    /// Whether the interval excludes 0; `None` without one.
    #[must_use]
    pub fn excludes_zero(&self) -> Option<bool> {
        self.interval.map(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// All differences between a value of one sample and a value of the other, in order.
enum Differences {
    /// Each of them.
    Sorted(Vec<f64>),
    /// Both samples, sorted: what stands at a place is looked for.
    Search { first: Vec<f64>, second: Vec<f64> },
}

impl Differences {
    fn sorted(first: &[f64], second: &[f64]) -> Self {
        let mut all: Vec<f64> =
            first.iter().flat_map(|one| second.iter().map(move |other| clean(other - one))).collect();
        all.sort_by(f64::total_cmp);
        Self::Sorted(all)
    }

    fn to_search(first: &[f64], second: &[f64]) -> Self {
        let [mut first, mut second] = [first.to_vec(), second.to_vec()];
        first.sort_by(f64::total_cmp);
        second.sort_by(f64::total_cmp);
        Self::Search { first, second }
    }

    fn count(&self) -> usize {
        match self {
            Self::Sorted(all) => all.len(),
            Self::Search { first, second } => first.len() * second.len(),
        }
    }

    /// The one at this place, from 0.
    fn at(&self, place: usize) -> f64 {
        match self {
            Self::Sorted(all) => all[place],
            Self::Search { first, second } => search(first, second, place),
        }
    }
}

/// What stands at a place, from 0, of the sorted differences of two sorted samples: the least number that more than
/// `place` differences do not exceed, by halving the range of all numbers. 64 times through both samples.
fn search(first: &[f64], second: &[f64], place: usize) -> f64 {
    let (mut low, mut high) = (0, u64::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if up_to(first, second, number_at(middle)) > place {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    number_at(low)
}

/// How many differences of two sorted samples do not exceed a bound. What is subtracted grows, and so does how many
/// values of the second sample stay below it.
fn up_to(first: &[f64], second: &[f64], bound: f64) -> usize {
    let mut below = 0;
    let counts = first.iter().map(|one| {
        while second.get(below).is_some_and(|other| clean(other - one).total_cmp(&bound).is_le()) {
            below += 1;
        }
        below
    });
    counts.sum()
}

/// The number at a place in the order of [`f64::total_cmp`]: negative ones have their bits the other way round.
fn number_at(place: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    f64::from_bits(if place & SIGN == 0 { !place } else { place ^ SIGN })
}

/// Which of the sorted differences, from 1, bounds the interval below: the greatest rank with which it misses at most
/// as often as it may.
fn rank(first: usize, second: usize) -> Option<usize> {
    if first.max(second) < MANY {
        let mut below = 0.0;
        let fits = frequencies(first, second).into_iter().take_while(|share| {
            below += share;
            2.0 * below <= MISS
        });
        let rank = fits.count();
        return (rank > 0).then_some(rank);
    }
    let (m, n) = (first as f64, second as f64);
    let rank = m * n / 2.0 - NORMAL * (m * n * (m + n + 1.0) / 12.0).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1, at most m * n / 2"
    )]
    (rank >= 1.0).then_some(rank as usize)
}

/// How often Mann and Whitney's U is 0, 1, 2 ... if both samples are from one distribution: the coefficients of the
/// Gaussian binomial coefficient, divided by their sum.
fn frequencies(first: usize, second: usize) -> Vec<f64> {
    let most = first * second;
    let mut counts = vec![0.0; most + 1];
    counts[0] = 1.0;
    for step in 1..=second {
        // Times 1 - q^(first + step), divided by 1 - q^step.
        for at in (first + step..=most).rev() {
            counts[at] -= counts[at - first - step];
        }
        for at in step..=most {
            counts[at] += counts[at - step];
        }
    }
    // It is symmetric, and the upper half is a difference of what is large there: rounding would be all that is left.
    for at in 0..most / 2 {
        counts[most - at] = counts[at];
    }
    let all: f64 = counts.iter().sum();
    counts.iter().map(|count| count / all).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn the_example_of_the_book_comes_out_as_printed_there() {
        // Hollander and Wolfe, example 4.1: permeability of membranes; R prints 0.305 and -0.15 to 0.76.
        let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let early = [1.15, 0.88, 0.90, 0.74, 1.21];
        let shift = Shift::between(&early, &term).unwrap();
        let (low, high) = shift.interval.unwrap();
        assert!(near(shift.estimate, 0.305) && near(low, -0.15) && near(high, 0.76), "{shift:?}");
        assert_eq!(shift.excludes_zero(), Some(false));
    }

    #[test]
    fn u_is_distributed_as_by_counting() {
        // Every choice of 4 places of 9, and how many pairs are in order.
        let mut counted = vec![0_u32; 21];
        for set in 0_u32..1 << 9 {
            if set.count_ones() == 4 {
                let places = (0..9).filter(|place| set >> place & 1 == 1);
                counted[places.zip(0..4).map(|(place, before)| place - before).sum::<usize>()] += 1;
            }
        }
        for (share, count) in frequencies(5, 4).into_iter().zip(counted) {
            assert!((share - f64::from(count) / 126.0).abs() < 1e-12);
        }
        let large = frequencies(49, 49);
        assert!(large.iter().all(|share| (0.0..0.01).contains(share)));
        assert!((large[0] * 2.547_761_225_898_086e28 - 1.0).abs() < 1e-9, "one of 98 over 49");
    }

    #[test]
    fn too_few_values_have_an_estimate_and_no_interval() {
        let shift = Shift::between(&[1.0, 2.0, 3.0], &[11.0, 12.0, 13.0]).unwrap();
        assert_eq!((shift.estimate, shift.interval, shift.excludes_zero()), (10.0, None, None));
        assert_eq!(Shift::between(&[], &[1.0]), None);
        let four = Shift::between(&[1.0, 2.0, 3.0, 4.0], &[11.0, 12.0, 13.0, 14.0]).unwrap();
        assert_eq!((four.interval, four.excludes_zero()), (Some((7.0, 13.0)), Some(true)));
    }

    #[test]
    fn many_values_take_the_ranks_of_the_normal_distribution() {
        // The exact rank for 49 is next to what the approximation would give.
        let normal = 49.0 * 49.0 / 2.0 - NORMAL * (49.0 * 49.0 * 99.0 / 12.0_f64).sqrt();
        assert!((rank(49, 49).unwrap() as f64 - normal).abs() <= 2.0, "{:?} and {normal}", rank(49, 49));
        assert!(rank(50, 50).unwrap() > rank(49, 49).unwrap());
    }

    #[test]
    fn two_large_samples_are_compared_without_all_of_their_differences() {
        let sample = |count: u32, add: f64| -> Vec<f64> {
            (0..count).map(|n| f64::from(n * 7919 % count) * 0.001 + add).collect()
        };
        let (one, other) = (sample(4_000, 0.0), sample(4_000, 2.5));
        let shift = Shift::between(&one, &other).unwrap();
        assert!(near(shift.estimate, 2.5) && shift.excludes_zero() == Some(true), "{shift:?}");
    }

    proptest! {
        #[test]
        fn what_is_looked_for_is_what_stands_there_when_all_are_sorted(
            one in prop::collection::vec(prop_oneof![-9.0..9.0, Just(0.0), Just(-0.0), Just(1.5)], 1..12),
            other in prop::collection::vec(prop_oneof![-9.0..9.0, Just(0.0), Just(1.5), -1e9..1e9], 1..12),
        ) {
            let (sorted, search) = (Differences::sorted(&one, &other), Differences::to_search(&one, &other));
            prop_assert_eq!(sorted.count(), search.count());
            for place in 0..sorted.count() {
                prop_assert_eq!(sorted.at(place).to_bits(), search.at(place).to_bits());
            }
        }

        #[test]
        fn a_shift_of_all_values_shifts_estimate_and_interval(
            one in prop::collection::vec(0_u32..1000, 1..12),
            other in prop::collection::vec(0_u32..1000, 1..12),
            by in 0_u32..1000,
        ) {
            let real = |values: &[u32], add: u32| values.iter().map(|value| f64::from(value + add)).collect::<Vec<_>>();
            let (one, plain, moved) = (real(&one, 0), real(&other, 0), real(&other, by));
            let before = Shift::between(&one, &plain).unwrap();
            let after = Shift::between(&one, &moved).unwrap();
            prop_assert!(near(after.estimate, before.estimate + f64::from(by)));
            let add = |(low, high)| (low + f64::from(by), high + f64::from(by));
            prop_assert_eq!(after.interval, before.interval.map(add));
            if let Some((low, high)) = before.interval {
                prop_assert!(low <= before.estimate && before.estimate <= high);
            }
            let back = Shift::between(&plain, &one).unwrap();
            prop_assert!(near(back.estimate, -before.estimate));
        }
    }
}
