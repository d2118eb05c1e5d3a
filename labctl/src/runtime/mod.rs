//! What runs the nodes. Nothing outside this room knows which runtime it is.

mod all;
pub mod docker;
pub mod embedded;
mod kind;
mod program;

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::names::{LabName, NodeName};
use crate::plan::ProgramPlan;

pub use all::Runtimes;
pub use kind::{LABS, RUNTIME_FILE, RUNTIME_VARIABLE, RuntimeChoice, RuntimeKind, directory_of};
pub use program::{NODE_PROGRAM, PROGRAM_VARIABLE, find_program};

/// User and group that a node runs as, and that its directory belongs to: `nobody` on Linux.
pub const NODE_USER: u32 = 65534;

/// Why a runtime could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum RuntimeError {
    /// Nothing answers where the engine should be.
    #[error(
        "Docker Engine does not answer at {place}: {reason}; start it with 'systemctl start docker', or \
         install it with 'apt-get install docker.io'"
    )]
    EngineUnreachable { place: String, reason: String },
    /// The engine is there, but this user may not use it.
    #[error(
        "Docker Engine at {place} refuses this user; run labctl as root, or as a member of the group 'docker'"
    )]
    EngineForbidden { place: String },
    /// Labs on Docker Engine are made by root.
    #[error(
        "an ordinary user cannot make a lab on Docker Engine; use '--runtime embedded', or run labctl as root"
    )]
    EngineOutside,
    /// No node program next to labctl.
    #[error(
        "the node program '{NODE_PROGRAM}' was not found (looked for {}); build it with 'cargo build --bin \
         {NODE_PROGRAM}', or name it in {PROGRAM_VARIABLE}",
        list(.looked)
    )]
    ProgramMissing { looked: Vec<PathBuf> },
    /// The node program is there but cannot be read.
    #[error("the node program {} cannot be read: {source}", .path.display())]
    ProgramUnreadable { path: PathBuf, source: std::io::Error },
    /// The engine refused, or answered something else than what was asked.
    #[error("Docker Engine: {doing} {what}: {reason}")]
    Engine { doing: &'static str, what: String, reason: String },
    /// The engine has no image of that name.
    #[error(
        "the engine has no image '{image}', and labctl pulls none; put it there with 'docker load', 'docker \
         import' or 'docker build'"
    )]
    ImageMissing { image: String },
    /// An image that runs nothing by itself, and no command for it.
    #[error("the image '{image}' has no program of its own; give the node a command")]
    NothingToRun { image: String },
    /// A directory that was to be a root file system.
    #[error(
        "the root file system {} cannot be read: {source}; name a directory that holds one, as debootstrap \
         makes it", .directory.display()
    )]
    Root { directory: PathBuf, source: std::io::Error },
    /// The container's process ended before it could be used.
    #[error("container {container} ended at its start ({state}); its output:\n{output}")]
    Ended { container: String, state: NodeState, output: String },
    /// An image, and a runtime that has none.
    #[error(
        "the image '{image}' needs Docker Engine; start it with 'systemctl start docker' and use '--runtime \
         docker', or give the node a 'command:' of this machine in place of the image"
    )]
    ImageNeedsDocker { image: String },
    /// This machine lets labctl make no container.
    #[error("no container can be made: {reason}")]
    NoContainers { reason: String },
    /// The keeper refused, or does not answer.
    #[error("the keeper of lab '{lab}': {doing}: {reason}")]
    Keeper { lab: LabName, doing: &'static str, reason: String },
    /// The keeper could not start a container.
    #[error("node {node} was not started: {reason}")]
    NotStarted { node: NodeName, reason: String },
    /// The lab's runtime cannot be used at present.
    #[error("lab '{lab}' was made with the runtime '{kind}', which cannot be used: {reason}")]
    OutOfReach { lab: LabName, kind: RuntimeKind, reason: String },
    /// A word that is no runtime.
    #[error("there is no runtime '{word}'; write 'auto', 'docker' or 'embedded' in {RUNTIME_VARIABLE}")]
    NoSuchRuntime { word: String },
    /// The image is not there any more.
    #[error("the node image {image} is gone; try again, it is made anew when it is missing")]
    ImageGone { image: String },
}

impl RuntimeError {
    /// What was found, and what to do about it.
    #[must_use]
    pub fn found_and_mend(&self) -> (String, String) {
        let text = self.to_string();
        match text.split_once("; ") {
            Some((found, mend)) => (found.to_owned(), mend.to_owned()),
            None => (text, "look at the engine's log, with 'journalctl -u docker' for instance".to_owned()),
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What nodes are started from: the node program alone, or an image of the user's with the node program in
/// it, which starts the image's own when the node's network is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The runtime's own name for it.
    pub reference: String,
    /// True if this call made it; false if it was there already.
    pub made: bool,
    /// What a user's image runs: its entry point.
    pub entry_point: Vec<String>,
    /// The arguments of its entry point where a node's command says nothing.
    pub arguments: Vec<String>,
}

/// What is to be started for a node.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// The lab.
    pub lab: LabName,
    /// The node.
    pub node: NodeName,
    /// Its role, for people.
    pub role: &'static str,
    /// What it runs if it is none of the overlay's nodes. Where the network comes last ([`NetworkOrder`]), the
    /// container waits at the gate in the node's directory ([`GATE_FILE`](overlay_control::GATE_FILE)).
    pub program: Option<ProgramPlan>,
    /// Name of the container.
    pub container: String,
    /// Name of its network namespace.
    pub namespace: String,
    /// The node's directory on the host, which the node sees as
    /// [`DIRECTORY_IN_CONTAINER`](overlay_control::DIRECTORY_IN_CONTAINER).
    pub directory: PathBuf,
    /// Memory at most, bytes.
    pub memory: u64,
    /// Processes and threads at most.
    pub pids: u32,
}

/// Whether a program works, as its health check finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// No check has told yet.
    Starting,
    /// The last check succeeded, or too few have failed since one did.
    Healthy,
    /// As many checks failed, one after another, as the topology says.
    Unhealthy,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// What a node's container is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum NodeState {
    /// Made, never started.
    Created,
    /// Runs.
    Running {
        /// The first process, in the host's numbers. `None` where only a list was asked for.
        #[serde(skip)]
        pid: Option<Pid>,
        /// What its health check says, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        health: Option<Health>,
    },
    /// Ended.
    Exited {
        /// What the process ended with, if the runtime says.
        code: Option<i64>,
    },
    /// Anything else, in the runtime's words.
    Other {
        /// The runtime's word.
        state: String,
    },
}

impl NodeState {
    /// What the health check of a running node says, if it has one.
    #[must_use]
    pub const fn health(&self) -> Option<Health> {
        match self {
            Self::Running { health, .. } => *health,
            _ => None,
        }
    }

    /// True if the node's process runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.pad("created"),
            Self::Running { health: None, .. } => f.pad("running"),
            Self::Running { health: Some(health), .. } => f.pad(&format!("running, {health}")),
            Self::Exited { code: None } => f.pad("exited"),
            Self::Exited { code: Some(code) } => f.pad(&format!("exited with {code}")),
            Self::Other { state } => f.pad(state),
        }
    }
}

/// A node's container as the runtime knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The lab.
    pub lab: LabName,
    /// The node.
    pub node: String,
    /// Its role, for people.
    pub role: String,
    /// Name of the container.
    pub container: String,
    /// What it is doing.
    pub state: NodeState,
    /// What runs it.
    pub runtime: RuntimeKind,
}

/// When a container's network is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkOrder {
    /// The namespace is made and wired, and then the container is started in it.
    First,
    /// The container brings a namespace without any interface but `lo`, which is wired when it runs.
    Last,
}

/// A piece of a node's output.
#[derive(Clone, Debug)]
pub enum Output {
    /// What the node wrote to its standard output.
    Out(Bytes),
    /// What the node wrote to its standard error.
    Err(Bytes),
}

/// Runs nodes: each in a network namespace of its own, found again by the lab's name alone. All calls can be
/// made side by side.
pub trait Runtime: Send + Sync {
    /// Which one it is, for a lab to remember.
    fn kind(&self) -> RuntimeKind;

    /// When the network of a container is made.
    fn network_order(&self) -> NetworkOrder;

    /// Fails if what runs the nodes of this lab cannot be used at present, so that nothing can be said of them.
    fn reaches(&self, lab: &LabName) -> Result<(), RuntimeError>;

    /// The runtime and its version, for people. Fails if it cannot be used.
    fn check(&self) -> BoxFuture<'_, Result<String, RuntimeError>>;

    /// The runtime of a lab that is there, and its version, for people.
    fn describe<'a>(&'a self, lab: &'a LabName) -> BoxFuture<'a, Result<String, RuntimeError>> {
        let _ = lab;
        self.check()
    }

    /// Makes what nodes are started from out of the static `program`, unless it is there already.
    fn prepare<'a>(&'a self, program: &'a Path) -> BoxFuture<'a, Result<Image, RuntimeError>>;

    /// Fails if there is no image of this name. Nothing is pulled.
    fn require_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Makes what nodes with this image are started from: the image with the static `program` in it, unless
    /// that is there already.
    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        program: &'a Path,
    ) -> BoxFuture<'a, Result<Image, RuntimeError>>;

    /// Creates and starts a node. Answers with its first process, in the host's numbers. Where the network
    /// comes first, the namespace of the node's name must be there.
    fn start<'a>(&'a self, image: &'a Image, node: &'a NodeSpec) -> BoxFuture<'a, Result<Pid, RuntimeError>>;

    /// What a container is doing; `None` if there is none of that name.
    fn state<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<NodeState>, RuntimeError>>;

    /// All containers of a lab, or of every lab, in order of their names.
    fn list<'a>(&'a self, lab: Option<&'a LabName>) -> BoxFuture<'a, Result<Vec<Found>, RuntimeError>>;

    /// Ends and removes a container. No error if there is none of that name.
    fn remove<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Removes what is left of a lab whose containers are removed.
    fn sweep<'a>(&'a self, lab: &'a LabName) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Waits until nothing is under way any more that a labctl asked for which is dead now.
    fn settle(&self) -> BoxFuture<'_, ()>;

    /// Removes what [`prepare`](Self::prepare) made and nothing uses. Answers with how many.
    fn clean(&self) -> BoxFuture<'_, Result<usize, RuntimeError>>;

    /// A container's output from its start; with `follow` also what comes, until the container ends.
    fn logs<'a>(&'a self, container: &'a str, follow: bool) -> BoxStream<'a, Result<Output, RuntimeError>>;
}
