//! Keeps a program running: the first process of a container that starts the program again when it ends.
//!
//! The container stays as it is meanwhile, and so does its network, which an engine that restarts containers
//! would make anew.

use std::ffi::OsString;
use std::future::poll_fn;
use std::io::{self, Write as _, stderr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::task::Poll;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use overlay_control::restart::{RestartPolicy, Restarts};
use tokio::signal::unix::{Signal as Arrivals, SignalKind, signal};

use crate::gate::{GateError, enter};

/// Signals that are handed on to the program.
const HANDED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
/// Those of them after which it is not started again.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];
/// What a shell adds to the number of a signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// Waits until the gate of this directory opens, and runs the program for as long as the policy says. Answers
/// with the exit code of its last run.
///
/// # Panics
///
/// If `program` is empty: the command line requires at least one word.
pub fn run(directory: &Path, policy: RestartPolicy, program: &[OsString]) -> Result<u8, GateError> {
    let system = GateError::system;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(system("making a runtime"))?.block_on(async {
        // Before anything is started: a signal that comes early must not be lost.
        let signals = signals().map_err(system("waiting for signals"))?;
        let gate = enter(directory)?;
        let (name, arguments) = program.split_first().expect("the command line requires a program");
        let mut kept = Kept {
            name: name.clone(),
            arguments: arguments.to_vec(),
            restarts: Restarts::new(policy),
            signals,
            is_ending: false,
        };
        let first = kept.start(gate)?;
        kept.run(first).await.map_err(system("waiting for the program"))
    })
}

/// By handlers, which a program does not inherit; it would inherit signals that are held back.
fn signals() -> io::Result<Vec<(Signal, Arrivals)>> {
    let arrivals = |which: Signal| Ok((which, signal(SignalKind::from_raw(which as i32))?));
    HANDED_ON.into_iter().chain([Signal::SIGCHLD]).map(arrivals).collect()
}

/// A program that is kept running.
struct Kept {
    name: OsString,
    arguments: Vec<OsString>,
    restarts: Restarts,
    signals: Vec<(Signal, Arrivals)>,
    is_ending: bool,
}

impl Kept {
    /// The first start, of which the gate is told if it fails.
    fn start(&self, mut gate: UnixStream) -> Result<Pid, GateError> {
        self.spawn().map_err(|source| {
            let error = GateError::Program { program: self.name.clone(), source };
            // If labctl is gone, nobody wants to know.
            let _ = gate.write_all(error.to_string().as_bytes());
            error
        })
    }

    fn spawn(&self) -> io::Result<Pid> {
        let child = Command::new(&self.name).args(&self.arguments).spawn()?;
        // All children are waited for together, this one and what it leaves behind.
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Pid::from_raw(pid))
    }

    async fn run(&mut self, first: Pid) -> io::Result<u8> {
        let mut child = first;
        let mut code;
        loop {
            let since = Instant::now();
            code = self.attend(child).await?;
            loop {
                let ran = since.elapsed();
                let Some(pause) = self.pause(ran, code) else { return Ok(exit_code(code)) };
                self.tell(&format!("ended with {code} and is started again in {} ms", pause.as_millis()));
                end_what_is_left();
                if let Some(code) = self.rest(pause).await? {
                    return Ok(exit_code(code));
                }
                match self.spawn() {
                    Ok(pid) => {
                        child = pid;
                        break;
                    }
                    Err(error) => self.tell(&format!("cannot be started: {error}")),
                }
            }
        }
    }

    fn pause(&mut self, ran: Duration, code: i32) -> Option<Duration> {
        if self.is_ending { None } else { self.restarts.ended(ran, code != 0) }
    }

    fn tell(&self, what: &str) {
        let _ = writeln!(stderr(), "overlay-node: '{}' {what}", self.name.display());
    }

    /// Hands signals on to the program until it ends. Its code.
    async fn attend(&mut self, child: Pid) -> io::Result<i32> {
        loop {
            let arrived = self.next_signal().await;
            if arrived == Signal::SIGCHLD {
                if let Some(code) = reap(child)? {
                    return Ok(code);
                }
            } else {
                self.is_ending |= ENDING.contains(&arrived);
                // If it has just ended, the next signal is SIGCHLD.
                let _ = kill(child, arrived);
            }
        }
    }

    /// Waits before a restart. The code to end with, if a signal says so.
    async fn rest(&mut self, pause: Duration) -> io::Result<Option<i32>> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(None),
                arrived = self.next_signal() => {
                    if ENDING.contains(&arrived) {
                        return Ok(Some(BY_SIGNAL + arrived as i32));
                    }
                    // What was left of the last run.
                    reap(NOBODY)?;
                }
            }
        }
    }

    async fn next_signal(&mut self) -> Signal {
        poll_fn(|context| {
            for (which, arrivals) in &mut self.signals {
                if arrivals.poll_recv(context).is_ready() {
                    return Poll::Ready(*which);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// No child has this number.
const NOBODY: Pid = Pid::from_raw(0);

/// Waits for all children that have ended. The code of this one, if it has.
fn reap(child: Pid) -> io::Result<Option<i32>> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, ended)) if pid == child => code = Some(ended),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = Some(BY_SIGNAL + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends what the last run started and left behind, so that the next one finds its ports free.
fn end_what_is_left() {
    // Anywhere else these would be other people's processes.
    if Pid::this().as_raw() == 1 {
        // There may be none.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    }
}

fn exit_code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}
