//! One labctl at a time makes or removes a lab. The kernel gives the lock back when its holder dies.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{LabError, state};
use crate::names::LabName;

/// Where the locks are; no lab can have this name.
const DIRECTORY: &str = ".locks";

/// The right to make or remove one lab.
#[derive(Debug)]
pub struct LabLock {
    lock: Flock<File>,
    path: PathBuf,
}

fn directory() -> PathBuf {
    Path::new(state::ROOT).join(DIRECTORY)
}

/// The labs that have a lock file, held or not.
pub(super) fn labs() -> Result<Vec<LabName>, LabError> {
    state::labs_in(&directory())
}

/// Who holds the lock of this lab; `None` if nobody does.
pub(super) fn holder(lab: &LabName) -> Option<String> {
    let file = File::open(directory().join(lab.as_str())).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err((file, Errno::EWOULDBLOCK)) => Some(holder_in(file)),
        _ => None,
    }
}

fn holder_in(mut file: File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "its process is not known".to_owned(),
    }
}

impl LabLock {
    /// Takes the lock. Fails at once if another labctl has it.
    pub fn acquire(lab: &LabName) -> Result<Self, LabError> {
        let path = directory().join(lab.as_str());
        loop {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory())
                .map_err(LabError::file("making directory", directory()))?;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(LabError::file("opening the lock", &path))?;
            let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((file, Errno::EWOULDBLOCK)) => {
                    return Err(LabError::Busy { lab: lab.clone(), holder: holder_in(file) });
                }
                Err((_, error)) => {
                    return Err(LabError::system(format!("locking {}", path.display()))(error));
                }
            };
            // Its last holder may have removed the file between our open and our lock.
            if is_at(&lock, &path)? {
                lock.set_len(0)
                    .and_then(|()| write!(lock, "{}", std::process::id()))
                    .map_err(LabError::file("writing the lock", &path))?;
                return Ok(Self { lock, path });
            }
        }
    }

    /// Gives the lock back and removes its file.
    pub fn remove(self) -> Result<(), LabError> {
        let removed = fs::remove_file(&self.path);
        // Only now: who opened the file before sees that it is gone.
        drop(self.lock);
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(LabError::file("removing the lock", self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn is_at(file: &File, path: &Path) -> Result<bool, LabError> {
    let ours = file.metadata().map_err(LabError::file("looking at the lock", path))?;
    match fs::metadata(path) {
        Ok(there) => Ok(there.ino() == ours.ino() && there.dev() == ours.dev()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LabError::file("looking at the lock", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // These need to write to /run, as root does: the room's integration tests cover the rest.

    #[test]
    fn a_lock_directory_cannot_be_taken_for_a_lab() {
        assert!(DIRECTORY.parse::<LabName>().is_err());
    }
}
