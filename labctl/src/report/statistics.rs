//! Minimum, median and maximum.

use serde::Serialize;

/// How figures are spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread<T> {
    /// The least.
    pub min: T,
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: T,
    /// The greatest.
    pub max: T,
}

impl Spread<f64> {
    /// Of seconds, rounded to milliseconds; `None` of nothing.
    #[must_use]
    pub fn of_seconds(seconds: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = seconds.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (lower, upper) = middle(&sorted)?;
        let round = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        Some(Self {
            min: round(*sorted.first()?),
            median: round(f64::midpoint(lower, upper)),
            max: round(*sorted.last()?),
        })
    }
}

impl Spread<u64> {
    /// Of bytes or packets; a median between two whole numbers is rounded down. `None` of nothing.
    #[must_use]
    pub fn of_counts(counts: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = counts.into_iter().collect();
        sorted.sort_unstable();
        let (lower, upper) = middle(&sorted)?;
        Some(Self { min: *sorted.first()?, median: u64::midpoint(lower, upper), max: *sorted.last()? })
    }
}

/// The two in the middle, or twice the one in the middle.
fn middle<T: Copy>(sorted: &[T]) -> Option<(T, T)> {
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2], sorted[sorted.len() / 2]))
}

/// The value below which this share (0 to 1) of sorted values lies, between two of them in proportion (type 7 of
/// Hyndman and Fan, 1996). `None` of nothing.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the last index")]
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64))
}

/// Without what rounding leaves behind the ninth decimal place.
#[must_use]
pub fn clean(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one() {
        assert_eq!(Spread::of_counts([9, 1, 5]), Some(Spread { min: 1, median: 5, max: 9 }));
        assert_eq!(Spread::of_counts([4]), Some(Spread { min: 4, median: 4, max: 4 }));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_middle_ones() {
        let spread = Spread::of_seconds([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of_counts([u64::MAX, u64::MAX]).unwrap().median, u64::MAX);
    }

    #[test]
    fn quantiles_lie_between_values_in_proportion() {
        let at = |share| quantile(&[1.0, 2.0, 3.0, 5.0], share);
        let expected = [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (0.75, 3.5), (1.0, 5.0)];
        for (share, value) in expected {
            assert_eq!(at(share), Some(value));
        }
        assert_eq!(quantile(&[4.0], 0.3), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn nothing_has_no_spread() {
        assert_eq!(Spread::of_seconds([]), None);
        assert_eq!(Spread::of_counts([]), None);
    }

    #[test]
    fn seconds_are_given_to_the_millisecond() {
        let spread = Spread::of_seconds([1.234_567]).unwrap();
        assert_eq!(spread, Spread { min: 1.235, median: 1.235, max: 1.235 });
    }
}
