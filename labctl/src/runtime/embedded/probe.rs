//! Whether this machine lets labctl make containers: one is made.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::thread;

use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::container::{ContainerError, ContainerSpec, Limits, Root, Spawner};

/// Starts a program that does nothing in a container in this process' own network, and waits for its end.
pub fn probe() -> Result<(), ContainerError> {
    // A container ends with the thread that started it, so that thread must be one that stays until then.
    let made = thread::scope(|scope| scope.spawn(run).join());
    made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run() -> Result<(), ContainerError> {
    let open = |path: &str, write: bool| {
        File::options().read(!write).write(write).open(path).map_err(|source| ContainerError::Path {
            container: CONTAINER.to_owned(),
            doing: "opening",
            path: path.into(),
            source,
        })
    };
    let (network, nowhere) = (open("/proc/thread-self/ns/net", false)?, open("/dev/null", true)?);
    let spec = ContainerSpec {
        hostname: CONTAINER.to_owned(),
        root: Root::Host,
        command: vec!["true".to_owned()],
        environment: BTreeMap::new(),
        directory: std::env::temp_dir(),
        mounts: Vec::new(),
        limits: Limits { memory: 64 << 20, pids: 8 },
        cgroup: None,
    };
    let started = Spawner::new()?.start(&spec, network.as_fd(), nowhere.as_fd(), nowhere.as_fd())?;
    // That it could be started is all that is to be known.
    let _ = waitid(Id::PIDFd(started.process.as_fd()), WaitPidFlag::WEXITED);
    Ok(())
}

const CONTAINER: &str = "probe";
