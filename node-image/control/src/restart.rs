//! When a program that has ended is started again: the same rule wherever it is applied, in a container or
//! beside it.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether a program that has ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// If it ended by a signal or with another code than 0.
    OnFailure,
    /// Whatever it ended with.
    Always,
}

impl RestartPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::No, Self::OnFailure, Self::Always];

    /// As it is written in a topology and on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }
}

/// A word that is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected no, on-failure or always")]
pub struct UnknownPolicy;

impl FromStr for RestartPolicy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or(UnknownPolicy)
    }
}

/// The pause before the first restart. It doubles with each that follows, up to [`LONGEST_PAUSE`].
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a restart.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that has run for so long has started well: pauses are short again.
pub const STARTED_WELL: Duration = Duration::from_secs(10);

/// A program's restarts. It holds no clock: who uses it says how long the program ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarts {
    policy: RestartPolicy,
    pause: Duration,
    count: u32,
}

impl Restarts {
    /// Of a program that was started for the first time.
    #[must_use]
    pub const fn new(policy: RestartPolicy) -> Self {
        Self { policy, pause: FIRST_PAUSE, count: 0 }
    }

    /// The program has ended after it `ran` for a while. Answers with how long to wait before it is started
    /// again; `None` if it is not.
    pub fn ended(&mut self, ran: Duration, failed: bool) -> Option<Duration> {
        let again = match self.policy {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure => failed,
            RestartPolicy::Always => true,
        };
        if !again {
            return None;
        }
        let pause = if ran >= STARTED_WELL { FIRST_PAUSE } else { self.pause };
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        self.count = self.count.saturating_add(1);
        Some(pause)
    }

    /// How often it was started again.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(3);

    #[test]
    fn the_policy_decides() {
        let again = |policy, failed| Restarts::new(policy).ended(SHORT, failed).is_some();
        assert!(!again(RestartPolicy::No, true));
        assert!(again(RestartPolicy::OnFailure, true) && !again(RestartPolicy::OnFailure, false));
        assert!(again(RestartPolicy::Always, true) && again(RestartPolicy::Always, false));
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_short_again_after_a_good_start() {
        let mut restarts = Restarts::new(RestartPolicy::Always);
        let pauses: Vec<_> = (0..9).filter_map(|_| restarts.ended(SHORT, true)).collect();
        let millis: Vec<_> = pauses.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(restarts.count(), 9);
        assert_eq!(restarts.ended(STARTED_WELL, true), Some(FIRST_PAUSE));
        assert_eq!(restarts.ended(SHORT, true), Some(FIRST_PAUSE * 2));
    }

    #[test]
    fn policies_are_read_as_they_are_written() {
        for policy in RestartPolicy::ALL {
            assert_eq!(policy.name().parse(), Ok(policy));
        }
        assert_eq!("sometimes".parse::<RestartPolicy>(), Err(UnknownPolicy));
    }
}
