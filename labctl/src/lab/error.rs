//! Why a lab could not be made, found or removed.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use super::ControlError;
use crate::names::{LabName, NodeName};
use crate::runtime::RuntimeError;

/// Why a lab could not be made, found or removed. Every message ends with the mend where there is one.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum LabError {
    /// The kernel's engine was asked for and cannot do it.
    #[error("the kernel's engine cannot carry this WAN: {why}; take '--wan-engine user', or 'auto'")]
    NoEngine { why: String },
    /// No engine is called so.
    #[error("no engine of the WAN is called '{word}'; there are auto, user and kernel")]
    NoSuchEngine { word: String },
    /// The runtime refused.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Something of this machine is missing.
    #[error("this machine cannot run the lab:\n{problems}")]
    NotReady { problems: String },
    /// The lab is there already.
    #[error(
        "lab '{lab}' is already up; use it, take it down with 'labctl down --lab {lab}', or bring up another \
         one beside it with '--name'"
    )]
    AlreadyUp { lab: LabName },
    /// There are remains of a lab of that name.
    #[error(
        "an earlier lab '{lab}' is not wholly gone ({what}); remove what is left with 'labctl down --lab {lab}'"
    )]
    Remains { lab: LabName, what: String },
    /// Another labctl is making or removing the lab.
    #[error("another labctl ({holder}) is working on lab '{lab}'; wait until it is done, or end it")]
    Busy { lab: LabName, holder: String },
    /// No lab of that name.
    #[error("there is no lab '{lab}' on this machine{hint}")]
    NoSuchLab { lab: LabName, hint: String },
    /// No lab at all.
    #[error("no lab is up on this machine; bring one up with 'labctl up TOPOLOGY'")]
    NoLab,
    /// Several labs, and none was named.
    #[error("several labs are up on this machine ({}); say which one with '--lab NAME'", .labs.join(", "))]
    SeveralLabs { labs: Vec<String> },
    /// The lab has no such node.
    #[error("lab '{lab}' has no {kind} '{name}'{hint}")]
    NoSuchNode { lab: LabName, kind: &'static str, name: String, hint: String },
    /// The lab has no such link.
    #[error("lab '{lab}' has no node and no site '{link}'{hint}")]
    NoSuchLink { lab: LabName, link: String, hint: String },
    /// The WAN's engine refused, or is not there.
    #[error("the WAN of lab '{lab}': {reason}")]
    Wan { lab: LabName, reason: String },
    /// No profile of that name.
    #[error("there is no {kind} profile '{name}'; {hint}\nmend: `labctl nat list` shows all profiles")]
    NoSuchProfile { kind: &'static str, name: String, hint: String },
    /// A gateway of private addresses cannot do without translation.
    #[error(
        "gateway '{gateway}' cannot become '{profile}', which translates nothing: nobody outside knows a way \
         to its site's private addresses\nmend: write `nat: {profile}` in the topology and bring the lab up again"
    )]
    NotRouted { gateway: NodeName, profile: String },
    /// A file of the lab.
    #[error("{doing} {}: {source}", .path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// A plan that does not read back.
    #[error("{} does not hold a plan ({reason}); remove the lab with 'labctl down'", .path.display())]
    BadPlan { path: PathBuf, reason: String },
    /// The network.
    #[error("{doing}: {source}")]
    Network { doing: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A system call.
    #[error("{doing}: {source}")]
    System { doing: String, source: nix::Error },
    /// The lab is not whole.
    #[error("lab '{lab}' is {condition}; take it down with 'labctl down --lab {lab}' and bring it up again")]
    Unusable { lab: LabName, condition: String },
    /// The login server's keys.
    #[error("making the key pair of the login server at {server}: {reason}")]
    Keys { server: SocketAddrV4, reason: String },
    /// A node does not come up.
    #[error("node {node} is not ready: {reason}; its output:\n{output}")]
    NodeNotReady { node: String, reason: String, output: String },
    /// The program of a node does not start.
    #[error("node {node}: its program does not start: {reason}; {mend}")]
    ProgramNotStarted { node: String, reason: String, mend: &'static str },
    /// A node's control socket.
    #[error("asking node {node}: {source}")]
    Control { node: String, source: ControlError },
    /// `up` ended without having made everything, and without a reason.
    #[error("lab '{lab}' was not made wholly, for no known reason; what was made is removed again")]
    Unfinished { lab: LabName },
    /// `up` was told to stop.
    #[error("stopped by {signal}; what was made is removed again")]
    Interrupted { signal: &'static str },
    /// `up` failed, and then removing what it had made failed too.
    #[error(
        "{error}\nbesides, what was made could not be removed again: {rollback}\nmend: 'labctl down --lab {lab}'"
    )]
    RollbackFailed { lab: LabName, error: Box<LabError>, rollback: Box<LabError> },
}

impl LabError {
    /// An error about a file.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// An error of a system call.
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}
