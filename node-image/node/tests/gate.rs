//! `overlay-node run` as labctl uses it: a gate, a byte, and then another program.

#![expect(clippy::unwrap_used, reason = "a test whose case cannot be set up has failed")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use overlay_control::{GATE_FILE, GATE_OPEN};
use tempfile::TempDir;

/// Starts a program that waits at the gate of this directory.
fn start(directory: &Path, program: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_overlay-node"))
        .args(["run", "--directory", directory.to_str().unwrap(), "--"])
        .args(program)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A program that waits, and the other end of its connection.
fn waiting(program: &[&str]) -> (Child, UnixStream, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let gate = UnixListener::bind(directory.path().join(GATE_FILE)).unwrap();
    let child = start(directory.path(), program);
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
    let output = start(directory.path(), &["echo", "ran"]).wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
    assert!(text(&output.stderr).contains("gate.sock"), "{}", text(&output.stderr));
}
