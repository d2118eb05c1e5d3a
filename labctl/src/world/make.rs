//! A new world.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::{WorldError, find};

/// What of `/run` is the world's own.
const OWN: [&str; 2] = ["labctl", "netns"];

/// Makes a world and moves this process into it. When it can be found, it is complete.
pub fn make() -> Result<(), WorldError> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(WorldError::refused)?;
    // The kernel lets nobody map a group before that group can no longer be dropped.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))?;
    // What the machine mounts later is seen; what is mounted here is seen nowhere else.
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    // The first thing that a namespace without rights fails at.
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).map_err(WorldError::refused)?;
    make_run()?;
    let namespace = |name: &str| {
        let path = format!("/proc/self/ns/{name}");
        fs::read_link(&path).map_err(WorldError::file("reading", path))
    };
    // Last: who finds the mark finds a world.
    write(find::MARK, &find::mark(&namespace("mnt")?, &namespace("net")?))
}

fn write(path: &str, text: &str) -> Result<(), WorldError> {
    fs::write(path, text).map_err(WorldError::file("writing", path))
}

/// A `/run` of its own, in which everything else is where it was.
fn make_run() -> Result<(), WorldError> {
    let before = File::open("/run").map_err(WorldError::file("opening", "/run"))?;
    let below = PathBuf::from(format!("/proc/self/fd/{}", before.as_raw_fd()));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("labctl"), "/run", Some("tmpfs"), flags, Some("mode=755"))
        .map_err(WorldError::step("mounting a file system on /run"))?;
    let entries = fs::read_dir(&below).map_err(WorldError::file("looking into", "/run"))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        if let Err(error) = show(&entry.path(), &Path::new("/run").join(&name)) {
            // Nothing of a lab is there; and some things of the system can be shown to nobody.
            tracing::debug!(%error, "/run/{} is not seen", name.display());
        }
    }
    Ok(())
}

/// Makes a file or directory visible at another place.
fn show(source: &Path, target: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(source)?.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(source)?, target);
    }
    if kind.is_dir() {
        fs::create_dir(target)?;
    } else {
        File::create(target)?;
    }
    let shown = mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>);
    if shown.is_err() {
        // An empty thing in its place would say something that is not so.
        if kind.is_dir() { fs::remove_dir(target)? } else { fs::remove_file(target)? }
    }
    shown.map_err(io::Error::from)
}
