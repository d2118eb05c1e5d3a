//! Runs the commands of the handouts in docs/labs, as a student does: an ordinary user without Docker, for each document
//! another one. So labs that have the names that the documents give them are in nobody's way. Needs root, to be those
//! users, `jq`, and the node program next to the tests' own directory.
//!
//! Blocks that begin with ```sh are run in their order, as one script. A block that begins with ```sh check follows the
//! blocks of the teacher's answers, which write the file that it checks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pages_common;
mod user_common;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pages_common::{blocks, document};
use user_common::User;

/// No document takes a quarter of that; a command that hangs must not hold up all tests.
const PATIENCE: Duration = Duration::from_secs(1_200);

fn script(page: &str, answers: Option<&str>) -> String {
    let mut script = String::new();
    for (info, body) in blocks(page) {
        if info == "sh check" {
            let answers = blocks(answers.unwrap()).into_iter().filter(|(info, _)| info == "sh");
            answers.for_each(|(_, body)| script = format!("{script}{body}\n"));
        }
        if info == "sh" || info == "sh check" {
            script = format!("{script}{body}\n");
        }
    }
    assert!(!script.is_empty(), "the document has no commands");
    script
}

/// Runs a script as a user of its own, whose labs end with it, and gives what it wrote to standard output.
fn run(script: &str) -> String {
    let user = User::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let mut command = Command::new("bash");
    user.adopt(&mut command);
    let mut child = command
        .args(["-euo", "pipefail", "-x", "-c", script])
        .env("PATH", user.path())
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(file("stdout.txt")).unwrap())
        .stderr(std::fs::File::create(file("stderr.txt")).unwrap())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            break None;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let said = |name: &str| String::from_utf8_lossy(&std::fs::read(file(name)).unwrap()).into_owned();
    let (out, err) = (said("stdout.txt"), said("stderr.txt"));
    let succeeded = status.is_some_and(|status| status.success());
    assert!(succeeded, "{status:?}\n--- output\n{out}\n--- errors\n{err}");
    out
}

/// The handout's commands, with the teacher's answers before they are checked.
fn lesson(number: u8) -> String {
    let handout = document(&format!("docs/labs/lesson-{number}.md"));
    let answers = document(&format!("docs/labs/answers/lesson-{number}.md"));
    let out = run(&script(&handout, Some(&answers)));
    let verdict = out.lines().rev().find(|line| line.contains(" are right")).expect("a verdict").to_owned();
    let (right, all) = verdict.trim_end_matches(" are right").split_once(" of ").unwrap();
    assert_eq!(right, all, "{out}");
    out
}

#[test]
fn lesson_1_finds_every_nat_type() {
    let out = lesson(1);
    assert!(
        out.contains("port-restricted\tport-restricted") && out.contains("udp-blocked\tudp-blocked"),
        "{out}"
    );
}

#[test]
fn lesson_2_logs_in_in_the_three_set_ups() {
    let out = lesson(2);
    assert!(out.contains("udp-to-carol"), "{out}");
}

#[test]
fn lesson_3_punches_a_hole_between_port_restricted_nats_and_none_to_a_symmetric_one() {
    let out = lesson(3);
    assert!(out.contains("no way in") && out.contains("no hole") && out.contains("neither way"), "{out}");
    assert!(out.contains("from 198.18.0.4:4000: it is ann"), "ben heard nothing of ann:\n{out}");
    assert!(out.contains("from 198.18.0.5:4000: it is ben"), "ann heard nothing of ben:\n{out}");
}

#[test]
fn lesson_4_searches() {
    let out = lesson(4);
    assert!(out.contains("cold\tonline"), "{out}");
}

#[test]
fn lesson_5_calls_straight_and_through_a_relay() {
    let out = lesson(5);
    assert!(out.contains("straight to bob") && out.contains("TCP, relayed by"), "{out}");
}

#[test]
fn an_answer_to_no_question_is_refused_with_the_questions_that_there_are() {
    let script = "
labctl lesson 1 --questions > form.yaml
grep -q '^nat-of-public:' form.yaml
printf 'no-such-question: 1\\n' > answers.yaml
if labctl lesson 1 --check answers.yaml 2> message; then exit 1; fi
grep \"no question 'no-such-question'\" message";
    assert!(run(script).contains("it has: nat-of-public"));
}
