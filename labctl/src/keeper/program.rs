//! A process in a container: its end, and what it writes.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::spawning::Spawned;
use crate::net::sys;
use crate::runtime::embedded::container::{Cgroup, Started};
use crate::runtime::embedded::log::Stream;

/// Bytes of an output that are read at a time: what a pipe holds.
const PIECE: usize = 64 << 10;

/// A process that was started and has to be collected.
#[derive(Debug)]
pub struct Process {
    end: AsyncFd<OwnedFd>,
    started: Arc<Started>,
}

impl Process {
    /// Watches over it.
    pub fn watch(started: Started) -> io::Result<Self> {
        Ok(Self { end: sys::watch_process(started.process.try_clone()?)?, started: Arc::new(started) })
    }

    /// What it was started as.
    pub const fn started(&self) -> &Arc<Started> {
        &self.started
    }

    /// Kills it. No error if it has ended.
    pub fn kill(&self) -> io::Result<()> {
        match sys::pidfd_send_signal(&self.started.process, Signal::SIGKILL) {
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32) => Ok(()),
            sent => sent,
        }
    }

    /// Waits for its end. Can be given up.
    pub async fn ended(&self) {
        // Fails only with the event loop.
        let _ = self.end.readable().await;
    }

    /// Collects it after its end, and removes its control group. What it ended with, in the manner of a shell: 128
    /// and the signal's number if it was killed.
    pub fn collect(self) -> Option<i64> {
        let code = match waitid(Id::PIDFd(self.started.process.as_fd()), WaitPidFlag::WEXITED) {
            Ok(WaitStatus::Exited(_, code)) => Some(i64::from(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + i64::from(signal as i32)),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "how a process ended is not known");
                None
            }
        };
        if let Some(Err(error)) = self.started.cgroup.as_ref().map(Cgroup::remove) {
            tracing::warn!(%error, "a control group stays until the lab is taken down");
        }
        code
    }
}

/// A container's program, and the ends of its outputs.
#[derive(Debug)]
pub struct Program {
    /// The first process of the container.
    pub process: Process,
    output: Option<pipe::Receiver>,
    errors: Option<pipe::Receiver>,
}

impl Program {
    /// Watches over it.
    pub fn watch(spawned: Spawned) -> io::Result<Self> {
        let Spawned { started, output, errors } = spawned;
        Ok(Self {
            process: Process::watch(started)?,
            output: Some(pipe::Receiver::from_owned_fd(output)?),
            errors: Some(pipe::Receiver::from_owned_fd(errors)?),
        })
    }

    /// Waits until something was written; never, once both outputs are closed. Can be given up.
    pub async fn written(&self) -> Stream {
        tokio::select! {
            () = readable(self.output.as_ref()) => Stream::Out,
            () = readable(self.errors.as_ref()) => Stream::Err,
        }
    }

    /// A piece of what was written, if there is one.
    pub fn take(&mut self, stream: Stream) -> Option<Vec<u8>> {
        let pipe = match stream {
            Stream::Out => &mut self.output,
            Stream::Err => &mut self.errors,
        };
        let mut piece = vec![0; PIECE];
        match pipe.as_ref()?.try_read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(length) if length > 0 => {
                piece.truncate(length);
                Some(piece)
            }
            // Closed by the program, or broken: nothing will come any more.
            _ => {
                *pipe = None;
                None
            }
        }
    }
}

/// Never, for a pipe that is closed.
async fn readable(pipe: Option<&pipe::Receiver>) {
    match pipe {
        Some(pipe) => {
            // Reading tells what is wrong with it.
            let _ = pipe.readable().await;
        }
        None => std::future::pending().await,
    }
}
