//! Runs every command that stands in the README and in the pages below, as a reader would: with an installed labctl, in an
//! empty folder, in the page's order. Needs root, and the node program next to the tests' own directory.
//!
//! - A block of `sh` is run.
//! - In a block of `console`, what follows `$ ` is run, and the lines below it are what it must say.
//! - A block of `sh by-hand` is not run. Each of its commands stands in [`BY_HAND`], with the reason.
//! - No other block may have a command in it: so that a new one is run, or is given a reason.
//!
//! Each page has a network and labs of its own, and pages are run one after another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pages_common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pages_common::{blocks, document};
use tempfile::TempDir;

/// No page takes longer; a command that hangs must not hold up all tests.
const PATIENCE: Duration = Duration::from_secs(900);

/// All pages whose commands are run here. The handouts have a test of their own.
const PAGES: [&str; 4] = ["README.md", "docs/wan.md", "docs/search.md", "docs/call.md"];

/// Commands that are not run, and why.
const BY_HAND: [(&str, &str); 18] = [
    ("git clone URL labctl && cd labctl", "the test is in a clone"),
    ("make demo", "builds everything anew; `labctl reproduce`, which it calls then, is run"),
    ("make test", "this test is a part of it"),
    ("make build", "builds everything anew; every test's programs are built by the same command"),
    ("export PATH=\"$PWD/bin:$PATH\"", "the test has an installed labctl in its PATH"),
    ("sudo make install", "would change the machine; tests/install.rs installs into a folder"),
    (
        "sudo labctl up thousand-homes --runtime embedded",
        "minutes, and most of a small machine's memory; `bench/scale`",
    ),
    ("sudo labctl experiment login --first-time", "see thousand-homes"),
    ("sudo labctl down", "see thousand-homes"),
    ("docker-compose up -d", "needs Docker Engine and an image; `make compose-test`"),
    ("docker-compose exec labctl labctl up topologies/quickstart.yaml", "see docker-compose up"),
    ("docker-compose exec labctl labctl down", "see docker-compose up"),
    ("docker-compose down", "see docker-compose up"),
    (
        "labctl experiment search search-500 --mutual --runtime embedded",
        "500 clients: minutes; `docs/search.md` says how many",
    ),
    (
        "labctl experiment call --matrix",
        "576 calls in real time: 20 minutes; tests/call_paths.rs has some of each kind",
    ),
    ("labctl nat check", "every profile: two minutes; tests/nat_classify.rs classifies them"),
    ("labctl reproduce --trials 30 --html report.html", "minutes; the same with fewer trials is run"),
    ("man labctl", "opens a pager; tests/install.rs finds the page"),
];

/// What a line begins with that is a command.
const PROGRAMS: [&str; 12] = [
    "labctl",
    "make",
    "sudo",
    "docker",
    "docker-compose",
    "git",
    "export",
    "tshark",
    "man",
    "cargo",
    "curl",
    "apt-get",
];

/// The files that commands of a page read, by name.
const FILES: [(&str, &str); 1] = [(
    "lab.yaml",
    "name: typo\nwan:\n  regions: [here]\n  rtt: { here/here: 20ms }\nsites:\n  home:\n    gateway: {nat: \
     port-restrictd}\n    nodes: { alice: { command: [sleep, infinity] } }\n",
)];

/// What is to be run of a page, as one script for bash.
fn script(path: &str) -> String {
    let mut script = String::new();
    for (info, body) in blocks(&document(path)) {
        match info.as_str() {
            "sh" => script.extend([body.as_str(), "\n"]),
            "sh by-hand" => body.lines().for_each(|line| by_hand(path, line)),
            "console" => script += &console(&body),
            _ => {
                let command = body.lines().find(|line| is_command(line));
                assert_eq!(
                    command, None,
                    "{path}: a command in a block that is not run; begin it with ```sh"
                );
            }
        }
    }
    assert!(!script.is_empty(), "{path} has no command to run");
    script
}

fn is_command(line: &str) -> bool {
    let mut words = line.trim_start_matches("$ ").split_whitespace();
    let first = words.next();
    first.is_some_and(|first| PROGRAMS.contains(&first)) && words.next().is_some()
}

fn by_hand(path: &str, line: &str) {
    let command = line.split('#').next().unwrap().trim();
    if !command.is_empty() {
        let known = BY_HAND.iter().any(|(known, _)| *known == command);
        assert!(known, "{path}: '{command}' is not run: why not? (BY_HAND in tests/documents.rs)");
    }
}

/// Commands with what they must say, on whichever output, whatever their exit code.
fn console(body: &str) -> String {
    let mut script = String::new();
    for part in format!("\n{body}").split("\n$ ").filter(|part| !part.trim().is_empty()) {
        let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
        let quoted = expected.trim_end().replace('\'', "'\\''");
        let _ = writeln!(script, "said=$({{ set +x; }} 2>/dev/null; {{ {command}; }} 2>&1 || true)");
        let _ =
            writeln!(script, "if [ \"$said\" != '{quoted}' ]; then echo \"it says: $said\" >&2; exit 1; fi");
    }
    script
}

/// Where labctl is installed for all of these tests.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<TempDir> = OnceLock::new();
    let folder = PREFIX.get_or_init(|| {
        let programs = Path::new(env!("CARGO_BIN_EXE_labctl")).parent().unwrap();
        assert!(programs.join("overlay-node").exists(), "this test needs it: cargo build -p overlay-node");
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("make")
            .args(["--no-print-directory", "-C", concat!(env!("CARGO_MANIFEST_DIR"), "/..")])
            .arg("install")
            .arg(format!("PREFIX={}", folder.path().display()))
            .arg(format!("BIN={}", programs.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "make install:\n{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path()
}

/// Runs a page's commands in an empty folder and a world of their own, and gives what they wrote to standard output, and
/// the folder.
fn run(path: &str) -> (String, TempDir) {
    // Control groups know no world: two labs of one name must not be there at once.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let said = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { said.path().join(name) };
    for (name, text) in FILES {
        fs::write(folder.path().join(name), text).unwrap();
    }
    // No lab but the page's own is to be seen, and whatever is left ends with it. Root needs no sudo.
    let world = "mkdir -p /run/netns /run/labctl; mount -t tmpfs tmpfs /run/netns; mount -t tmpfs tmpfs /run/labctl; \
                 ip link set lo up; sudo() { \"$@\"; }; set -euxo pipefail;\n";
    let mut child = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
        ])
        .args(["bash", "-c", &format!("{world}{}", script(path))])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{}", prefix().join("bin").display(), std::env::var("PATH").unwrap()))
        .env("LABCTL_RUNTIME", "embedded")
        .stdin(Stdio::null())
        .stdout(fs::File::create(file("stdout")).unwrap())
        .stderr(fs::File::create(file("stderr")).unwrap())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let said = |name: &str| String::from_utf8_lossy(&fs::read(file(name)).unwrap()).into_owned();
    let (out, err) = (said("stdout"), said("stderr"));
    let succeeded = status.is_some_and(|status| status.success());
    assert!(succeeded, "{path}: {status:?}\n--- output\n{out}\n--- errors\n{err}");
    (out, folder)
}

#[test]
fn the_readme_s_commands_run_in_their_order() {
    let (out, folder) = run("README.md");
    assert!(out.contains("3 received"), "the ping through alice's namespace: {out}");
    // The report of Exp A, B and C.
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(["expA", "expB", "expC"].iter().all(|name| page.contains(&format!("login-ladder-{name}"))));
    assert!(!page.contains("They differ") && page.len() < 3_000_000);
}

#[test]
fn the_commands_about_the_wan_run() {
    run("docs/wan.md");
}

#[test]
fn the_commands_about_searches_run() {
    run("docs/search.md");
}

#[test]
fn the_commands_about_calls_run() {
    run("docs/call.md");
}

#[test]
fn a_command_in_a_block_that_is_not_run_is_noticed() {
    assert!(is_command("labctl up quickstart") && is_command("$ labctl validate lab.yaml"));
    assert!(!is_command("error: lab.yaml:7:20: unknown nat") && !is_command("labctl"));
    for (command, why) in BY_HAND {
        assert!(!why.is_empty());
        let stands = PAGES.iter().any(|page| document(page).contains(command));
        assert!(stands, "'{command}' stands in no page any more");
    }
}

#[test]
fn what_a_command_says_is_compared() {
    let script = console("$ echo one\none\n$ echo \"it's\"; false\nit's");
    let run = |script: &str| Command::new("bash").args(["-euc", script]).output().unwrap().status.success();
    assert!(run(&script), "{script}");
    assert!(!run(&console("$ echo one\ntwo")));
}
