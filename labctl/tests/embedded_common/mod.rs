//! Starts containers for tests, each in an empty network namespace of its own.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part of this, and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use labctl::runtime::embedded::container::{
    CgroupParent, ContainerError, ContainerSpec, Limits, Root, Spawner, Started,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

/// A spawner, and what its containers are given.
pub struct Bench {
    pub spawner: Spawner,
    pub directory: tempfile::TempDir,
}

/// How a container ended.
#[derive(Debug)]
pub struct Ended {
    pub output: String,
    pub errors: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
}

/// A container that runs.
pub struct Running {
    pub started: Started,
    output: File,
    errors: File,
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { spawner: Spawner::new().unwrap(), directory }
    }

    /// Starts a container with this bench's directory.
    pub fn try_start(&self, spec: &ContainerSpec) -> Result<Running, ContainerError> {
        let mut spec = spec.clone();
        self.directory.path().clone_into(&mut spec.directory);
        let network = empty_network();
        let (output, errors) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let started = self.spawner.start(&spec, network.as_fd(), output.as_fd(), errors.as_fd())?;
        Ok(Running { started, output, errors })
    }

    /// Runs another command in a container.
    pub fn enter(
        &self,
        running: &Running,
        spec: &ContainerSpec,
        command: &[String],
    ) -> Result<Running, ContainerError> {
        let (output, errors) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let started = self.spawner.enter(&running.started, spec, command, output.as_fd(), errors.as_fd())?;
        Ok(Running { started, output, errors })
    }

    pub fn start(&self, spec: &ContainerSpec) -> Running {
        self.try_start(spec).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Gives the bench's directory to the containers' user.
    pub fn give_directory(&self) {
        std::os::unix::fs::chown(self.directory.path(), Some(self.spawner.user()), Some(self.spawner.user()))
            .unwrap();
    }

    pub fn run(&self, spec: &ContainerSpec) -> Ended {
        self.start(spec).wait()
    }
}

impl Running {
    pub fn output(&self) -> String {
        read(&self.output)
    }

    pub fn errors(&self) -> String {
        read(&self.errors)
    }

    pub fn is_alive(&self) -> bool {
        let mut process = [PollFd::new(self.started.process.as_fd(), PollFlags::POLLIN)];
        poll(&mut process, PollTimeout::ZERO).unwrap() == 0
    }

    /// Kills it and waits until it is gone.
    pub fn end(self) -> Ended {
        kill(self.started.pid, Signal::SIGKILL).unwrap();
        self.wait()
    }

    /// All of its processes, in the numbers of this process: those in its process namespace.
    pub fn processes(&self) -> Vec<i32> {
        let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = of(self.started.pid.as_raw());
        let all = fs::read_dir("/proc").unwrap();
        let pids = all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.filter(|pid| of(*pid) == own && own.is_some()).collect()
    }

    /// Reads a value of its control group, whichever version has it.
    fn of_group(&self, names: [&str; 2]) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", self.started.pid)).ok()?;
        let paths = text.lines().filter_map(|line| {
            let (hierarchy, path) = line.split_once(':')?.1.split_once(':')?;
            Some(PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}{path}")))
        });
        paths
            .flat_map(|path| names.map(|name| path.join(name)))
            .find_map(|path| fs::read_to_string(path).ok())
    }

    /// The most memory that it ever had, bytes.
    pub fn most_memory(&self) -> u64 {
        let text = self.of_group(["memory.peak", "memory.max_usage_in_bytes"]);
        text.map_or(0, |text| text.trim().parse().unwrap())
    }

    /// Whether the kernel had to end processes of its group, or all of it.
    pub fn was_out_of_memory(&self) -> bool {
        let text = self.of_group(["memory.events", "memory.oom_control"]).unwrap_or_default();
        let killed = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        !self.is_alive() || killed.is_some_and(|count| count != "0")
    }
    /// Waits until it ends.
    pub fn wait(self) -> Ended {
        let status = waitid(Id::PIDFd(self.started.process.as_fd()), WaitPidFlag::WEXITED).unwrap();
        let code = match status {
            WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        };
        if let Some(cgroup) = &self.started.cgroup {
            cgroup.remove().unwrap();
        }
        Ended { output: read(&self.output), errors: read(&self.errors), code }
    }
}

/// All of a file, without a change to the position that is shared with who writes it.
fn read(file: &File) -> String {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A container with the host's programs.
pub fn host(command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        hostname: "bx-node".to_owned(),
        root: Root::Host,
        command: command.iter().map(ToString::to_string).collect(),
        environment: BTreeMap::new(),
        directory: "/".into(),
        mounts: Vec::new(),
        limits: Limits { memory: 256 << 20, pids: 64 },
        cgroup: None,
    }
}

/// A group for the containers of one test, removed at its end.
pub struct Group {
    pub parent: CgroupParent,
    name: String,
}

impl Drop for Group {
    fn drop(&mut self) {
        CgroupParent::remove_of(&self.name).unwrap();
    }
}

/// A control group, or nothing and loud words where there are none.
pub fn control_groups(name: &str) -> Option<Group> {
    match CgroupParent::make_for(name) {
        Ok(parent) => Some(Group { parent, name: name.to_owned() }),
        Err(error) => {
            eprintln!("NOT TESTED: no control groups can be made here ({error})");
            None
        }
    }
}

/// The processes that this thread is the parent of, and has not waited for.
pub fn children() -> BTreeSet<i32> {
    let text = fs::read_to_string("/proc/thread-self/children").unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// How long something may take before the test has failed; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until something is so.
pub fn until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A network namespace without anything in it. It lives as long as the descriptor, or a process in it.
pub fn empty_network() -> OwnedFd {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap().into()
    })
    .join()
    .unwrap()
}
