//! How the login times of many clients are spread.

use serde::Serialize;

use crate::experiment::record::{Kind, TrialRecord};

/// Fewer logins than this have no distribution worth the name: their range says as much.
const LEAST: usize = 20;

/// The shares of logins that [`Distribution::within_s`] is given for, in percent.
pub const PERCENT: [u32; 6] = [5, 25, 50, 75, 95, 99];

/// Login times of one kind of trial. Failed ones are not in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// The kind of trial.
    pub kind: Kind,
    /// How many logins.
    pub logins: usize,
    /// Share of the logins in percent, and the seconds within which that share of them was logged in: the
    /// least measured time that is not exceeded by at least so many (nearest rank). The last is 100 %.
    pub within_s: Vec<(u32, f64)>,
}

impl Distribution {
    /// Of the trials of this kind that succeeded; `None` of fewer than 20.
    #[must_use]
    pub fn new(records: &[TrialRecord], kind: Kind) -> Option<Self> {
        let mut seconds: Vec<f64> = records
            .iter()
            .filter(|record| record.kind == kind && record.failure.is_none())
            .filter_map(|record| record.login_s)
            .collect();
        if seconds.len() < LEAST {
            return None;
        }
        seconds.sort_by(f64::total_cmp);
        let within = |percent: u32| {
            let rank = (seconds.len() * percent as usize).div_ceil(100).max(1);
            (percent, (seconds[rank - 1] * 1000.0).round() / 1000.0)
        };
        let within_s = PERCENT.into_iter().chain([100]).map(within).collect();
        Some(Self { kind, logins: seconds.len(), within_s })
    }

    /// One line of text.
    #[must_use]
    pub fn line(&self) -> String {
        let shares: Vec<String> =
            self.within_s.iter().map(|(percent, seconds)| format!("{percent} % {seconds:.2}")).collect();
        format!("{} {} logins, within s: {}", self.logins, self.kind.as_str(), shares.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{failed, trial};
    use super::*;

    #[test]
    fn shares_are_nearest_ranks_and_the_last_is_the_slowest() {
        let mut records: Vec<TrialRecord> =
            (1..=200).rev().map(|n| trial(Kind::FirstTime, n, f64::from(n), 1, 1)).collect();
        records.push(failed(Kind::FirstTime, 201));
        records.push(trial(Kind::Subsequent, 202, 999.0, 1, 1));
        let distribution = Distribution::new(&records, Kind::FirstTime).unwrap();
        assert_eq!(distribution.logins, 200);
        let expected =
            vec![(5, 10.0), (25, 50.0), (50, 100.0), (75, 150.0), (95, 190.0), (99, 198.0), (100, 200.0)];
        assert_eq!(distribution.within_s, expected);
        assert_eq!(
            distribution.line(),
            "200 first-time logins, within s: 5 % 10.00, 25 % 50.00, 50 % 100.00, 75 % 150.00, 95 % 190.00, \
             99 % 198.00, 100 % 200.00"
        );
    }

    #[test]
    fn a_few_logins_have_no_distribution() {
        let records: Vec<TrialRecord> = (1..20).map(|n| trial(Kind::FirstTime, n, 1.0, 1, 1)).collect();
        assert_eq!(Distribution::new(&records, Kind::FirstTime), None);
    }
}
