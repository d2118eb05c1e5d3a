//! Control groups: what bounds the memory and the processes of a container as a whole.
//!
//! Both versions are used where they are: the unified hierarchy, or one hierarchy for each controller. A lab has
//! a group, found by the lab's name, and each of its containers one below that.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::spec::Limits;

/// Where control groups are by convention.
const ROOT: &str = "/sys/fs/cgroup";
/// What the names of labs' groups begin with.
const PREFIX: &str = "labctl-";

/// A step that failed, and at what.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {source}", .path.display())]
pub struct Failure {
    pub(super) doing: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure { doing, path, source }
}

/// How the machine's groups are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrangement {
    /// One hierarchy with all controllers (version 2).
    Unified,
    /// One for each controller (version 1).
    Separate,
}

/// A lab's control group, below which each container has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupParent {
    arrangement: Arrangement,
    /// One for each hierarchy.
    directories: Vec<PathBuf>,
}

/// A container's control group.
#[derive(Debug, PartialEq, Eq)]
pub struct Cgroup {
    directories: Vec<PathBuf>,
}

impl CgroupParent {
    /// Where a lab's group is, whether it is there or not.
    fn of(lab: &str, root: &Path) -> Self {
        let name = format!("{PREFIX}{lab}");
        if root.join("cgroup.controllers").is_file() {
            return Self { arrangement: Arrangement::Unified, directories: vec![root.join(name)] };
        }
        let hierarchies = ["memory", "pids"].map(|controller| root.join(controller));
        let there = hierarchies.into_iter().filter(|hierarchy| hierarchy.join("cgroup.procs").is_file());
        Self { arrangement: Arrangement::Separate, directories: there.map(|path| path.join(&name)).collect() }
    }

    /// Makes a lab's group. Fails where this user has none to make: then a container's memory is bounded for each of
    /// its processes only.
    pub fn make_for(lab: &str) -> Result<Self, Failure> {
        let parent = Self::of(lab, Path::new(ROOT));
        if parent.directories.is_empty() {
            let source = io::Error::new(io::ErrorKind::NotFound, "no memory or pids controller");
            return Err(failed("looking for control groups in", Path::new(ROOT))(source));
        }
        for directory in &parent.directories {
            fs::create_dir_all(directory).map_err(failed("making the control group", directory))?;
            if parent.arrangement == Arrangement::Unified {
                set(directory, "cgroup.subtree_control", "+memory +pids")?;
            }
        }
        Ok(parent)
    }

    /// Removes a lab's group and all below it, which no process may be in any more. Whether there was one.
    pub fn remove_of(lab: &str) -> Result<bool, Failure> {
        let mut was_there = false;
        for directory in Self::of(lab, Path::new(ROOT)).directories {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("reading the control group", &directory)(error)),
            };
            was_there = true;
            for entry in entries {
                let path = entry.map_err(failed("reading the control group", &directory))?.path();
                if path.is_dir() {
                    remove(&path)?;
                }
            }
            remove(&directory)?;
        }
        Ok(was_there)
    }

    /// Makes a container's group.
    pub(super) fn make(&self, container: &str, limits: Limits) -> Result<Cgroup, Failure> {
        let directories: Vec<_> =
            self.directories.iter().map(|directory| directory.join(container)).collect();
        let cgroup = Cgroup { directories };
        match cgroup.fill(self.arrangement, limits) {
            Ok(()) => Ok(cgroup),
            Err(failure) => {
                // The first error is the one to tell.
                let _ = cgroup.remove();
                Err(failure)
            }
        }
    }
}

impl Cgroup {
    fn fill(&self, arrangement: Arrangement, limits: Limits) -> Result<(), Failure> {
        let (memory, pids) = (limits.memory.to_string(), limits.pids.to_string());
        for directory in &self.directories {
            match fs::create_dir(directory) {
                // Of a container of that name that has ended.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(failed("making the control group", directory))?,
            }
            match arrangement {
                Arrangement::Unified => {
                    set(directory, "memory.max", &memory)?;
                    set_if_there(directory, "memory.swap.max", "0")?;
                    set(directory, "memory.oom.group", "1")?;
                    set(directory, "pids.max", &pids)?;
                }
                Arrangement::Separate => {
                    set_if_there(directory, "memory.limit_in_bytes", &memory)?;
                    set_if_there(directory, "memory.memsw.limit_in_bytes", &memory)?;
                    set_if_there(directory, "pids.max", &pids)?;
                }
            }
        }
        Ok(())
    }

    /// Its `cgroup.procs`, to be written to by who joins.
    pub(super) fn open(&self) -> Result<Vec<OwnedFd>, Failure> {
        let open = |directory: &PathBuf| {
            let path = directory.join("cgroup.procs");
            let file = OpenOptions::new().write(true).open(&path);
            file.map(OwnedFd::from).map_err(failed("opening", &path))
        };
        self.directories.iter().map(open).collect()
    }

    /// Removes it. No process may be in it any more.
    pub fn remove(&self) -> Result<(), Failure> {
        self.directories.iter().try_for_each(|directory| remove(directory))
    }
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("removing the control group", directory)(error))
        }
        _ => Ok(()),
    }
}

fn set(directory: &Path, name: &str, value: &str) -> Result<(), Failure> {
    let path = directory.join(name);
    // Not `fs::write`: a file that is not there is not to be made.
    let mut file = File::options().write(true).open(&path).map_err(failed("opening", &path))?;
    io::Write::write_all(&mut file, value.as_bytes()).map_err(failed("setting", &path))
}

fn set_if_there(directory: &Path, name: &str, value: &str) -> Result<(), Failure> {
    if directory.join(name).exists() { set(directory, name, value) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_both_arrangements() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(CgroupParent::of("expA", root.path()).directories, Vec::<PathBuf>::new());
        let memory = root.path().join("memory");
        fs::create_dir(&memory).unwrap();
        fs::write(memory.join("cgroup.procs"), "").unwrap();
        let separate = CgroupParent::of("expA", root.path());
        assert_eq!(separate.arrangement, Arrangement::Separate);
        assert_eq!(separate.directories, [memory.join("labctl-expA")]);
        fs::write(root.path().join("cgroup.controllers"), "memory pids").unwrap();
        let unified = CgroupParent::of("expA", root.path());
        assert_eq!(unified.arrangement, Arrangement::Unified);
        assert_eq!(unified.directories, [root.path().join("labctl-expA")]);
    }
}
