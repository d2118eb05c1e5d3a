//! `overlay-node run` as labctl uses it: a gate, a byte, and then another program.

#![expect(clippy::unwrap_used, reason = "a test whose case cannot be set up has failed")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use overlay_control::{GATE_FILE, GATE_OPEN};
use tempfile::TempDir;

/// Starts a program that waits at the gate of this directory.
fn start(directory: &Path, policy: &str, program: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_overlay-node"))
        .args(["run", "--restart", policy, "--directory", directory.to_str().unwrap(), "--"])
        .args(program)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A program that waits, and the other end of its connection.
fn waiting(program: &[&str]) -> (Child, UnixStream, TempDir) {
    waiting_with("no", program)
}

fn waiting_with(policy: &str, program: &[&str]) -> (Child, UnixStream, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let gate = UnixListener::bind(directory.path().join(GATE_FILE)).unwrap();
    let child = start(directory.path(), policy, program);
    let (stream, _) = gate.accept().unwrap();
    (child, stream, directory)
}

/// Opens the gate. What came back over it, and what the program wrote and ended with.
fn opened(program: &[&str]) -> (String, Output) {
    let (child, mut stream, _directory) = waiting(program);
    stream.write_all(&[GATE_OPEN]).unwrap();
    let mut reason = String::new();
    stream.read_to_string(&mut reason).unwrap();
    (reason, child.wait_with_output().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_program_takes_the_place_of_what_waited_when_the_gate_opens() {
    let (child, mut stream, _directory) =
        waiting(&["sh", "-c", "echo $$ \"$1\"; exit 3", "sh", "--directory"]);
    let process = child.id();
    stream.write_all(&[GATE_OPEN]).unwrap();
    let mut reason = String::new();
    stream.read_to_string(&mut reason).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(reason, "");
    assert_eq!(text(&output.stdout), format!("{process} --directory\n"));
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(3)));
}

#[test]
fn the_gate_is_not_inherited_by_the_program() {
    // It would keep labctl waiting for as long as the program runs.
    let (mut child, mut stream, _directory) = waiting(&["sleep", "infinity"]);
    stream.write_all(&[GATE_OPEN]).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_program_that_cannot_be_run_is_told_over_the_gate_and_by_the_exit_code() {
    let (reason, output) = opened(&["no-such-program"]);
    assert!(reason.starts_with("cannot run 'no-such-program': "), "{reason}");
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(text(&output.stderr), format!("error: {reason}\n"));
    let (reason, output) = opened(&["/"]);
    assert!(reason.starts_with("cannot run '/': "), "{reason}");
    assert_eq!(output.status.code(), Some(126));
}

#[test]
fn without_a_gate_or_when_it_is_given_up_nothing_is_run() {
    let (child, stream, directory) = waiting(&["echo", "ran"]);
    drop(stream);
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));

    std::fs::remove_file(directory.path().join(GATE_FILE)).unwrap();
    let output = start(directory.path(), "no", &["echo", "ran"]).wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
    assert!(text(&output.stderr).contains("gate.sock"), "{}", text(&output.stderr));
}

/// A program that writes a line each time that it is started, and whose runs end differently.
const RUNS: &str = "echo run >> \"$1/runs\"; n=$(wc -l < \"$1/runs\")";

/// Runs it, restarted as this policy says, with the gate open. Its runs, and its code.
fn restarted(policy: &str, script: &str) -> (usize, Option<i32>) {
    let place = tempfile::tempdir().unwrap();
    let script = format!("{RUNS}; {script}");
    let (child, mut stream, _directory) =
        waiting_with(policy, &["sh", "-c", &script, "sh", place.path().to_str().unwrap()]);
    stream.write_all(&[GATE_OPEN]).unwrap();
    let code = child.wait_with_output().unwrap().status.code();
    (std::fs::read_to_string(place.path().join("runs")).unwrap().lines().count(), code)
}

#[test]
fn a_program_that_fails_is_started_again_until_it_succeeds() {
    assert_eq!(restarted("on-failure", "[ $n = 3 ]"), (3, Some(0)));
    assert_eq!(restarted("on-failure", "exit 0"), (1, Some(0)));
    assert_eq!(restarted("no", "exit 4"), (1, Some(4)));
    assert_eq!(restarted("on-failure", "[ $n = 2 ] || kill -9 $$"), (2, Some(0)));
}

#[test]
fn a_program_that_is_always_restarted_ends_with_a_signal() {
    let ended = "[ $n = 1 ] && exit 0; kill $PPID; exec sleep 600";
    assert_eq!(restarted("always", ended), (2, Some(128 + 15)));
    let stopped = "trap 'exit 9' TERM; [ $n = 1 ] && exit 1; kill $PPID; while :; do sleep 0.01; done";
    assert_eq!(restarted("always", stopped), (2, Some(9)), "the signal is handed on to the program");
}

#[test]
fn the_gate_is_told_if_a_kept_program_cannot_be_started() {
    let (child, mut stream, _directory) = waiting_with("always", &["/no/such/program"]);
    stream.write_all(&[GATE_OPEN]).unwrap();
    let mut reason = String::new();
    stream.read_to_string(&mut reason).unwrap();
    assert!(reason.contains("cannot run '/no/such/program'"), "{reason}");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(127));
}

#[test]
fn the_gate_closes_when_a_kept_program_runs() {
    let (mut child, mut stream, _directory) = waiting_with("always", &["sleep", "600"]);
    stream.write_all(&[GATE_OPEN]).unwrap();
    let mut reason = String::new();
    stream.read_to_string(&mut reason).unwrap();
    assert_eq!((reason.as_str(), child.try_wait().unwrap()), ("", None));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}
