//! Network namespaces, named by the convention of `ip netns`: a file in `/run/netns` onto which the
//! namespace is mounted. So `ip netns` shows them, and a namespace outlives its processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::sync::oneshot;

use super::NetError;

/// Where named namespaces are.
pub const DIRECTORY: &str = "/run/netns";

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
fn make_directory(name: &str) -> Result<(), NetError> {
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
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(DIRECTORY), DIRECTORY, None::<&str>, flags, None::<&str>)
            .map_err(|error| fail(io::Error::from(error)))?;
        share().map_err(|error| fail(io::Error::from(error)))?;
    }
    drop(lock);
    Ok(())
}
