//! What happened to a WAN while it ran: who changed what, and when.

use serde::{Deserialize, Serialize};

use crate::link::Change;
use crate::meter::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WanEvent {
    /// Its number among those of the lab's keeper, from 1.
    pub number: u64,
    /// When it was in force.
    pub time: Timestamp,
    /// By whom.
    pub by: Actor,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// Who did something to a WAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A user, by a command or over the keeper's socket.
    Command,
    /// The topology's schedule.
    Schedule,
    /// The engine itself.
    Engine,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Happening {
    /// A change.
    Change(Change),
    /// Anything else.
    Other(Other),
}

/// What happened and is no change of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Other {
    /// The schedule began: this is its time 0.
    BeginSchedule,
    /// A step of the schedule was not possible.
    SkipStep {
        /// Why.
        reason: String,
    },
    /// The engine ended; nothing passes any more.
    Stop,
    /// A new engine began, with links as in the plan.
    Repair,
}

impl From<Change> for Happening {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

impl From<Other> for Happening {
    fn from(other: Other) -> Self {
        Self::Other(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_line() {
        let event = |number, by, what| WanEvent { number, time: Timestamp::from_nanos(0), by, what };
        let heal = event(1, Actor::Command, Change::Heal.into());
        let repair = event(2, Actor::Command, Other::Repair.into());
        for (event, text) in [
            (heal, r#"{"number":1,"time":"1970-01-01T00:00:00.000000000Z","by":"command","do":"heal"}"#),
            (repair, r#"{"number":2,"time":"1970-01-01T00:00:00.000000000Z","by":"command","do":"repair"}"#),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
            assert_eq!(serde_json::from_str::<WanEvent>(text).unwrap(), event);
        }
    }
}
