//! What is around a program: mounts, a root file system, restarts and health checks. On each runtime. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use lab_common::{On, TestLab, labctl, text, wait_until};

on_both_runtimes!(
    a_program_sees_what_is_mounted_for_it,
    a_mount_of_nothing_fails_and_leaves_nothing,
    a_directory_is_the_root_of_a_program,
    a_program_that_is_restarted_keeps_its_network,
    up_waits_for_what_has_a_health_check,
    up_fails_if_a_program_is_not_healthy,
);

/// A directory of the host that everybody may use.
fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    directory
}

fn logs(lab: &TestLab, node: &str) -> String {
    text(&lab.labctl("logs", &[node]).stdout)
}

/// What the lab says of a node.
fn state(lab: &TestLab, node: &str) -> String {
    let listed = lab.listed();
    let members = listed["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["name"] == node).unwrap();
    member["state"].as_str().unwrap().to_owned()
}

fn a_program_sees_what_is_mounted_for_it(on: On) {
    let shared = open_directory();
    fs::write(shared.path().join("in"), "from outside\n").unwrap();
    let path = shared.path().display();
    let topology = format!(
        "\
name: NAME
nodes:
  a:
    command: [sh, -c, 'cat /data/in; echo from inside > /out/a; echo x > /data/in; exec sleep infinity']
    mounts: ['{path}:/data:ro', '{path}:/out']
"
    );
    let lab = TestLab::of("bxm", &topology).with(on);
    lab.up();
    wait_until(|| logs(&lab, "a") == "from outside\n", || logs(&lab, "a"));
    let read = |name: &str| fs::read_to_string(shared.path().join(name)).unwrap_or_default();
    wait_until(|| read("a") == "from inside\n", || read("a"));
    assert_eq!(read("in"), "from outside\n");
}

fn a_mount_of_nothing_fails_and_leaves_nothing(on: On) {
    let topology = "name: NAME\nnodes: { a: { command: 'sleep 9', mounts: ['/bx/nothing:/data'] } }\n";
    let lab = TestLab::of("bxm", topology).with(on);
    let up = labctl(&["up", "--runtime", on.word(), lab.topology().to_str().unwrap()]);
    assert_eq!(up.status.code(), Some(1));
    assert!(text(&up.stderr).contains("/bx/nothing"), "{}", text(&up.stderr));
    lab.assert_nothing_left(&std::collections::BTreeSet::new());
}

fn a_directory_is_the_root_of_a_program(on: On) {
    let root = open_directory();
    fs::write(root.path().join("own"), "mine\n").unwrap();
    fs::create_dir_all(root.path().join("opt/bin")).unwrap();
    symlink("opt/bin", root.path().join("programs")).unwrap();
    fs::write(root.path().join("opt/bin/run"), "#!/bin/sh\ncat /own\nls /\nexec sleep infinity\n").unwrap();
    fs::set_permissions(root.path().join("opt/bin/run"), Permissions::from_mode(0o755)).unwrap();
    let host = ["/usr", "/bin", "/lib", "/lib64"].into_iter().filter(|path| fs::exists(path).unwrap());
    let mounts: Vec<_> = host.map(|path| format!("'{path}:{path}:ro'")).collect();
    let topology = format!(
        "name: NAME\nnodes: {{ a: {{ command: /programs/run, root: {}, mounts: [{}] }} }}\n",
        root.path().display(),
        mounts.join(", ")
    );
    let lab = TestLab::of("bxr", &topology).with(on);
    lab.up();
    wait_until(|| logs(&lab, "a").contains("usr"), || logs(&lab, "a"));
    let found = logs(&lab, "a");
    assert!(found.starts_with("mine\n") && found.contains("\nown\n"), "{found}");
}

fn a_program_that_is_restarted_keeps_its_network(on: On) {
    let lab = TestLab::of(
        "bxs",
        "\
name: NAME
nodes:
  a:
    command: [sh, -c, 'cut -d: -f1 /proc/net/dev | tail -n +3 | xargs; exit 3']
    restart: always
  once: { command: [sh, -c, 'echo run; exit 3'], restart: no }
  well: { command: [sh, -c, 'echo run; exit 0'], restart: on-failure }
",
    )
    .with(on);
    lab.up();
    let runs = |node: &str| logs(&lab, node).lines().filter(|line| !line.contains("overlay-node")).count();
    wait_until(|| runs("a") >= 3, || logs(&lab, "a"));
    let lines = logs(&lab, "a");
    assert!(lines.lines().all(|line| line.contains("eth0")), "{lines}");
    assert_eq!(state(&lab, "a"), "running");
    assert_eq!((state(&lab, "once").as_str(), runs("once")), ("exited with 3", 1));
    assert_eq!((state(&lab, "well").as_str(), runs("well")), ("exited with 0", 1));
    let told = text(&lab.labctl("logs", &["a"]).stderr);
    assert!(told.contains("ended with 3 and is started again"), "{told}");
}

fn up_waits_for_what_has_a_health_check(on: On) {
    let lab = TestLab::of(
        "bxh",
        "\
name: NAME
nodes:
  a:
    command: [sh, -c, 'sleep 1; touch /tmp/ready; exec sleep infinity']
    health: { command: [test, -e, /tmp/ready], interval: 200ms, start_period: 30s }
",
    )
    .with(on);
    lab.up();
    assert_eq!(state(&lab, "a"), "running, healthy");
}

fn up_fails_if_a_program_is_not_healthy(on: On) {
    let lab = TestLab::of(
        "bxh",
        "\
name: NAME
nodes:
  a:
    command: [sh, -c, 'echo some words; exec sleep infinity']
    health: { command: 'false', interval: 100ms, retries: 2 }
",
    );
    let up = labctl(&["up", "--runtime", on.word(), lab.topology().to_str().unwrap()]);
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(message.contains("health check fails") && message.contains("some words"), "{message}");
    lab.assert_nothing_left(&std::collections::BTreeSet::new());
}
