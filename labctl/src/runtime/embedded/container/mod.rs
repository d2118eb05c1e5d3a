//! One container from Linux namespaces: a process with its own processes, files, users, host name and
//! network, without any capability.
//!
//! 1. A mount namespace that holds a root file system and nothing else of the host is made once for each kind
//!    of root ([`template`]).
//! 2. A container's process is forked into new process, host name and IPC namespaces ([`sys`]). It joins the
//!    network namespace that it is given, copies the mount namespace and mounts what is its own.
//! 3. It makes a user namespace, in which this process maps the one user that a container knows. In there it
//!    gives up all capabilities, is limited, and gets its filter of system calls.
//! 4. It becomes the program ([`child`]). The program is the first process of its process namespace: when it
//!    ends, all others in it do. It ends itself with the thread that started it.
//!
//! Needs Linux 5.14 (`mount_setattr`, and limits of processes that are counted for each user namespace).

mod cgroup;
mod child;
mod error;
mod identity;
mod job;
mod seccomp;
mod spec;
mod step;
mod sys;
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::panic;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use seccompiler::BpfProgram;

use self::identity::Identity;
use self::job::{BORN_INTO, Common, Handed, Into, Job};
use self::step::{Message, Step};
use self::sys::Forked;
use self::template::Place;
use crate::net::sys::{pidfd_open, pidfd_send_signal};

pub use crate::topology::Mount;
pub use cgroup::{Cgroup, CgroupParent};
pub use error::ContainerError;
pub use spec::{ContainerSpec, Limits, Root};

/// A container that was started: its program runs.
#[derive(Debug)]
pub struct Started {
    /// Its first process, in the numbers of the process that started it, whose child it is.
    pub pid: Pid,
    /// The same as a descriptor (pidfd): readable once the process has ended.
    pub process: OwnedFd,
    /// Its control group, to be removed when it has ended.
    pub cgroup: Option<Cgroup>,
}

type Templates = BTreeMap<(Root, Vec<Place>), Arc<OwnedFd>>;

/// Starts containers. Their processes are children of this process and die with the thread that started them.
#[derive(Debug)]
pub struct Spawner {
    identity: Identity,
    filter: BpfProgram,
    /// This process.
    own: OwnedFd,
    templates: Mutex<Templates>,
}

impl Spawner {
    /// Prepares what all containers share.
    pub fn new() -> Result<Self, ContainerError> {
        let fail = |step: &str, source| ContainerError::Step {
            container: "(any)".to_owned(),
            step: step.to_owned(),
            source,
            mend: "'labctl doctor' examines this machine",
        };
        Ok(Self {
            identity: Identity::find().map_err(|error| fail("finding whom it runs as", error))?,
            filter: seccomp::filter()
                .map_err(|error| fail("making the filter of system calls", io::Error::other(error)))?,
            own: pidfd_open(Pid::this().as_raw()).map_err(|error| fail("finding its own process", error))?,
            templates: Mutex::default(),
        })
    }

    /// Whose the containers' processes are in the numbers of this process, and whom their directories have to
    /// belong to.
    #[must_use]
    pub const fn user(&self) -> u32 {
        self.identity.outside
    }

    /// Starts a container and returns once its program runs. `network` is the network namespace that it joins;
    /// `output` and `errors` become its standard output and standard error.
    pub fn start(
        &self,
        spec: &ContainerSpec,
        network: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
        errors: BorrowedFd<'_>,
    ) -> Result<Started, ContainerError> {
        job::check(spec, &spec.command)?;
        let template = self.template(spec)?;
        let cgroup = spec.cgroup.as_ref().map(|parent| parent.make(&spec.hostname, spec.limits)).transpose();
        let cgroup = cgroup.map_err(cgroup_failed(spec))?;
        let procs = cgroup.as_ref().map_or_else(|| Ok(Vec::new()), Cgroup::open);
        let into = Into::New { template: template.as_fd(), network };
        let handed = Handed { into, output, errors };
        let started = procs
            .map_err(cgroup_failed(spec))
            .and_then(|procs| Job::new(spec, &spec.command, &self.common(), handed, procs))
            .and_then(|job| self.run(spec, &job, BORN_INTO));
        match started {
            Ok((pid, process)) => Ok(Started { pid, process, cgroup }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = cgroup.map(|cgroup| cgroup.remove());
                Err(error)
            }
        }
    }

    /// Starts another command in a container that runs: `spec` is what it was started from. The command has the
    /// rights, limits and environment of the container's program, and ends with it. It has to be waited for
    /// before the program is: the kernel lets the first process of a process namespace end last.
    pub fn enter(
        &self,
        container: &Started,
        spec: &ContainerSpec,
        command: &[String],
        output: BorrowedFd<'_>,
        errors: BorrowedFd<'_>,
    ) -> Result<Started, ContainerError> {
        job::check(spec, command)?;
        let procs = container.cgroup.as_ref().map_or_else(|| Ok(Vec::new()), Cgroup::open);
        let procs = procs.map_err(cgroup_failed(spec))?;
        let handed = Handed { into: Into::Existing(container.process.as_fd()), output, errors };
        let job = Job::new(spec, command, &self.common(), handed, procs)?;
        let fail = |error: Errno| failed(spec, &job, Step::EnterContainer, 0, error);
        // A thread of its own: it cannot always come back to where it was.
        let (pid, process) = thread::scope(|scope| {
            let enter = || {
                setns(&container.process, CloneFlags::CLONE_NEWPID).map_err(fail)?;
                self.run(spec, &job, 0)
            };
            let made = thread::Builder::new().spawn_scoped(scope, enter).map_err(|_| fail(Errno::EAGAIN))?;
            made.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
        })?;
        Ok(Started { pid, process, cgroup: None })
    }

    fn common(&self) -> Common<'_> {
        Common { parent: self.own.as_fd(), identity: &self.identity, filter: &self.filter }
    }

    /// The mount namespace for containers of this kind, made at the first of them.
    fn template(&self, spec: &ContainerSpec) -> Result<Arc<OwnedFd>, ContainerError> {
        let places = job::places(spec);
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (spec.root.clone(), places);
        if let Some(template) = templates.get(&key) {
            return Ok(Arc::clone(template));
        }
        let made = template::make(&key.0, &key.1, !self.identity.initial);
        let made = Arc::new(made.map_err(|failure| ContainerError::Path {
            container: spec.hostname.clone(),
            doing: failure.doing,
            path: failure.path,
            source: failure.source,
        })?);
        templates.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn run(
        &self,
        spec: &ContainerSpec,
        job: &Job<'_>,
        namespaces: libc::c_int,
    ) -> Result<(Pid, OwnedFd), ContainerError> {
        let fail = |step: &str| {
            let (container, step) = (spec.hostname.clone(), step.to_owned());
            move |error: Errno| {
                let mend = Step::NewUsers.mend(error);
                ContainerError::Step { container, step, source: error.into(), mend }
            }
        };
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(fail("making a channel to its process"))?;
        match sys::fork(namespaces).map_err(fail("making its process"))? {
            Forked::Child => {
                // So that it hears when the other process is gone.
                let _ = nix::unistd::close(ours.as_raw_fd());
                child::run(job, theirs.as_fd())
            }
            Forked::Parent { pid, process } => {
                drop(theirs);
                match self.accompany(spec, job, pid, &ours) {
                    Ok(()) => Ok((pid, process)),
                    Err(error) => {
                        // A process whose channel closes before it is the program ends by itself; this is for
                        // one that cannot.
                        let _ = pidfd_send_signal(&process, Signal::SIGKILL);
                        let _ = waitid(Id::PIDFd(process.as_fd()), WaitPidFlag::WEXITED);
                        Err(error)
                    }
                }
            }
        }
    }

    /// Gives the process what it asks for until it is the program.
    fn accompany(
        &self,
        spec: &ContainerSpec,
        job: &Job<'_>,
        pid: Pid,
        channel: &OwnedFd,
    ) -> Result<(), ContainerError> {
        let mut last = Step::JoinControlGroup;
        let mut bytes = [0; 8];
        loop {
            let length = match recv(channel.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received.unwrap_or(0),
            };
            match Message::decode(&bytes[..length]) {
                Some(Message::NeedsUsers) => {
                    last = Step::MapUsers;
                    self.map_users(spec, pid)?;
                    // If it is gone, the next message says so.
                    let _ = send(channel.as_raw_fd(), &[0], MsgFlags::MSG_NOSIGNAL);
                }
                Some(Message::Executes) => last = Step::Execute,
                Some(Message::Failed { step, item, error }) => {
                    return Err(failed(spec, job, step, item, error));
                }
                None if last == Step::Execute => return Ok(()),
                None => {
                    let (container, step) = (spec.hostname.clone(), last.doing().to_owned());
                    return Err(ContainerError::Ended { container, step });
                }
            }
        }
    }

    fn map_users(&self, spec: &ContainerSpec, pid: Pid) -> Result<(), ContainerError> {
        for name in ["uid_map", "gid_map"] {
            let path = format!("/proc/{pid}/{name}");
            fs::write(&path, self.identity.map()).map_err(|source| ContainerError::Step {
                container: spec.hostname.clone(),
                step: format!("{} in {}", Step::MapUsers.doing(), Path::new(&path).display()),
                source,
                mend: "it needs root, or a user namespace of its own: 'labctl doctor' says what is missing",
            })?;
        }
        Ok(())
    }
}

fn cgroup_failed(spec: &ContainerSpec) -> impl Fn(cgroup::Failure) -> ContainerError + '_ {
    |failure| ContainerError::Path {
        container: spec.hostname.clone(),
        doing: failure.doing,
        path: failure.path,
        source: failure.source,
    }
}

/// The error for a step of the container's process.
fn failed(spec: &ContainerSpec, job: &Job<'_>, step: Step, item: u16, error: Errno) -> ContainerError {
    let container = spec.hostname.clone();
    if step == Step::Execute {
        let program = job.arguments.first();
        return ContainerError::Program { container, program, source: error.into(), mend: mend(spec, error) };
    }
    let at = match step {
        Step::MakePlace | Step::Mount => job.placed.get(usize::from(item)).map(|placed| &placed.target),
        _ => None,
    };
    let at = at.map_or_else(String::new, |target| format!(" {}", target.to_string_lossy()));
    ContainerError::Step {
        container,
        step: format!("{}{at}", step.doing()),
        source: error.into(),
        mend: step.mend(error),
    }
}

/// What to do about a program that cannot be run.
fn mend(spec: &ContainerSpec, error: Errno) -> &'static str {
    match (&spec.root, error) {
        (_, Errno::EPERM) => "it asks for capabilities, and a node has none",
        (_, Errno::EACCES) => "make it executable for everybody",
        (_, Errno::ENOEXEC) => "it is no program for this machine, or a script without '#!'",
        (Root::Program(_), _) => "this container holds nothing but its one program",
        (Root::Host, _) => "install it on this machine, below /usr",
        (Root::Directory(_), _) => "name a program that the root file system has",
    }
}
