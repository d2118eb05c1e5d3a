//! The keeper of a lab on the embedded runtime: what it owns, whom it answers, and how it ends. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use lab_common::{LABCTL, On, TestLab, run, text, wait_until};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Programs that wait, one that writes, one that writes far too much.
const PROGRAMS: &str = "\
name: NAME
nodes:
  idle: { command: [sleep, infinity], count: 5 }
  talker: { command: [sh, -c, 'echo to out; echo to err >&2; sleep infinity'] }
  flood: { command: [sh, -c, 'yes 0123456789abcdef | head -c 8000000; echo the end; sleep infinity'] }
";

fn programs() -> TestLab {
    TestLab::of("tkeep", PROGRAMS).with(On::Embedded)
}

fn socket(lab: &TestLab) -> String {
    format!("/run/labctl/{}/keeper.sock", lab.name)
}

fn children(pid: i32) -> Vec<i32> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap();
        children.extend(list.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()));
    }
    children
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn the_keeper_owns_the_containers_without_a_thread_for_each() {
    let lab = programs();
    lab.up();
    let keeper = lab.keeper();
    assert_eq!(children(keeper).len(), 7);
    let threads = fs::read_dir(format!("/proc/{keeper}/task")).unwrap().count();
    let processors = std::thread::available_parallelism().unwrap().get();
    assert!(threads <= processors + 2, "{threads} threads");
}

#[test]
fn an_idle_keeper_does_not_wake_up() {
    let lab = TestLab::of("tkeep", "name: NAME\nnodes: { idle: { command: [sleep, infinity], count: 3 } }\n")
        .with(On::Embedded);
    lab.up();
    let keeper = lab.keeper();
    let switches = || {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{keeper}/task")).unwrap().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            total += line.unwrap().trim().parse::<u64>().unwrap();
        }
        total
    };
    // `up` has just left: the end of its connection is the last thing that wakes the keeper.
    let quiet = || {
        let before = switches();
        std::thread::sleep(std::time::Duration::from_secs(1));
        switches() == before
    };
    wait_until(quiet, || "the keeper goes on waking up".to_owned());
}

#[test]
fn outputs_are_told_apart_and_bounded() {
    let lab = programs();
    lab.up();
    let logs = |node: &str| lab.labctl("logs", &[node]);
    wait_until(|| text(&logs("talker").stderr) == "to err\n", || "nothing was written".to_owned());
    assert_eq!(text(&logs("talker").stdout), "to out\n");
    wait_until(
        || text(&logs("flood").stdout).ends_with("the end\n"),
        || "the end of the output does not come".to_owned(),
    );
    let kept: u64 = fs::read_dir(format!("/run/labctl/{}/logs/flood", lab.name))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(((1 << 20)..=(2 << 20)).contains(&kept), "{kept} bytes are kept");
}

#[test]
fn following_a_log_ends_with_the_node() {
    let topology =
        "name: NAME\nnodes: { a: { command: [sh, -c, 'echo first; read x < /run/wait; echo last'] } }\n";
    // `read` fails at once for there is no such file: the program writes twice and ends.
    let lab = TestLab::of("tkeep", topology).with(On::Embedded);
    lab.up();
    let followed = lab.labctl("logs", &["--follow", "a"]);
    assert!(followed.status.success());
    assert_eq!(text(&followed.stdout), "first\nlast\n");
}

#[test]
fn what_a_killed_keeper_held_is_gone_or_found() {
    let lab = programs();
    lab.up();
    let (keeper, numbers) = (lab.keeper(), lab.namespace_numbers());
    let containers = children(keeper);
    kill(Pid::from_raw(keeper), Signal::SIGKILL).unwrap();
    let alive = || containers.iter().any(|pid| is_alive(*pid));
    wait_until(|| !alive(), || "containers outlive their keeper".to_owned());
    assert_eq!(lab.listed()["condition"], "leftover");
    let down = lab.labctl("down", &[]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    lab.assert_nothing_left(&numbers);
    assert_no_control_group(&lab);
}

#[test]
fn a_keeper_that_is_told_to_stop_ends_its_containers_first() {
    let lab = programs();
    lab.up();
    let (keeper, numbers) = (lab.keeper(), lab.namespace_numbers());
    let containers = children(keeper);
    kill(Pid::from_raw(keeper), Signal::SIGTERM).unwrap();
    wait_until(|| !is_alive(keeper), || "the keeper does not end".to_owned());
    assert!(!containers.iter().any(|pid| is_alive(*pid)));
    assert!(!fs::exists(socket(&lab)).unwrap());
    assert!(lab.labctl("down", &[]).status.success());
    lab.assert_nothing_left(&numbers);
    assert_no_control_group(&lab);
}

#[test]
fn a_container_ends_also_while_its_check_runs() {
    let topology = "\
name: NAME
nodes:
  a:
    command: [sleep, infinity]
    health:
      command: [sh, -c, 'test -e /tmp/once && exec sleep 1000; touch /tmp/once']
      interval: 100ms
      timeout: 60s
";
    let lab = TestLab::of("tkeep", topology).with(On::Embedded);
    lab.up();
    // The program, and the check that does not end.
    wait_until(|| children(lab.keeper()).len() == 2, || "no second check comes".to_owned());
    let numbers = lab.namespace_numbers();
    let down = lab.labctl("down", &[]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    lab.assert_nothing_left(&numbers);
    assert_no_control_group(&lab);
}

fn assert_no_control_group(lab: &TestLab) {
    for place in ["", "memory/", "pids/"] {
        let path = format!("/sys/fs/cgroup/{place}labctl-{}", lab.name);
        assert!(!fs::exists(&path).unwrap(), "{path} is left");
    }
}

/// What the keeper answers to these bytes, until it has nothing more to say.
fn said(lab: &TestLab, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket(lab)).unwrap();
    // It may close before all is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    said
}

#[test]
fn what_is_no_request_ends_the_connection_and_nothing_else() {
    let lab = programs();
    lab.up();
    assert_eq!(said(&lab, b"GET / HTTP/1.1\r\n\r\n"), "");
    assert_eq!(said(&lab, b"{\"id\":1,\"do\":\"make-coffee\"}\n"), "");
    assert_eq!(said(&lab, &vec![b'x'; 4 << 20]), "", "a line without an end");
    assert_eq!(said(&lab, b"{\"id\":1,\"do\":\"list\"}"), "", "a line that is not whole");
    // Many at a time, in one piece; each is answered by its number.
    let mut stream = UnixStream::connect(socket(&lab)).unwrap();
    let requests: Vec<_> = (0..300).map(|id| format!("{{\"id\":{id},\"do\":\"list\"}}\n")).collect();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(requests.concat().as_bytes()).unwrap());
    let mut ids: Vec<u64> = BufReader::new(&mut stream)
        .lines()
        .take(300)
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap()["id"].as_u64().unwrap()
        })
        .collect();
    writing.join().unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (0..300).collect::<Vec<_>>());
    assert_eq!(lab.listed()["condition"], "running");
}

const SOCKET_VARIABLE: &str = "LABCTL_TEST_SOCKET";

#[test]
fn the_socket_is_its_owners_alone() {
    let lab = programs();
    lab.up();
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket(&lab)), 0o600);
    assert_eq!(mode(&format!("/run/labctl/{}", lab.name)), 0o700);
    // Even if somebody opens every door to it, the keeper looks who comes.
    fs::set_permissions(socket(&lab), fs::Permissions::from_mode(0o666)).unwrap();
    let door = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(socket(&lab)).unwrap();
    assert_eq!(connect_as(&door, 65534), "connected and answered: \"\"");
    let answer = connect_as(&door, 0);
    assert!(answer.contains("containers"), "{answer}");
}

/// What [`helper_that_connects`] says as this user.
fn connect_as(door: &File, user: u32) -> String {
    fcntl(door, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let output = Command::new("/proc/self/exe")
        .args(["--exact", "helper_that_connects", "--ignored", "--nocapture"])
        .env(SOCKET_VARIABLE, format!("/proc/self/fd/{}", door.as_raw_fd()))
        .uid(user)
        .gid(user)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = text(&output.stdout);
    said.lines().find(|line| line.starts_with("connected")).unwrap_or(&said).to_owned()
}

#[test]
#[ignore = "a part of another test, which runs it as another user"]
fn helper_that_connects() {
    let mut stream = UnixStream::connect(std::env::var(SOCKET_VARIABLE).unwrap()).unwrap();
    let _ = stream.write_all(b"{\"id\":1,\"do\":\"list\"}\n");
    let mut line = String::new();
    let _ = BufReader::new(&mut stream).read_line(&mut line);
    println!("connected and answered: {line:?}");
}

#[test]
fn a_lab_on_the_other_runtime_is_not_taken_down_without_it() {
    if !On::Docker.is_there() {
        return;
    }
    let lab =
        TestLab::of("tkeep", "name: NAME\nnodes: { a: { command: [sleep, infinity] } }\n").with(On::Docker);
    lab.up();
    let down = Command::new(LABCTL)
        .args(["down", "--lab", &lab.name])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    assert!(!down.status.success());
    let message = text(&down.stderr);
    assert!(message.contains("made with the runtime 'docker'") && message.contains("systemctl"), "{message}");
    assert_eq!(lab.listed()["condition"], "running");
    let there = run("docker", &["ps", "--quiet", "--filter", &format!("label=labctl.lab={}", lab.name)]);
    assert_eq!(text(&there.stdout).lines().count(), 1);
}
