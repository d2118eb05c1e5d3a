//! Up, ps, exec, logs and down of real labs, on each runtime. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use lab_common::{GATEWAYS, LABCTL, NODES, On, TestLab, labctl, run, text, wait_until};

on_both_runtimes!(
    a_lab_comes_up_is_used_and_goes_without_a_trace,
    two_labs_of_one_topology_run_side_by_side,
    a_lab_with_a_dead_node_is_partial,
);

fn a_lab_comes_up_is_used_and_goes_without_a_trace(on: On) {
    let lab = TestLab::on(on);
    let up = lab.up();
    let table = text(&up.stdout);
    for member in NODES.iter().chain(&GATEWAYS) {
        assert!(table.contains(member), "{member} is not in:\n{table}");
    }

    let listed = lab.listed();
    assert_eq!((&listed["condition"], &listed["runtime"]), (&"running".into(), &on.word().into()));
    let members = listed["members"].as_array().unwrap();
    assert_eq!(members.len(), NODES.len() + GATEWAYS.len());
    for member in members {
        let state = member["state"].as_str().unwrap();
        assert!(matches!(state, "running" | "up"), "{member}");
    }

    // The node's own network, and through its gateway the WAN.
    let address = lab.labctl("exec", &["user-1", "--", "ip", "-brief", "address", "show", "eth0"]);
    assert!(text(&address.stdout).contains("192.168.1."), "{}", text(&address.stdout));
    let server = members.iter().find(|member| member["name"] == "login").unwrap();
    let server = server["addresses"][0].as_str().unwrap();
    let ping = lab.labctl("exec", &["user-1", "--", "ping", "-c", "1", "-W", "10", server]);
    assert!(ping.status.success(), "{}", text(&ping.stdout));
    let core = lab.labctl("exec", &["wan", "--", "ls", "/sys/class/net"]);
    assert!(text(&core.stdout).contains("home-1"), "{}", text(&core.stdout));

    // A command's exit code is labctl's.
    assert_eq!(lab.labctl("exec", &["sn-1", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(lab.labctl("exec", &["sn-1", "--", "no-such-program"]).status.code(), Some(127));

    let unknown = lab.labctl("exec", &["usr-1", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(1));
    let message = text(&unknown.stderr);
    assert!(message.contains("did you mean 'user-1'?") && message.contains("home-2"), "{message}");

    assert!(lab.labctl("logs", &["user-1"]).status.success());
    let unknown = lab.labctl("logs", &["home-1"]);
    assert!(text(&unknown.stderr).contains("has no node 'home-1'"), "{}", text(&unknown.stderr));

    // A second time changes nothing.
    let again = labctl(&["up", "--runtime", on.word(), lab.topology().to_str().unwrap()]);
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("is already up"), "{}", text(&again.stderr));
    assert_eq!(lab.listed()["condition"], "running");

    let numbers = lab.namespace_numbers();
    assert_eq!(numbers.len(), NODES.len() + GATEWAYS.len() + 1);
    let down = lab.labctl("down", &[]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    lab.assert_nothing_left(&numbers);

    let down = lab.labctl("down", &[]);
    assert!(!down.status.success());
    assert!(text(&down.stderr).contains("there is no lab"), "{}", text(&down.stderr));
    lab.assert_nothing_left(&numbers);
}

fn two_labs_of_one_topology_run_side_by_side(on: On) {
    let (one, other) = (TestLab::on(on), TestLab::on(on));
    one.up();
    let topology = one.topology();
    let up =
        labctl(&["up", "--quiet", "--runtime", on.word(), topology.to_str().unwrap(), "--name", &other.name]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert_eq!(text(&up.stderr), "");
    assert_eq!(one.listed()["condition"], "running");
    assert_eq!(other.listed()["condition"], "running");

    let ambiguous = labctl(&["exec", "user-1", "--", "true"]);
    assert!(text(&ambiguous.stderr).contains("say which one"), "{}", text(&ambiguous.stderr));

    assert!(one.labctl("down", &[]).status.success());
    one.assert_nothing_left(&BTreeSet::new());
    assert_eq!(other.listed()["condition"], "running");
}

#[test]
fn a_container_is_confined() {
    if !On::Docker.is_there() {
        return;
    }
    let lab = TestLab::new();
    lab.up();
    let inspected = run("docker", &["inspect", &format!("lab-{}-user-1", lab.name)]);
    let container = &serde_json::from_slice::<serde_json::Value>(&inspected.stdout).unwrap()[0];
    let host = &container["HostConfig"];
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["CapDrop"][0], "ALL");
    assert_eq!(host["SecurityOpt"][0], "no-new-privileges:true");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    assert!(host["Memory"].as_i64().unwrap() > 0);
    assert!(host["PidsLimit"].as_i64().unwrap() > 0);
    assert_eq!(container["Config"]["User"], "65534:65534");
    // The kernel's view of it: no capability at all, and none to be had.
    let process = container["State"]["Pid"].as_i64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        assert!(status.contains(&format!("{field}:\t0000000000000000")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"));
    // Nobody but root gets at the control sockets.
    let mode = |path: String| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(format!("/run/labctl/{}", lab.name)), 0o700);
    assert_eq!(mode(format!("/run/labctl/{}/nodes/user-1", lab.name)), 0o700);
}

fn a_lab_with_a_dead_node_is_partial(on: On) {
    let lab = TestLab::on(on);
    lab.up();
    lab.kill_node("sn-2");
    // Whoever collects the container knows of it a little later than the kernel.
    wait_until(|| lab.listed()["condition"] == "partial", || lab.listed().to_string());
    let listed = lab.listed();
    assert_eq!(listed["condition"], "partial");
    let missing = listed["missing"][0].as_str().unwrap();
    assert!(missing.contains("sn-2"), "{missing}");
    assert!(lab.labctl("down", &[]).status.success());
    lab.assert_nothing_left(&BTreeSet::new());
}

#[test]
fn a_node_program_that_ends_at_once_rolls_everything_back() {
    if !On::Docker.is_there() {
        return;
    }
    let lab = TestLab::new();
    // labctl without arguments shows its help and ends.
    let up = Command::new(LABCTL)
        .args(["up", "--runtime", "docker"])
        .arg(lab.topology())
        .env("LABCTL_NODE", LABCTL)
        .output()
        .unwrap();
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(
        message.contains("ended at its start (exited with 2)") || message.contains("has ended"),
        "{message}"
    );
    assert!(message.contains("Print version"), "{message}");
    let image = message.split(['(', ',']).find(|word| word.starts_with("labctl/node:")).unwrap();
    assert!(run("docker", &["image", "rm", image]).status.success());
    lab.assert_nothing_left(&BTreeSet::new());
}

#[test]
fn without_an_engine_that_was_asked_for_nothing_is_changed() {
    let lab = TestLab::new();
    let up = Command::new(LABCTL)
        .args(["up", "--runtime", "docker"])
        .arg(lab.topology())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    assert_eq!(up.status.code(), Some(1));
    assert!(text(&up.stderr).contains("systemctl start docker"), "{}", text(&up.stderr));
    lab.assert_nothing_left(&BTreeSet::new());

    let doctor = Command::new(LABCTL)
        .args(["doctor", "--json"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .env("LABCTL_RUNTIME", "docker")
        .output()
        .unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let missing: Vec<_> = checks.iter().filter(|check| check["verdict"] == "missing").collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0]["need"], "Docker Engine");
}

#[test]
fn without_an_engine_a_lab_is_embedded() {
    let mut lab = TestLab::on(On::Embedded);
    lab.choice = None;
    lab.environment = vec![("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let up = lab.up();
    assert!(text(&up.stdout).contains("(embedded)"), "{}", text(&up.stdout));
    assert_eq!(lab.listed()["runtime"], "embedded");
    let doctor = Command::new(LABCTL)
        .arg("doctor")
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    assert!(doctor.status.success(), "{}", text(&doctor.stdout));
}

#[test]
fn a_word_that_is_no_runtime_is_refused() {
    let lab = TestLab::new();
    for (arguments, variable) in [(["--runtime", "podman"].as_slice(), "auto"), (&[], "podman")] {
        let up = Command::new(LABCTL)
            .arg("up")
            .args(arguments)
            .arg(lab.topology())
            .env("LABCTL_RUNTIME", variable)
            .output()
            .unwrap();
        assert!(!up.status.success());
        let message = text(&up.stderr);
        assert!(message.contains("podman") && message.contains("embedded"), "{message}");
    }
    lab.assert_nothing_left(&BTreeSet::new());
}

#[test]
fn an_ordinary_user_is_told_what_docker_engine_takes() {
    let lab = TestLab::new();
    // Where an ordinary user can reach it.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("labctl");
    std::fs::copy(LABCTL, &program).unwrap();
    let topology = directory.path().join("lab.yaml");
    std::fs::copy(lab.topology(), &topology).unwrap();
    let up = Command::new(&program)
        .args(["up", "--runtime", "docker"])
        .arg(&topology)
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(message.contains("as root") && message.contains("--runtime embedded"), "{message}");
    lab.assert_nothing_left(&BTreeSet::new());
}

#[test]
fn this_machine_passes_the_doctor() {
    let doctor = labctl(&["doctor"]);
    assert!(doctor.status.success(), "{}", text(&doctor.stdout));
}
