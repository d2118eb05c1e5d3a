//! The user's world, if one lives: found by a process that is in it.

use std::env;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use nix::unistd::{Uid, chdir, fchdir};

use super::WorldError;

/// File of a world that says which namespaces it is: a process that is in it may have gone on into others.
pub const MARK: &str = "/run/.labctl-world";
/// More than a mark ever has.
const LONGEST_MARK: u64 = 256;

/// A world that lives, at least for as long as this does.
#[derive(Debug)]
pub struct World {
    user: File,
    mount: File,
    network: File,
}

/// What a mark says.
pub fn mark(mount: &Path, network: &Path) -> String {
    format!("{}\n{}\n", mount.display(), network.display())
}

/// The world of this user.
pub fn living(user: Uid) -> Result<Option<World>, WorldError> {
    let entries = fs::read_dir("/proc").map_err(WorldError::file("looking into", "/proc"))?;
    let own =
        fs::read_link("/proc/self/ns/user").map_err(WorldError::file("reading", "/proc/self/ns/user"))?;
    let mut processes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let is_process = entry.file_name().to_str()?.bytes().all(|byte| byte.is_ascii_digit());
        let is_ours = entry.metadata().ok()?.uid() == user.as_raw();
        (is_process && is_ours).then(|| entry.path())
    });
    Ok(processes.find_map(|process| open(&process, &own)))
}

/// The world that a process is in. What cannot be read is of somebody else, or has just ended.
fn open(process: &Path, own: &Path) -> Option<World> {
    let namespace = |name: &str| process.join("ns").join(name);
    if fs::read_link(namespace("user")).ok()? == own {
        return None;
    }
    // First of all: from here on they live, whatever becomes of the process.
    let world = World {
        user: File::open(namespace("user")).ok()?,
        mount: File::open(namespace("mnt")).ok()?,
        network: File::open(namespace("net")).ok()?,
    };
    let mut said = String::new();
    let file = process.join("root").join(MARK.trim_start_matches('/'));
    File::open(file).ok()?.take(LONGEST_MARK).read_to_string(&mut said).ok()?;
    let expected = mark(&fs::read_link(namespace("mnt")).ok()?, &fs::read_link(namespace("net")).ok()?);
    (said == expected).then_some(world)
}

impl World {
    /// Moves this process into it.
    pub fn join(self) -> Result<(), WorldError> {
        // A new mount namespace begins at its root.
        let directory = Directory::current()?;
        setns(&self.user, CloneFlags::CLONE_NEWUSER)
            .map_err(WorldError::step("joining the user namespace"))?;
        setns(&self.mount, CloneFlags::CLONE_NEWNS)
            .map_err(WorldError::step("joining the mount namespace"))?;
        setns(&self.network, CloneFlags::CLONE_NEWNET)
            .map_err(WorldError::step("joining the network namespace"))?;
        directory.back()
    }
}

/// A working directory, by its path and as an open file.
struct Directory {
    path: Option<PathBuf>,
    file: File,
}

impl Directory {
    fn current() -> Result<Self, WorldError> {
        let file = File::open(".").map_err(WorldError::file("opening", "."))?;
        Ok(Self { path: env::current_dir().ok(), file })
    }

    /// By path where that leads to the same directory; else as the file, which then has no path.
    fn back(self) -> Result<(), WorldError> {
        let same = |path: &PathBuf| match (fs::metadata(path), self.file.metadata()) {
            (Ok(there), Ok(here)) => there.dev() == here.dev() && there.ino() == here.ino(),
            _ => false,
        };
        let changed = match self.path.as_ref().filter(|path| same(path)) {
            Some(path) => chdir(path),
            None => fchdir(&self.file),
        };
        changed.map_err(WorldError::step("going back to the working directory"))
    }
}
