//! The keeper's process: started in a session of its own so that it outlives `labctl up`, found again by
//! its command line, and ended.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::KeeperError;
use super::wan::THREAD;
use crate::names::LabName;
use crate::net::sys;

/// The subcommand that is the keeper.
pub const SUBCOMMAND: &str = "keeper";
/// What the keeper says on its standard output when packets can pass.
pub const READY: &str = "ready\n";

/// How long a keeper may take to be ready. It needs some milliseconds; this is for a machine under load.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a keeper may take to end by itself before it is killed.
const TERM_LIMIT: Duration = Duration::from_secs(5);
/// How long the kernel may take to end a killed process: milliseconds, unless hundreds of others want to run.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// A keeper that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningKeeper {
    /// Its lab.
    pub lab: LabName,
    /// Its process.
    pub pid: i32,
}

/// Starts the keeper of a lab and returns when packets can pass. The core must exist.
///
/// `program` is the `labctl` executable, `plan` a file with the lab's whole [`Plan`](crate::plan::Plan)
/// as JSON, `log` a file that the keeper's messages are added to. The keeper has no other file of the
/// caller open and stays when the caller ends.
pub async fn spawn(
    program: &Path,
    lab: &LabName,
    plan: &Path,
    log: &Path,
) -> Result<RunningKeeper, KeeperError> {
    let (program, lab, plan, log) = (program.to_owned(), lab.clone(), plan.to_owned(), log.to_owned());
    blocking(move || start(&program, lab, &plan, &log)).await
}

fn start(program: &Path, lab: LabName, plan: &Path, log: &Path) -> Result<RunningKeeper, KeeperError> {
    let fail = |reason: String| KeeperError::Process { lab: lab.to_string(), action: "start it", reason };
    let messages = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|error| fail(format!("{}: {error}", log.display())))?;
    let before = messages.metadata().map_or(0, |metadata| metadata.len());
    let mut child = Command::new(program)
        .args([SUBCOMMAND, "--lab", lab.as_str(), "--plan"])
        .arg(plan)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(messages)
        .spawn()
        .map_err(|error| fail(format!("{}: {error}", program.display())))?;
    let output = child.stdout.take().expect("it was asked for");
    if let Err(error) = wait_ready(output) {
        end(&mut child);
        let said = fs::read(log).unwrap_or_default();
        let said = said.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
        let said = String::from_utf8_lossy(said);
        return Err(fail(format!("{error}; it said: {}", said.trim())));
    }
    let pid = child.id().cast_signed();
    // Somebody has to collect it, should it end while this process still runs.
    thread::Builder::new()
        .name("keeper-reaper".to_owned())
        .spawn(move || child.wait())
        .map_err(|error| fail(error.to_string()))?;
    Ok(RunningKeeper { lab, pid })
}

fn end(child: &mut Child) {
    // Both fail only if it has ended and been collected already.
    let _ = child.kill();
    let _ = child.wait();
}

fn wait_ready(mut output: ChildStdout) -> io::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let mut said = Vec::new();
    while said != READY.as_bytes() {
        if !wait_readable(output.as_fd(), deadline)? {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it was not ready after {} s", START_LIMIT.as_secs()),
            ));
        }
        let mut buffer = [0; READY.len()];
        match output.read(&mut buffer)? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before it was ready")),
            count => said.extend(&buffer[..count]),
        }
        if !READY.as_bytes().starts_with(&said) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a keeper of this version"));
        }
    }
    Ok(())
}

/// Whether a descriptor could be read, or was at its end, before the deadline.
fn wait_readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A part of a millisecond is a whole one, or the last of them would be spent in a busy loop.
        let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(0) if deadline <= Instant::now() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// All keepers of this user namespace, found by their command lines. Those of another one belong to another
/// user's labs.
#[must_use]
pub fn running() -> Vec<RunningKeeper> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = user_namespace("self");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some(RunningKeeper { lab: lab_of(pid)?, pid }))
        .filter(|keeper| own.is_some() && user_namespace(keeper.pid.to_string()) == own)
        .filter(|keeper| !is_on_its_way(keeper))
        .collect()
}

/// True for a copy of a keeper that is about to become a container's process.
fn is_on_its_way(process: &RunningKeeper) -> bool {
    parent_of(process.pid).and_then(lab_of).is_some_and(|lab| lab == process.lab)
}

fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The keepers of a lab. More than one only if two `labctl up` were started at the same moment.
#[must_use]
pub fn find(lab: &LabName) -> Vec<RunningKeeper> {
    running().into_iter().filter(|keeper| keeper.lab == *lab).collect()
}

/// Whether a keeper carries its lab's packets: whether its engine's thread is there.
#[must_use]
pub fn carries(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
    threads.filter_map(|thread| name(thread.ok()?)).any(|name| name.trim_end() == THREAD)
}

/// The user namespace of a process; `None` if it is not for us to know.
fn user_namespace(process: impl AsRef<Path>) -> Option<PathBuf> {
    fs::read_link(Path::new("/proc").join(process).join("ns/user")).ok()
}

/// The lab that a process is the keeper of. A process that has ended has no command line any more.
fn lab_of(pid: i32) -> Option<LabName> {
    parse_command_line(&fs::read(format!("/proc/{pid}/cmdline")).ok()?)
}

fn parse_command_line(line: &[u8]) -> Option<LabName> {
    let mut words = line.split(|byte| *byte == 0).map(|word| str::from_utf8(word).ok());
    let program = Path::new(words.next()??).file_name()?;
    let expected = program == "labctl" && words.next()?? == SUBCOMMAND && words.next()?? == "--lab";
    if expected { words.next()??.parse().ok() } else { None }
}

/// Ends the keepers of a lab: asks, waits, and kills what does not go. Returns how many there were.
pub async fn stop(lab: &LabName) -> Result<usize, KeeperError> {
    let lab = lab.clone();
    blocking(move || {
        let keepers = find(&lab);
        for keeper in &keepers {
            end_keeper(keeper).map_err(|error| KeeperError::Process {
                lab: lab.to_string(),
                action: "end it",
                reason: format!("process {}: {error}", keeper.pid),
            })?;
        }
        Ok(keepers.len())
    })
    .await
}

fn end_keeper(keeper: &RunningKeeper) -> io::Result<()> {
    let gone = |error: &io::Error| error.raw_os_error() == Some(Errno::ESRCH as i32);
    let process = match sys::pidfd_open(keeper.pid) {
        Err(error) if gone(&error) => return Ok(()),
        process => process?,
    };
    // The descriptor is of whoever has the number now: look again before anything is done to it.
    if lab_of(keeper.pid).as_ref() != Some(&keeper.lab) {
        return Ok(());
    }
    for (signal, limit) in [(Signal::SIGTERM, TERM_LIMIT), (Signal::SIGKILL, KILL_LIMIT)] {
        match sys::pidfd_send_signal(&process, signal) {
            Err(error) if gone(&error) => return Ok(()),
            sent => sent?,
        }
        if wait_readable(process.as_fd(), Instant::now() + limit)? {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "it was killed and did not end"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeeperError> + Send + 'static,
) -> Result<T, KeeperError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(payload) => std::panic::resume_unwind(payload),
        Err(error) => Err(KeeperError::Thread(io::Error::other(error))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_keeper_is_taken_for_one() {
        let lab = |line: &[u8]| parse_command_line(line).map(String::from);
        assert_eq!(lab(b"/usr/bin/labctl\0keeper\0--lab\0expC\0--plan\0/x\0").as_deref(), Some("expC"));
        assert_eq!(lab(b"labctl\0keeper\0--lab\0a\0"), Some("a".to_owned()));
        assert_eq!(lab(b"vim\0labctl\0keeper\0--lab\0a\0"), None);
        assert_eq!(lab(b"/bin/labctl\0down\0--lab\0a\0"), None);
        assert_eq!(lab(b"labctl\0keeper\0--lab\0"), None);
        assert_eq!(lab(b""), None);
    }
}
