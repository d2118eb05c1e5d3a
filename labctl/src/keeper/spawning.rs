//! The threads that start containers.
//!
//! A container ends with the thread that started it (`PR_SET_PDEATHSIG`), so these stay for as long as the
//! keeper does: a pool that lets idle threads go would end containers. There are as many as processors, made
//! when the first container is asked for: with an engine that runs the containers there are none.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use tokio::sync::oneshot;

use super::KeeperError;
use crate::names::LabName;
use crate::runtime::embedded::container::{CgroupParent, ContainerSpec, Spawner, Started};

/// A container that was started, and the ends of its outputs, which do not block.
#[derive(Debug)]
pub struct Spawned {
    /// The container.
    pub started: Started,
    /// What it writes to its standard output.
    pub output: OwnedFd,
    /// What it writes to its standard error.
    pub errors: OwnedFd,
}

enum Job {
    Start { network: PathBuf, spec: ContainerSpec, reply: oneshot::Sender<Result<Spawned, String>> },
    Enter { inside: Inside, reply: oneshot::Sender<Result<Started, String>> },
}

/// A command for a container that runs.
#[derive(Debug)]
pub struct Inside {
    /// The container.
    pub container: Arc<Started>,
    /// What it was started from.
    pub spec: ContainerSpec,
    /// The command.
    pub command: Vec<String>,
}

/// Starts containers, several at a time.
#[derive(Debug)]
pub struct Spawning {
    jobs: Sender<Job>,
    cgroup: Option<CgroupParent>,
}

impl Spawning {
    /// Starts the threads.
    pub fn new(lab: &LabName) -> Result<Self, KeeperError> {
        let spawner = Arc::new(Spawner::new()?);
        let cgroup = match CgroupParent::make_for(lab.as_str()) {
            Ok(parent) => Some(parent),
            Err(error) => {
                tracing::info!(%error, "memory is limited for each process, not for each node");
                None
            }
        };
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            let (spawner, waiting) = (Arc::clone(&spawner), Arc::clone(&waiting));
            let work = move || while take_one(&spawner, &waiting) {};
            thread::Builder::new().name("spawn".to_owned()).spawn(work).map_err(KeeperError::Thread)?;
        }
        Ok(Self { jobs, cgroup })
    }

    /// Starts a container in a network namespace, given as a file.
    pub async fn start(&self, network: PathBuf, mut spec: ContainerSpec) -> Result<Spawned, String> {
        spec.cgroup.clone_from(&self.cgroup);
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Start { network, spec, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Starts another command in a container. What it writes goes nowhere.
    pub async fn enter(&self, mut inside: Inside) -> Result<Started, String> {
        inside.spec.cgroup.clone_from(&self.cgroup);
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Enter { inside, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// False when there will be no more.
fn take_one(spawner: &Spawner, waiting: &Mutex<Receiver<Job>>) -> bool {
    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
    match job {
        Ok(Job::Start { network, spec, reply }) => drop(reply.send(start(spawner, &network, &spec))),
        Ok(Job::Enter { inside, reply }) => drop(reply.send(enter(spawner, &inside))),
        Err(_) => return false,
    }
    true
}

fn gone() -> String {
    "the keeper's threads have ended, which is a defect of labctl".to_owned()
}

fn enter(spawner: &Spawner, inside: &Inside) -> Result<Started, String> {
    let Inside { container, spec, command } = inside;
    let nowhere =
        File::options().write(true).open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    spawner
        .enter(container, spec, command, nowhere.as_fd(), nowhere.as_fd())
        .map_err(|error| error.to_string())
}

fn start(spawner: &Spawner, network: &PathBuf, spec: &ContainerSpec) -> Result<Spawned, String> {
    let namespace = File::open(network).map_err(|error| format!("{}: {error}", network.display()))?;
    let pipe = || output_pipe().map_err(|error| format!("making a pipe: {error}"));
    let ((output, writes), (errors, writes_errors)) = (pipe()?, pipe()?);
    let started = spawner
        .start(spec, namespace.as_fd(), writes.as_fd(), writes_errors.as_fd())
        .map_err(|error| error.to_string())?;
    Ok(Spawned { started, output, errors })
}

/// A pipe of which only the reading end does not block: programs do not expect that of their outputs.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((read, write))
}
