//! What a container is to be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup::CgroupParent;
use crate::topology::Mount;

/// What a container's root file system is. It is read-only in each case; `/proc`, `/dev`, `/tmp` and `/run`
/// are the container's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// Nothing but this static program, which is `/` and its file name in the container.
    Program(PathBuf),
    /// The host's programs and what they need: `/usr`, `/bin`, `/sbin`, `/lib*` and `/etc`.
    Host,
    /// A directory of the user's. What it has in the place of `/proc`, `/dev`, `/sys`, `/tmp` and `/run` is
    /// not seen.
    Directory(PathBuf),
}

/// What a container may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, bytes: of the container where there are control groups, else of each of its processes.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// A container that is to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Name of its machine, and of its control group. Unique in the lab.
    pub hostname: String,
    /// Its root file system.
    pub root: Root,
    /// The program and its arguments. A name without `/` is looked up in the container's `PATH`.
    pub command: Vec<String>,
    /// Environment variables, all of them; a `PATH` is added if there is none.
    pub environment: BTreeMap<String, String>,
    /// The node's directory on the host, seen as [`DIRECTORY_IN_CONTAINER`](overlay_control::DIRECTORY_IN_CONTAINER),
    /// writable.
    pub directory: PathBuf,
    /// What else of the host is seen.
    pub mounts: Vec<Mount>,
    /// What it may use.
    pub limits: Limits,
    /// Where its control group is made. `None` where there are none.
    pub cgroup: Option<CgroupParent>,
}
