//! Dividing an experiment's trials among labs that run side by side.

/// The trials of one lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Number of its first trial, from 1.
    pub first: u32,
    /// How many.
    pub trials: u32,
}

/// Divides `trials` among at most `labs` labs, as evenly as can be; nobody gets none. Numbers run on from one lab
/// to the next, so that each trial has the seed that it would have in a single lab.
#[must_use]
pub fn shares(trials: u32, labs: u32) -> Vec<Share> {
    let labs = labs.clamp(1, trials.max(1));
    let (each, rest) = (trials / labs, trials % labs);
    let mut first = 1;
    (0..labs)
        .map(|lab| {
            let share = Share { first, trials: each + u32::from(lab < rest) };
            first += share.trials;
            share
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_divide_goes_to_the_first_labs() {
        let share = |first, trials| Share { first, trials };
        assert_eq!(shares(10, 3), [share(1, 4), share(5, 3), share(8, 3)]);
        assert_eq!(shares(2, 3), [share(1, 1), share(2, 1)]);
        assert_eq!(shares(7, 0), [share(1, 7)]);
    }

    proptest! {
        #[test]
        fn every_trial_is_in_one_share(trials in 1_u32..500, labs in 0_u32..50) {
            let numbers: Vec<u32> =
                shares(trials, labs).iter().flat_map(|share| share.first..share.first + share.trials).collect();
            prop_assert_eq!(numbers, (1..=trials).collect::<Vec<_>>());
        }
    }
}
