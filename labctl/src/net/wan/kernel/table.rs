//! Tables of random numbers, of which netem draws. Pure.

use std::time::Duration;

use crate::link::Distribution;
use crate::net::wan::random::quantile;

/// Numbers in a table.
const SIZE: usize = 4096;
/// Of two parts that add up, each has the square root of that many.
const ROOT: usize = 64;
/// `NETEM_DIST_SCALE`: a table's number that stands for the jitter once.
const SCALE: f64 = 8192.0;

/// A table and the jitter that it is for, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What netem is told as its jitter.
    pub jitter: i64,
    /// The numbers.
    pub numbers: Vec<i16>,
}

/// The table of independent parts that add up, one or two of them.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "numbers of a table are scaled so that they fit")]
pub fn table(parts: &[(Duration, Distribution)]) -> Option<Table> {
    let drawn = |part, count: usize| (0..count).map(move |index| number(part, index, count));
    let times: Vec<f64> = match parts {
        [] => return None,
        [only] => drawn(only, SIZE).collect(),
        [one, other, ..] => {
            let other: Vec<f64> = drawn(other, ROOT).collect();
            drawn(one, ROOT).flat_map(|one| other.iter().map(move |other| one + other)).collect()
        }
    };
    let jitter = scale(parts);
    let numbers = times.iter().map(|time| (time / jitter * SCALE).round() as i16).collect();
    Some(Table { jitter: jitter as i64, numbers })
}

/// One of so many numbers that divide a distribution evenly, in nanoseconds.
fn number((jitter, distribution): &(Duration, Distribution), index: usize, count: usize) -> f64 {
    jitter.as_nanos() as f64 * quantile(*distribution, (index as f64 + 0.5) / count as f64)
}

/// What netem is told as the jitter of a table, in nanoseconds: so that the largest of its numbers is just within what
/// a number can be.
fn scale(parts: &[(Duration, Distribution)]) -> f64 {
    let parts = &parts[..parts.len().min(2)];
    let count = if parts.len() == 1 { SIZE } else { ROOT };
    let end = |index| parts.iter().map(|part| number(part, index, count)).sum::<f64>().abs();
    (end(0).max(end(count - 1)) * SCALE / f64::from(i16::MAX)).ceil().max(1.0)
}

/// The most that a jitter can be: netem keeps that of a table as a signed number of 32 bits.
#[must_use]
pub fn most(distribution: Distribution) -> Duration {
    let second = Duration::from_secs(1);
    second.mul_f64(f64::from(i32::MAX) / scale(&[(second, distribution)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(parts: &[(Duration, Distribution)]) -> (f64, f64) {
        let table = table(parts).unwrap();
        let count = table.numbers.len() as f64;
        let scale = table.jitter as f64 / SCALE / 1e6;
        let times: Vec<f64> = table.numbers.iter().map(|number| f64::from(*number) * scale).collect();
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn tables_have_the_mean_and_the_deviation_of_their_distributions_in_milliseconds() {
        let of = |ms, distribution| (Duration::from_millis(ms), distribution);
        for (parts, mean, deviation) in [
            (vec![of(10, Distribution::Uniform)], 0.0, 10.0 / 3.0_f64.sqrt()),
            (vec![of(10, Distribution::Normal)], 0.0, 10.0),
            (vec![of(10, Distribution::Exponential)], 10.0, 10.0),
            (vec![of(4, Distribution::Uniform), of(3, Distribution::Normal)], 0.0, 3.78),
        ] {
            let found = mean_and_deviation(&parts);
            assert!(
                (found.0 - mean).abs() < 0.1 && (found.1 - deviation).abs() < 0.15,
                "{parts:?} {found:?}"
            );
        }
        let (mean, _) = mean_and_deviation(&[of(10, Distribution::Pareto)]);
        assert!((mean - 10.0).abs() < 0.3, "{mean}");
        assert_eq!(table(&[]), None);
    }

    #[test]
    fn the_most_that_a_jitter_can_be_is_within_32_bits_and_just_so() {
        let all =
            [Distribution::Uniform, Distribution::Normal, Distribution::Exponential, Distribution::Pareto];
        for distribution in all {
            let most = most(distribution);
            let of = |jitter| table(&[(jitter, distribution)]).unwrap().jitter;
            assert!(of(most) <= i64::from(i32::MAX), "{distribution:?}: {most:?}");
            assert!(of(most.mul_f64(1.01)) > i64::from(i32::MAX), "{distribution:?}: {most:?}");
        }
        // The largest of 4,096 numbers of Pareto's; a table's largest is i16::MAX / 8192 of what 32 bits hold.
        let pareto = most(Distribution::Pareto).as_secs_f64() * 1e3;
        let largest = 2.0 * (8192.0_f64.cbrt() - 1.0);
        assert!((pareto * largest - 8589.67).abs() < 1.0, "{pareto}");
        // With the way's own, the numbers are fewer and the largest is smaller.
        let both = [
            (Duration::from_millis(250), Distribution::Uniform),
            (most(Distribution::Pareto), Distribution::Pareto),
        ];
        assert!(table(&both).unwrap().jitter <= i64::from(i32::MAX));
    }
}
