//! Which packets a wire loses.

use serde::{Deserialize, Serialize};

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Each by itself, with this probability, 0.0 to 1.0.
    Independent(f64),
    /// In bursts.
    Bursts(GilbertElliott),
}

impl Loss {
    /// Nothing is lost.
    pub const NONE: Self = Self::Independent(0.0);

    /// True if nothing is ever lost.
    #[must_use]
    pub fn is_none(&self) -> bool {
        match self {
            Self::Independent(share) => *share <= 0.0,
            Self::Bursts(bursts) => bursts.mean() <= 0.0,
        }
    }

    /// The share of packets that is lost in the long run, 0.0 to 1.0.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Independent(share) => *share,
            Self::Bursts(bursts) => bursts.mean(),
        }
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::NONE
    }
}

/// The two-state model of Gilbert (1960) and Elliott (1963): a wire is good or bad, changes from packet to packet,
/// and loses a share of packets in each state. All values are probabilities, 0.0 to 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GilbertElliott {
    /// That a good wire is bad at the next packet (`p`).
    pub to_bad: f64,
    /// That a bad wire is good at the next packet (`r`).
    pub to_good: f64,
    /// That a good wire loses a packet (`1 - k`).
    pub in_good: f64,
    /// That a bad wire loses a packet (`1 - h`).
    pub in_bad: f64,
}

impl GilbertElliott {
    /// Gilbert's simple form, in which a bad wire loses everything and a good one nothing: from the share that is
    /// lost in the long run, and the mean length of a burst in packets (1 or more).
    ///
    /// `None` if no such wire exists: the share is not below 1, or it is so large that good times between bursts
    /// of that length would have to be shorter than a packet.
    #[must_use]
    pub fn with_mean(share: f64, burst: f64) -> Option<Self> {
        if !((0.0..1.0).contains(&share) && burst >= 1.0 && burst.is_finite()) {
            return None;
        }
        let to_good = 1.0 / burst;
        let to_bad = share * to_good / (1.0 - share);
        (to_bad <= 1.0).then_some(Self { to_bad, to_good, in_good: 0.0, in_bad: 1.0 })
    }

    /// The share of packets that is lost in the long run.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let changes = self.to_bad + self.to_good;
        // A wire that never changes stays as it begins, which is good.
        let bad = if changes > 0.0 { self.to_bad / changes } else { 0.0 };
        bad * self.in_bad + (1.0 - bad) * self.in_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_and_burst_give_a_wire_that_has_them() {
        let wire = GilbertElliott::with_mean(0.05, 4.0).unwrap();
        assert!((wire.mean() - 0.05).abs() < 1e-12, "{wire:?}");
        assert!((1.0 / wire.to_good - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_wire_that_cannot_be_is_none() {
        assert_eq!(GilbertElliott::with_mean(1.0, 3.0), None);
        assert_eq!(GilbertElliott::with_mean(0.1, 0.5), None);
        assert_eq!(
            GilbertElliott::with_mean(0.9, 1.0),
            None,
            "a burst of one packet in ten, nine times in ten"
        );
        assert_eq!(GilbertElliott::with_mean(f64::NAN, 2.0), None);
    }
}
