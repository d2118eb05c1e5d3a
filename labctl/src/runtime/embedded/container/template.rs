//! The mount namespace that containers with the same root are copied from.
//!
//! It holds the container's root file system and nothing else of the host, so that a copy of it costs the same
//! on a machine with thousands of mounts, and so that a container's files are not hidden but not there. What
//! differs from container to container is mounted into the copy.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mknod, umask};
use nix::unistd::{chdir, pivot_root};
use overlay_control::DIRECTORY_IN_CONTAINER;

use super::spec::Root;
use super::sys;

/// Where programs of the host and what they need are; those that there are.
const OF_HOST: [&str; 8] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc"];
/// What every container has of its own.
const OWN: [&str; 5] = ["proc", "dev", "sys", "tmp", "run"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
    ("dev/shm", "/tmp"),
];
/// Where the process that makes a container sees the `/proc` of its own user namespace, if it needs it.
pub(super) const PROOF: &std::ffi::CStr = c"/tmp";

/// A step that failed, and at what.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) doing: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

fn failed<E: Into<io::Error>>(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Failure {
    let path = path.as_ref().to_owned();
    move |source| Failure { doing, path, source: source.into() }
}

/// A place that has to be there for a mount of the user's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Absolute path in the container.
    pub(super) target: PathBuf,
    pub(super) is_directory: bool,
}

impl Place {
    /// The name at the top of the root that it is below.
    fn top(&self) -> Option<&OsStr> {
        self.target.strip_prefix("/").ok()?.iter().next()
    }

    /// True if it is below a directory that each container has of its own.
    pub(super) fn is_in_own(&self) -> bool {
        self.top().is_some_and(|top| top == "tmp" || top == "run")
    }
}

/// Something in the root; its path has no `/` at the front.
struct Entry {
    path: PathBuf,
    what: What,
}

enum What {
    Directory,
    File,
    Link(PathBuf),
    /// Mounts that were copied from the host.
    Mounts {
        mounts: OwnedFd,
        is_directory: bool,
    },
}

/// Makes the namespace. `proof`: whether the kernel wants to see a whole `/proc` before it mounts another.
pub(super) fn make(root: &Root, places: &[Place], proof: bool) -> Result<OwnedFd, Failure> {
    let entries = entries(root, places, proof)?;
    // `unshare` changes the thread that calls it, so that thread ends right after.
    thread::scope(|scope| {
        let made = thread::Builder::new().spawn_scoped(scope, || build(&entries));
        let made = made.map_err(failed("starting a thread for", "a root file system"))?;
        made.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
    })
}

fn entries(root: &Root, places: &[Place], proof: bool) -> Result<Vec<Entry>, Failure> {
    let mut entries = match root {
        Root::Program(program) => of_program(program)?,
        Root::Host => of_directory(Path::new("/"), OF_HOST.map(PathBuf::from).into())?,
        Root::Directory(directory) => of_directory(directory, names(directory)?)?,
    };
    entries.extend(for_places(places, &entries));
    for name in ["proc", "dev", "tmp", "run"] {
        entries.push(Entry { path: name.into(), what: What::Directory });
    }
    if matches!(root, Root::Program(_)) {
        entries.push(Entry { path: below_root(Path::new(DIRECTORY_IN_CONTAINER)), what: What::Directory });
    }
    for name in DEVICES {
        let path = Path::new("dev").join(name);
        let mounts = copy(&Path::new("/").join(&path), sys::NO_SUID | sys::NO_EXECUTION)?;
        entries.push(Entry { path, what: What::Mounts { mounts, is_directory: false } });
    }
    for (path, target) in DEVICE_LINKS {
        entries.push(Entry { path: path.into(), what: What::Link(target.into()) });
    }
    if proof {
        let mounts = copy(Path::new("/proc"), 0)?;
        let path = below_root(Path::new(OsStr::from_bytes(PROOF.to_bytes())));
        entries.push(Entry { path, what: What::Mounts { mounts, is_directory: true } });
    }
    Ok(entries)
}

fn below_root(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn of_program(program: &Path) -> Result<Vec<Entry>, Failure> {
    let mounts = copy(program, sys::READ_ONLY | sys::NO_SUID | sys::NO_DEVICES)?;
    let path = program.file_name().unwrap_or(program.as_os_str()).into();
    Ok(vec![Entry { path, what: What::Mounts { mounts, is_directory: false } }])
}

/// What a directory of the user's has at its top.
fn names(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = || failed("reading the root file system", directory);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail())? {
        let name = entry.map_err(fail())?.file_name();
        if OWN.iter().all(|own| name != *own) {
            names.push(PathBuf::from(name));
        }
    }
    names.sort();
    Ok(names)
}

fn of_directory(directory: &Path, names: Vec<PathBuf>) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for name in names {
        let path = directory.join(&name);
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("looking at", path)(error)),
        };
        let what = if kind.is_symlink() {
            What::Link(fs::read_link(&path).map_err(failed("reading", &path))?)
        } else if kind.is_dir() || kind.is_file() {
            let mounts = copy(&path, sys::READ_ONLY | sys::NO_SUID | sys::NO_DEVICES)?;
            What::Mounts { mounts, is_directory: kind.is_dir() }
        } else {
            continue;
        };
        entries.push(Entry { path: name, what });
    }
    Ok(entries)
}

/// Mount points of the user's where the root has nothing yet.
fn for_places(places: &[Place], entries: &[Entry]) -> Vec<Entry> {
    let is_free = |place: &&Place| {
        let top = place.top().map(Path::new);
        !place.is_in_own() && !entries.iter().any(|entry| Some(entry.path.as_path()) == top)
    };
    let what = |place: &Place| if place.is_directory { What::Directory } else { What::File };
    places
        .iter()
        .filter(is_free)
        .map(|place| Entry { path: below_root(&place.target), what: what(place) })
        .collect()
}

fn copy(path: &Path, attributes: u64) -> Result<OwnedFd, Failure> {
    copy_of_host(path, attributes).map_err(failed("mounting a copy of", path))
}

/// A copy of what is at a path of the host, restricted, to be mounted in a container.
pub(super) fn copy_of_host(path: &Path, attributes: u64) -> io::Result<OwnedFd> {
    let mounts = sys::copy_mounts(&CString::new(path.as_os_str().as_bytes())?)?;
    sys::restrict_copy(&mounts, attributes)?;
    Ok(mounts)
}

/// Runs on a thread of its own, which leaves for a namespace of its own.
fn build(entries: &[Entry]) -> Result<OwnedFd, Failure> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        .map_err(failed("making a mount namespace for", "a root file system"))?;
    umask(Mode::from_bits_truncate(0o022));
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(failed("making private", "/"))?;
    let own = "/proc/thread-self/ns/mnt";
    let namespace = File::open(own).map_err(failed("opening", own))?;
    // Any directory does that is surely there: what it holds is not seen again in this namespace.
    let place = "/proc";
    let options = "mode=755,size=1m,nr_inodes=4k";
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("root"), place, Some("tmpfs"), flags, Some(options))
        .map_err(failed("mounting tmpfs at", place))?;
    chdir(place).map_err(failed("entering", place))?;
    for entry in entries {
        add(entry)?;
    }
    pivot_root(".", ".").map_err(failed("changing the root to", place))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("leaving", "the host's files"))?;
    sys::restrict_mount(c"/", sys::READ_ONLY).map_err(failed("making read-only", "/"))?;
    Ok(namespace.into())
}

fn add(entry: &Entry) -> Result<(), Failure> {
    let path = entry.path.as_path();
    let fail = || failed("making", Path::new("/").join(path));
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(fail())?;
    }
    match &entry.what {
        What::Directory => fs::create_dir_all(path).map_err(fail()),
        What::File => make_file(path).map_err(fail()),
        What::Link(target) => symlink(target, path).map_err(fail()),
        What::Mounts { mounts, is_directory } => {
            if *is_directory { fs::create_dir_all(path) } else { make_file(path) }.map_err(fail())?;
            let target = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from).map_err(fail())?;
            sys::place_mounts(mounts.as_fd(), &target).map_err(io::Error::from).map_err(fail())
        }
    }
}

/// An empty file. It is not opened for that: a process that another thread forks at that moment would have it open for
/// writing for a while, and the root could not be made read-only.
fn make_file(path: &Path) -> io::Result<()> {
    mknod(path, SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0).map_err(io::Error::from)
}
