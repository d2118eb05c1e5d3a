//! One property of a link, with its value: what a running link is changed by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Distribution, Loss, Queue};
use crate::times;

/// Which ways of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ways {
    /// Towards the WAN.
    Up,
    /// From the WAN.
    Down,
    /// Both.
    #[default]
    Both,
}

impl Ways {
    /// True if the way towards the WAN is one of them.
    #[must_use]
    pub const fn up(self) -> bool {
        matches!(self, Self::Up | Self::Both)
    }

    /// True if the way from the WAN is one of them.
    #[must_use]
    pub const fn down(self) -> bool {
        matches!(self, Self::Down | Self::Both)
    }
}

/// A property of a [`LinkSpec`](super::LinkSpec) and its value, in the same units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Rate; `None` is no limit.
    Rate(Option<u64>),
    /// What waits at most.
    Queue(Queue),
    /// Delay.
    Delay(#[serde(with = "times")] Duration),
    /// How much the delay varies.
    Jitter(#[serde(with = "times")] Duration),
    /// How it varies.
    Distribution(Distribution),
    /// How much a packet's jitter is like that of the one before.
    Correlation(f64),
    /// Loss.
    Loss(Loss),
    /// Share that arrives twice.
    Duplicate(f64),
    /// Share that is overtaken.
    Reorder(f64),
    /// How late those are.
    ReorderBy(#[serde(with = "times")] Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_short_in_json() {
        let settings = [
            (Setting::Rate(None), r#"{"rate":null}"#),
            (Setting::Delay(Duration::from_millis(80)), r#"{"delay":"80ms"}"#),
            (Setting::Loss(Loss::Independent(0.05)), r#"{"loss":{"independent":0.05}}"#),
            (Setting::Queue(Queue::Bytes(64_000)), r#"{"queue":{"bytes":64000}}"#),
            (Setting::Distribution(Distribution::Pareto), r#"{"distribution":"pareto"}"#),
        ];
        for (setting, text) in settings {
            assert_eq!(serde_json::to_string(&setting).unwrap(), text);
            assert_eq!(serde_json::from_str::<Setting>(text).unwrap(), setting);
        }
    }
}
