//! The lock that a user's processes hold while they look for the user's world or make it.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::Uid;

use super::WorldError;

/// Takes the lock, waiting for it. It is that of a directory, which is the user's own and nobody else's.
pub fn lock(user: Uid) -> Result<Flock<File>, WorldError> {
    let path = directory(user, env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from));
    let file = open(&path, user)?;
    let fail = |(_, error): (File, nix::Error)| WorldError::file("locking", &path)(error.into());
    Flock::lock(file, FlockArg::LockExclusive).map_err(fail)
}

/// Below the directory that a login gives the user, else in `/tmp`. It is of no matter that two logins of a
/// user may differ in that: a world is found without it, and only two that are made at one moment need it.
fn directory(user: Uid, runtime: Option<PathBuf>) -> PathBuf {
    let own = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == user.as_raw())
    };
    match runtime.filter(|path| path.is_absolute() && own(path)) {
        Some(runtime) => runtime.join("labctl"),
        None => PathBuf::from(format!("/tmp/labctl-{user}")),
    }
}

/// Opens the directory, which is made if it is not there. Fails if it is a link, or another's, or open to others.
fn open(path: &Path, user: Uid) -> Result<File, WorldError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(WorldError::file("making directory", path)(error));
        }
        _ => {}
    }
    let distrust = |reason: String| WorldError::Registry { path: path.to_owned(), reason };
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path).map_err(
            |error| match error.raw_os_error() {
                Some(libc::ELOOP | libc::ENOTDIR) => distrust("is no directory".to_owned()),
                Some(libc::EACCES) => distrust("belongs to another user".to_owned()),
                _ => WorldError::file("opening", path)(error),
            },
        )?;
    let data = file.metadata().map_err(WorldError::file("looking at", path))?;
    if data.uid() != user.as_raw() {
        return Err(distrust(format!("belongs to user {}", data.uid())));
    }
    if data.mode() & 0o077 != 0 {
        return Err(distrust(format!("is open to other users (mode {:o})", data.mode() & 0o777)));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn a_directory_that_is_not_the_users_own_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("labctl");
        open(&path, geteuid()).unwrap();
        open(&path, geteuid()).unwrap();
        let other = Uid::from_raw(geteuid().as_raw() + 1);
        assert!(open(&path, other).unwrap_err().to_string().contains("belongs to user"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(open(&path, geteuid()).unwrap_err().to_string().contains("open to other users"));
        let link = place.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(open(&link, geteuid()).unwrap_err().to_string().contains("is no directory"));
    }

    #[test]
    fn the_directory_of_a_login_is_used_where_it_is_the_users() {
        let place = tempfile::tempdir().unwrap();
        let with = |path: &Path| directory(geteuid(), Some(path.to_owned()));
        assert_eq!(with(place.path()), place.path().join("labctl"));
        let fallback = PathBuf::from(format!("/tmp/labctl-{}", geteuid()));
        assert_eq!(with(&place.path().join("nothing")), fallback);
        assert_eq!(directory(geteuid(), None), fallback);
    }
}
