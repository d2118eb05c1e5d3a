//! What a lab's keeper is asked, and what it answers: one JSON object a line, over a Unix socket.
//!
//! Requests carry a number and are answered with it, in any order, so that one connection has many of them
//! under way. No descriptor is passed: both ends see the same namespaces and files by the same names.

use std::path::PathBuf;

use overlay_control::restart::RestartPolicy;
use serde::{Deserialize, Serialize};

use super::container::ContainerSpec;
use crate::net::wan::{WanAnswer, WanEvent, WanRequest};
use crate::plan::HealthPlan;
use crate::runtime::NodeState;

/// The keeper's socket in the lab's directory.
pub const SOCKET: &str = "keeper.sock";
/// Below the lab's directory: a directory for each container that has written something.
pub const LOGS: &str = "logs";

/// Bytes of a request at most, with its line's end.
pub const LONGEST_REQUEST: usize = 1 << 20;

/// A request with its number, which the answer has too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The number; the asker's choice.
    pub id: u64,
    /// The request, or the answer.
    #[serde(flatten)]
    pub message: T,
}

/// What the keeper can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Start a container.
    Start(Box<StartRequest>),
    /// List all containers.
    List,
    /// Tell what one container is doing.
    State {
        /// The node.
        node: String,
    },
    /// End a container and forget it. No error if there is none.
    Remove {
        /// The node.
        node: String,
    },
    /// Answer when the container has written more than this, or has ended.
    AwaitOutput {
        /// The node.
        node: String,
        /// Bytes of its log that are known already.
        known: u64,
    },
    /// Ask the WAN's engine.
    Wan {
        /// What.
        request: WanRequest,
    },
    /// Start the WAN's engine again, if it has ended.
    RepairWan,
    /// Begin the plan's schedule of changes of the WAN, anew if it has begun before.
    StartSchedule,
    /// Tell what happened to the WAN after the event of this number.
    WanEvents {
        /// The number of the last event that is known already; 0 is before the first.
        after: u64,
        /// Answer only when there is one.
        #[serde(default)]
        wait: bool,
    },
}

impl Request {
    /// True for what changes nothing, and is not worth going on with once the asker is gone.
    #[must_use]
    pub const fn only_waits(&self) -> bool {
        matches!(self, Self::AwaitOutput { .. } | Self::WanEvents { wait: true, .. })
    }
}

/// What is needed to start a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartRequest {
    /// The node.
    pub node: String,
    /// Its role, for people.
    pub role: String,
    /// File of its network namespace, which is wired already.
    pub network: PathBuf,
    /// The container.
    pub container: ContainerSpec,
    /// Whether its program is started again when it has ended.
    pub restart: RestartPolicy,
    /// How to find out whether it works.
    pub health: Option<HealthPlan>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// Done; nothing to tell.
    Done,
    /// A container was started.
    Started {
        /// Its first process, in the keeper's numbers.
        pid: i32,
    },
    /// All containers.
    Containers {
        /// In order of their nodes' names.
        containers: Vec<Listed>,
    },
    /// What a container is doing; nothing if there is none.
    State {
        /// Its state.
        state: Option<NodeState>,
        /// Bytes of its log so far.
        written: u64,
    },
    /// What the WAN's engine answered.
    Wan {
        /// That.
        answer: WanAnswer,
    },
    /// The WAN's engine runs.
    Repaired {
        /// True if it had ended.
        repaired: bool,
    },
    /// What happened to the WAN.
    WanEvents {
        /// In order.
        events: Vec<WanEvent>,
    },
    /// It did not work.
    Failed {
        /// Why, and the mend where there is one.
        reason: String,
    },
}

/// A container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The node.
    pub node: String,
    /// Its role, for people.
    pub role: String,
    /// What it is doing.
    pub state: NodeState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line() {
        let request = Numbered { id: 7, message: Request::Remove { node: "alice".to_owned() } };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"id":7,"do":"remove","node":"alice"}"#);
        assert_eq!(serde_json::from_str::<Numbered<Request>>(&line).unwrap(), request);
    }

    #[test]
    fn an_answer_says_what_it_is() {
        let state = Some(NodeState::Exited { code: Some(3) });
        let answer = Numbered { id: 1, message: Answer::State { state, written: 9 } };
        let line = serde_json::to_string(&answer).unwrap();
        assert_eq!(line, r#"{"id":1,"is":"state","state":{"is":"exited","code":3},"written":9}"#);
        assert_eq!(serde_json::from_str::<Numbered<Answer>>(&line).unwrap(), answer);
    }
}
