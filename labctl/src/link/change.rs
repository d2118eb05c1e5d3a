//! Changes of a WAN while it runs, and when they are to happen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Setting, Ways};
use crate::times;

/// A change. Links are called by their attachments' names: those of public nodes, and of sites on the WAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Change {
    /// An access link is another one for the packets that come to it from now on.
    SetLink {
        /// The link.
        link: String,
        /// Which ways of it.
        #[serde(default)]
        ways: Ways,
        /// What changes; what is not named stays.
        settings: Vec<Setting>,
    },
    /// An access link goes down, or up again.
    SetWorks {
        /// The link.
        link: String,
        /// Whether it works from now on.
        works: bool,
    },
    /// No packet passes between sides, each of which is a list of names of links and regions; with one side, between
    /// that one and everybody else. What is stopped already stays so.
    Partition {
        /// The sides.
        sides: Vec<Vec<String>>,
    },
    /// All partitions end.
    Heal,
}

impl Change {
    /// The link that it is about, if it is about one.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::SetLink { link, .. } | Self::SetWorks { link, .. } => Some(link),
            Self::Partition { .. } | Self::Heal => None,
        }
    }
}

/// A change at its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// From the begin of the schedule on.
    #[serde(with = "times")]
    pub at: Duration,
    /// What happens.
    #[serde(flatten)]
    pub change: Change,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_schedule_is_flat_in_json() {
        let change = Change::SetWorks { link: "alice".to_owned(), works: false };
        let step = Scheduled { at: Duration::from_millis(1500), change };
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(text, r#"{"at":"1s 500ms","do":"set-works","link":"alice","works":false}"#);
        assert_eq!(serde_json::from_str::<Scheduled>(&text).unwrap(), step);
    }
}
