//! Programs of the host and of images as nodes of a lab. Needs root and the programs of the
//! Debian packages stun-client and stun-server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use lab_common::{LABCTL, On, TestLab, labctl, run, text, wait_until};

on_both_runtimes!(
    stun_programs_of_the_host_find_out_the_nats_that_they_are_behind,
    a_program_that_is_not_there_rolls_everything_back,
    clients_log_in_beside_a_program_that_has_ended,
);

/// A STUN server, and its client behind three kinds of NAT.
const STUN: &str = "\
name: NAME
nodes:
  stund: { addresses: 2, command: [stund, -h, '{address}', -a, '{address.2}'] }
sites:
  home:
    gateway: { nat: port-restricted }
    nodes:
      client: { command: 'stun {address:stund}' }
      idle: { command: [sleep, infinity], environment: { SERVER: '{address:stund}' } }
  cone: { gateway: { nat: full-cone }, nodes: { client-cone: { command: 'stun {address:stund}' } } }
  office: { gateway: { nat: symmetric }, nodes: { client-sym: { command: 'stun {address:stund}' } } }
";

fn container(lab: &TestLab, node: &str) -> String {
    format!("lab-{}-{node}", lab.name)
}

/// Waits until a node's program has ended. Its exit code.
fn ended(lab: &TestLab, node: &str) -> i64 {
    let code = || {
        let state = member(lab, node)["state"].as_str().unwrap().to_owned();
        state.strip_prefix("exited with ").map(|code| code.parse().unwrap())
    };
    wait_until(|| code().is_some(), || format!("{node} does not end"));
    code().unwrap()
}

/// What the lab says of a node.
fn member(lab: &TestLab, node: &str) -> serde_json::Value {
    let listed = lab.listed();
    listed["members"].as_array().unwrap().iter().find(|member| member["name"] == node).unwrap().clone()
}

/// The line of the STUN client's verdict.
fn verdict(output: &[u8]) -> String {
    let output = text(output);
    let line = output.lines().find_map(|line| line.strip_prefix("Primary:"));
    line.unwrap_or_else(|| panic!("stun said: {output}")).trim().to_owned()
}

fn stun_programs_of_the_host_find_out_the_nats_that_they_are_behind(on: On) {
    let lab = TestLab::of("tprog", STUN).with(on);
    lab.up();

    // As nodes: they ran once, and what they wrote stays to be read.
    for (node, class) in [
        ("client", "Independent Mapping, Port Dependent Filter, preserves ports"),
        ("client-cone", "Independent Mapping, Independent Filter, preserves ports"),
        ("client-sym", "Dependent Mapping"),
    ] {
        let code = ended(&lab, node);
        let found = verdict(&lab.labctl("logs", &[node]).stdout);
        assert!(found.starts_with(class), "{node}: {found}");
        assert_eq!(member(&lab, node)["state"], format!("exited with {code}"));
    }
    // By hand, in the network of a node that waits.
    let server = member(&lab, "stund");
    let addresses = server["addresses"].as_array().unwrap();
    assert_eq!((server["role"].as_str(), addresses.len()), (Some("program"), 2));
    let by_hand = lab.labctl("exec", &["idle", "--", "stun", addresses[1].as_str().unwrap()]);
    let found = verdict(&by_hand.stdout);
    assert!(found.starts_with("Independent Mapping, Port Dependent Filter"), "{found}");

    // Programs that have come to their end do not make the lab less than whole.
    assert_eq!(lab.listed()["condition"], "running");
    assert_eq!(server["state"], "running");
    if on == On::Docker {
        assert!(run("docker", &["rm", "--force", &container(&lab, "client")]).status.success());
        assert_eq!(lab.listed()["condition"], "partial");
    }

    let numbers = lab.namespace_numbers();
    assert!(lab.labctl("down", &[]).status.success());
    lab.assert_nothing_left(&numbers);
}

#[test]
fn a_program_of_the_host_is_confined() {
    if !On::Docker.is_there() {
        return;
    }
    let lab = TestLab::of("tprog", STUN);
    lab.up();
    let name = container(&lab, "idle");
    let inspected = run("docker", &["inspect", &name]);
    let container = &serde_json::from_slice::<serde_json::Value>(&inspected.stdout).unwrap()[0];
    let host = &container["HostConfig"];
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert!(host["Memory"].as_i64().unwrap() > 0 && host["PidsLimit"].as_i64().unwrap() > 0);
    assert!(container["Mounts"].as_array().unwrap().iter().all(|mount| mount["RW"] == false));

    // It has become the program itself, with its environment.
    let process = container["State"]["Pid"].as_i64().unwrap();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    assert_eq!(read("cmdline"), "sleep\0infinity\0");
    assert!(read("environ").contains("SERVER=198.18.0.2\0"), "{}", read("environ"));
    let status = read("status");
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        assert!(status.contains(&format!("{field}:\t0000000000000000")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Uid:\t65534"), "{status}");

    // It sees the host's programs, not its files, its processes, or the lab's directory.
    let inside = |script: &str| run("docker", &["exec", &name, "sh", "-c", script]);
    assert!(inside("command -v stun && touch /tmp/x && touch /run/x").status.success());
    for script in
        ["ls /root", "ls /home", "cat /etc/shadow", "touch /usr/x", "touch /x", "rm /run/overlay/gate.sock"]
    {
        assert!(!inside(script).status.success(), "{script}");
    }
    assert!(!inside(&format!("ls /proc/{}", std::process::id())).status.success());
    assert_eq!(text(&inside("ls /run/labctl 2>&1; echo $PWD").stdout).lines().last(), Some("/"));
}

#[test]
fn an_image_without_an_engine_is_told_before_anything_is_made() {
    let lab =
        TestLab::of("tprog", "name: NAME\nnodes: { a: { image: 'tprog-none:1' } }\n").with(On::Embedded);
    let up = labctl(&["up", "--runtime", "embedded", lab.topology().to_str().unwrap()]);
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(
        message.contains("'tprog-none:1' needs Docker Engine") && message.contains("command:"),
        "{message}"
    );
    assert!(!message.contains("making the WAN"), "{message}");
    lab.assert_nothing_left(&BTreeSet::new());
}

/// An image of this test alone, with labctl as its program; removed at the end.
struct TestImage(String);

impl TestImage {
    fn new() -> Self {
        let name = format!("tprog-image:p{}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(LABCTL, directory.path().join("program")).unwrap();
        let mut tar = Command::new("tar")
            .args(["--create", "--directory", directory.path().to_str().unwrap(), "program"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let imported = Command::new("docker")
            .args([
                "import",
                "--change",
                "ENTRYPOINT [\"/program\"]",
                "--change",
                "CMD [\"--help\"]",
                "-",
                &name,
            ])
            .stdin(tar.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(tar.wait().unwrap().success() && imported.status.success(), "{}", text(&imported.stderr));
        Self(name)
    }
}

impl Drop for TestImage {
    fn drop(&mut self) {
        // First what labctl made on top of it.
        let made = run(
            "docker",
            &["image", "ls", "--quiet", "--filter", &format!("since={}", self.0), "labctl/program"],
        );
        for image in text(&made.stdout).lines().chain([self.0.as_str()]) {
            let _ = run("docker", &["image", "rm", image]);
        }
    }
}

#[test]
fn an_image_runs_its_own_program_or_with_arguments_of_the_topology() {
    if !On::Docker.is_there() {
        return;
    }
    let image = TestImage::new();
    let topology = format!(
        "name: NAME\nnodes:\n  own: {{ image: '{0}' }}\n  told: {{ image: '{0}', command: --version, count: 2 }}\n",
        image.0
    );
    let lab = TestLab::of("tprog", &topology);
    lab.up();
    assert_eq!((ended(&lab, "own"), ended(&lab, "told-2")), (0, 0));
    let help = text(&lab.labctl("logs", &["own"]).stdout);
    assert!(help.contains("Usage: program <COMMAND>") || help.contains("Usage: labctl <COMMAND>"), "{help}");
    let version = text(&lab.labctl("logs", &["told-2"]).stdout);
    assert_eq!(version, format!("labctl {}\n", env!("CARGO_PKG_VERSION")));
    assert!(lab.labctl("down", &[]).status.success());
    lab.assert_nothing_left(&BTreeSet::new());
}

#[test]
fn an_image_that_is_not_there_is_told_before_anything_is_made() {
    if !On::Docker.is_there() {
        return;
    }
    let lab = TestLab::of(
        "tprog",
        "name: NAME\nnodes: { a: { image: 'tprog-none:1' }, b: { command: 'sleep 9' } }\n",
    );
    let up = labctl(&["up", lab.topology().to_str().unwrap()]);
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(message.contains("no image 'tprog-none:1'") && message.contains("docker load"), "{message}");
    assert!(!message.contains("making the WAN"), "{message}");
    lab.assert_nothing_left(&BTreeSet::new());
}

fn a_program_that_is_not_there_rolls_everything_back(on: On) {
    let lab = TestLab::of(
        "tprog",
        "name: NAME\nnodes: { a: { command: no-such-program }, b: { command: 'sleep 9' } }\n",
    )
    .with(on);
    let up = labctl(&["up", "--runtime", on.word(), lab.topology().to_str().unwrap()]);
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(
        message.contains("node a")
            && message.contains("cannot run 'no-such-program'")
            && message.contains("install it"),
        "{message}"
    );
    lab.assert_nothing_left(&BTreeSet::new());
}

fn clients_log_in_beside_a_program_that_has_ended(on: On) {
    let lab = TestLab::of(
        "tprog",
        "\
name: NAME
overlay: { host_cache: { entries: 3, stale: 0% } }
nodes:
  login: { role: login-server }
  sn: { role: super-node, addresses: 3 }
  failed: { command: 'false' }
  user: { role: client }
",
    )
    .with(on);
    lab.up();
    assert_eq!(ended(&lab, "failed"), 1);
    let runs = tempfile::tempdir().unwrap();
    let arguments = ["login", "--lab", &lab.name, "--trials", "1", "--runs", runs.path().to_str().unwrap()];
    let measured = labctl(&[&["experiment"], &arguments[..]].concat());
    assert!(measured.status.success(), "{}", text(&measured.stderr));
    assert_eq!(member(&lab, "failed")["state"], "exited with 1");
}
