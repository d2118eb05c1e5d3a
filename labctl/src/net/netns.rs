//! Network namespaces, named by the convention of `ip netns`: a file in `/run/netns` onto which the
//! namespace is mounted. So `ip netns` shows them, and a namespace outlives its processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::sync::oneshot;

use super::{NetError, worker};

/// Where named namespaces are.
pub const DIRECTORY: &str = "/run/netns";

/// Names taken away at a time.
const DELETED_AT_ONCE: usize = 16;

/// An open network namespace. Cheap to clone. The namespace lives for as long as a clone of this, its
/// name, a process in it or a socket of it does.
#[derive(Clone, Debug)]
pub struct NetNs {
    name: Arc<str>,
    fd: Arc<OwnedFd>,
}

impl NetNs {
    /// Makes an empty namespace with this name. Its loopback interface is down, as the kernel makes it.
    pub fn create(name: &str) -> Result<Self, NetError> {
        let target = make_mount_point(name)?;
        // `unshare` changes the thread that calls it, so that thread ends right after.
        let made = on_thread(name, || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| failed(name, "make it", error))?;
            bind(name, Path::new("/proc/thread-self/ns/net"), &target)
        });
        finish(name, &target, made.and_then(|bound| bound))
    }

    /// Opens the namespace with this name.
    pub fn open(name: &str) -> Result<Self, NetError> {
        let file = File::open(path_of(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NetError::NoNamespace { name: name.to_owned() },
            _ => NetError::Namespace { name: name.to_owned(), action: "open it", source: error },
        })?;
        Ok(Self { name: name.into(), fd: Arc::new(file.into()) })
    }

    /// Opens the namespace that a process is in.
    pub fn of_process(pid: u32) -> Result<Self, NetError> {
        let name = format!("pid {pid}");
        let file = File::open(format!("/proc/{pid}/ns/net")).map_err(|source| NetError::Namespace {
            name: name.clone(),
            action: "open it",
            source,
        })?;
        Ok(Self { name: name.into(), fd: Arc::new(file.into()) })
    }

    /// Gives a name to the namespace that a process (of a container) is in.
    pub fn bind_process(name: &str, pid: u32) -> Result<Self, NetError> {
        let target = make_mount_point(name)?;
        let bound = bind(name, Path::new(&format!("/proc/{pid}/ns/net")), &target);
        finish(name, &target, bound)
    }

    /// Takes a name away; its links go with the namespace, once nothing else holds it.
    /// Whether there was such a name.
    pub fn delete(name: &str) -> Result<bool, NetError> {
        let path = path_of(name);
        match umount2(&path, MntFlags::MNT_DETACH) {
            // EINVAL: a file that is no mount, from a crash between making and mounting it.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => return Err(failed(name, "unmount it", error)),
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => {
                Err(NetError::Namespace { name: name.to_owned(), action: "remove its name", source })
            }
        }
    }

    /// Takes names away, whatever becomes of each: the first error is returned at the end.
    ///
    /// The kernel waits for all processors at each name, but for several names at the same time.
    pub fn delete_all(names: &[String]) -> Result<(), NetError> {
        let rest = Mutex::new(names.iter());
        let next = || rest.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut outcome = Ok(());
            while let Some(name) = next() {
                outcome = outcome.and(Self::delete(name).map(drop));
            }
            outcome
        };
        thread::scope(|scope| {
            let helpers = DELETED_AT_ONCE.min(names.len()).saturating_sub(1);
            // Without a helper it takes longer.
            let helpers: Vec<_> =
                (0..helpers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
            let outcome = work();
            helpers.into_iter().fold(outcome, |outcome, helper| {
                outcome.and(helper.join().unwrap_or_else(|payload| panic::resume_unwind(payload)))
            })
        })
    }

    /// The names of all named namespaces, sorted. None if nobody ever made one.
    pub fn list() -> Result<Vec<String>, NetError> {
        let fail = |source| NetError::Namespace { name: "*".to_owned(), action: "list them", source };
        let entries = match fs::read_dir(DIRECTORY) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(fail)?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    /// What it is called; `pid N` if it was opened by process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a closure on a thread of its own inside the namespace. Whatever it starts or opens is of
    /// the namespace; the calling thread stays where it is.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetError> {
        on_thread(&self.name, || self.enter().map(|()| work()))?
    }

    /// Makes a namespace and works inside it, on one of the threads that are there for that. If the work
    /// fails, the namespace is removed again.
    pub(super) async fn make<T: Send + 'static>(
        name: &str,
        work: impl FnOnce(&Self) -> Result<T, NetError> + Send + 'static,
    ) -> Result<(Self, T), NetError> {
        let name = name.to_owned();
        worker::work(move || {
            let target = make_mount_point(&name)?;
            let made = unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| failed(&name, "make it", error))
                .and_then(|()| bind(&name, Path::new("/proc/thread-self/ns/net"), &target));
            let namespace = finish(&name, &target, made)?;
            match work(&namespace) {
                Ok(outcome) => Ok((namespace, outcome)),
                Err(error) => {
                    Self::delete(&name)?;
                    Err(error)
                }
            }
        })
        .await
    }

    /// Works inside the namespace, on one of the threads that are there for that. The work must not wait for
    /// anything but the kernel.
    pub(super) async fn visit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, NetError> + Send + 'static,
    ) -> Result<T, NetError> {
        let namespace = self.clone();
        worker::work(move || {
            namespace.enter()?;
            work(&namespace)
        })
        .await
    }

    /// As [`NetNs::run`], without blocking the async runtime, whose handle the closure may use.
    pub async fn run_async<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NetError> {
        let (sender, receiver) = oneshot::channel();
        let namespace = self.clone();
        let runtime = tokio::runtime::Handle::current();
        // Not `spawn_blocking`: its threads are used again, and would still be inside.
        thread::Builder::new()
            .spawn(move || {
                let _entered = runtime.enter();
                let outcome =
                    panic::catch_unwind(panic::AssertUnwindSafe(|| namespace.enter().map(|()| work())));
                // Nobody waits if the future was dropped; then nobody wants the outcome either.
                let _ = sender.send(outcome);
            })
            .map_err(|source| NetError::Thread { name: self.name.to_string(), source })?;
        match receiver.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(payload)) => panic::resume_unwind(payload),
            Err(_) => unreachable!("the thread sends its outcome even if the closure panics"),
        }
    }

    /// Starts a process inside the namespace. It is a child of this process.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, NetError> {
        self.run(|| command.spawn())?.map_err(|source| NetError::Namespace {
            name: self.name.to_string(),
            action: "start a process in it",
            source,
        })
    }

    /// Moves the calling thread into the namespace, for good.
    pub fn enter(&self) -> Result<(), NetError> {
        setns(&self.fd, CloneFlags::CLONE_NEWNET).map_err(|error| failed(&self.name, "enter it", error))
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

fn failed(name: &str, action: &'static str, error: Errno) -> NetError {
    NetError::Namespace { name: name.to_owned(), action, source: error.into() }
}

fn on_thread<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T, NetError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .spawn_scoped(scope, work)
            .map_err(|source| NetError::Thread { name: name.to_owned(), source })?;
        thread.join().or_else(|payload| panic::resume_unwind(payload))
    })
}

fn bind(name: &str, source: &Path, target: &Path) -> Result<(), NetError> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|error| failed(name, "mount it on its name", error))
}

/// Opens what was mounted; takes the mount point away again if that did not work.
fn finish(name: &str, target: &Path, bound: Result<(), NetError>) -> Result<NetNs, NetError> {
    match bound {
        Ok(()) => NetNs::open(name),
        Err(error) => {
            // The first error is the one to tell; what is left here, `delete` finds by name.
            let _ = fs::remove_file(target);
            Err(error)
        }
    }
}

/// The empty file that a namespace is mounted on.
fn make_mount_point(name: &str) -> Result<PathBuf, NetError> {
    make_directory(name)?;
    let path = path_of(name);
    match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(NetError::NamespaceExists { name: name.to_owned() })
        }
        Err(source) => Err(NetError::Namespace { name: name.to_owned(), action: "make its name", source }),
    }
}

/// `/run/netns` has to be a mount of its own and shared: then what is mounted and unmounted below it
/// is so in every mount namespace, and a namespace does not live on unseen in a container's copy.
///
/// Looked after once: it stays so, and looking takes longer the more is mounted there.
fn make_directory(name: &str) -> Result<(), NetError> {
    static MADE: AtomicBool = AtomicBool::new(false);
    if MADE.load(Ordering::Acquire) {
        return Ok(());
    }
    let fail = |source| NetError::Namespace { name: name.to_owned(), action: "make /run/netns", source };
    fs::create_dir_all(DIRECTORY).map_err(fail)?;
    // One at a time, or two would mount it twice. iproute2 takes the same lock.
    let directory = File::open(DIRECTORY).map_err(fail)?;
    let lock =
        Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, error)| fail(io::Error::from(error)))?;
    let share = || {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(None::<&str>, DIRECTORY, None::<&str>, flags, None::<&str>)
    };
    if share() == Err(Errno::EINVAL) {
        let empty = fs::read_dir(DIRECTORY).map_err(fail)?.next().is_none();
        mount_directory(empty).map_err(|error| fail(error.into()))?;
        share().map_err(|error| fail(error.into()))?;
    }
    drop(lock);
    MADE.store(true, Ordering::Release);
    Ok(())
}

/// Makes `/run/netns` a mount. If nothing is in it, of a file system in memory: where `/run` itself is on a disk, a
/// name costs more there than the rest of a namespace. Otherwise of itself, as iproute2 does it.
fn mount_directory(empty: bool) -> nix::Result<()> {
    if empty {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("netns"), DIRECTORY, Some("tmpfs"), flags, Some("mode=755"))
    } else {
        mount(Some(DIRECTORY), DIRECTORY, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
    }
}
