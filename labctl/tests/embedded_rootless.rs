//! Labs of ordinary users. Needs root, to be somebody else, and a kernel that gives users namespaces.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;
mod user_common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use lab_common::{LABCTL, text, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use user_common::User;

/// Two users, one of them at home behind a NAT.
const TOPOLOGY: &str = "\
name: NAME
seed: 7
wan: { regions: [here], rtt: { here/here: 10ms } }
overlay: { profile: skype-2006, host_cache: { entries: 3, stale: 0% } }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, addresses: 3 }
  bob: { role: client, region: here }
sites:
  home:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    access: { delay: 1ms }
    nodes: { alice: { role: client }, helper: { command: [sleep, infinity] } }
experiment: { online: [bob], measure: [alice] }
";

impl User {
    /// A topology file with a lab of this name.
    fn topology(&self, lab: &str) -> String {
        let path = self.write(&format!("{lab}.yaml"), &TOPOLOGY.replace("NAME", lab));
        path.to_str().unwrap().to_owned()
    }

    /// The names and conditions of this user's labs.
    fn labs(&self) -> Vec<(String, String)> {
        let listing: Value = serde_json::from_str(&self.labctl(&["ps", "--json"])).unwrap();
        let labs = listing["labs"].as_array().unwrap();
        let word = |lab: &Value, key: &str| lab[key].as_str().unwrap().to_owned();
        labs.iter().map(|lab| (word(lab, "name"), word(lab, "condition"))).collect()
    }
}

fn running(lab: &str) -> (String, String) {
    (lab.to_owned(), "running".to_owned())
}

#[test]
fn an_ordinary_user_runs_every_command_of_the_readme() {
    let user = User::new();
    assert!(user.labctl(&["doctor"]).contains("rights: in a user namespace of its own"));
    let topology = user.topology("mine");
    assert!(user.labctl(&["validate", &topology]).contains("valid"));
    assert!(user.labctl(&["plan", &topology]).contains("lab-mine-alice"));
    assert!(user.labctl(&["nat", "list"]).contains("port-restricted"));
    assert!(user.labctl(&["nat", "show", "port-restricted"]).contains("RFC 4787"));
    assert!(user.labctl(&["nat", "check", "symmetric"]).contains("as declared"));

    let up = user.labctl(&["up", "--quiet", &topology]);
    assert!(up.contains("lab mine (embedded)"), "{up}");
    assert_eq!(user.labs(), [running("mine")]);
    let listing: Value = serde_json::from_str(&user.labctl(&["ps", "--json"])).unwrap();
    let members = listing["labs"][0]["members"].as_array().unwrap();
    let login = members.iter().find(|member| member["name"] == "login").unwrap()["addresses"][0].clone();
    let login = login.as_str().unwrap();

    // The user's own command, in the node's network, with the user's own files.
    assert!(
        user.labctl(&["exec", "alice", "--", "ping", "-c", "1", "-W", "10", login]).contains("1 received")
    );
    user.labctl(&["exec", "alice", "--", "touch", "made-inside"]);
    assert!(user.owns(&user.home().join("made-inside")), "a relative path is where it was");
    assert!(user.labctl(&["exec", "wan", "--", "ls", "/sys/class/net"]).contains("home"));

    let trials = user.labctl(&["experiment", "login", "--trials", "1"]);
    assert!(trials.contains("records: runs/"), "{trials}");
    for entry in fs::read_dir(user.home().join("runs")).unwrap() {
        let run = entry.unwrap().path();
        assert!(user.owns(&run), "{}", run.display());
        let files: Vec<_> = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "pcapng")), "{files:?}");
        assert!(files.iter().all(|file| user.owns(file)), "{files:?}");
    }
    let logs = user.try_labctl(&["logs", "alice"]);
    assert!(text(&logs.stderr).contains("LoggedIn"), "{}", text(&logs.stderr));

    assert!(user.labctl(&["nat", "mappings", "home"]).contains("port-restricted"));
    assert!(user.labctl(&["nat", "counters", "home"]).contains("unsolicited"));
    assert!(user.labctl(&["nat", "set", "home", "symmetric"]).contains("symmetric"));
    assert!(user.labctl(&["nat", "flush", "home"]).contains("restarted"));

    assert!(user.labctl(&["down"]).contains("took down lab mine"));
    assert_eq!(user.labs(), []);
    // The world went with its last process, and with it everything that it had.
    wait_until(|| user.processes().is_empty(), || format!("left: {:?}", user.processes()));

    let fresh = user.labctl(&["experiment", "login", &topology, "--subsequent"]);
    assert!(fresh.contains("records: runs/"), "{fresh}");
    wait_until(|| user.processes().is_empty(), || format!("left: {:?}", user.processes()));
}

#[test]
fn two_users_do_not_see_or_touch_each_others_labs() {
    let (one, other) = (User::new(), User::new());
    one.labctl(&["up", "--quiet", &one.topology("same")]);
    other.labctl(&["up", "--quiet", &other.topology("same")]);
    other.labctl(&["up", "--quiet", &other.topology("more")]);
    assert_eq!(one.labs(), [running("same")]);
    assert_eq!(other.labs(), [running("more"), running("same")]);

    assert!(text(&one.try_labctl(&["down", "--lab", "more"]).stderr).contains("there is no lab 'more'"));
    let taken = one.labctl(&["down", "--all"]);
    assert_eq!(taken.lines().count(), 1, "{taken}");
    assert_eq!(other.labs(), [running("more"), running("same")]);

    // Nor does one get at the other's by the other's processes.
    let keeper = other.keeper("same");
    for command in [
        format!("nsenter --target {keeper} --user --mount --preserve-credentials true"),
        format!("ls /proc/{keeper}/root/run/labctl"),
        format!("kill {keeper}"),
    ] {
        let mut shell = Command::new("sh");
        one.adopt(shell.args(["-c", &command]));
        assert!(!shell.output().unwrap().status.success(), "{command}");
    }
    // The machine itself has nothing of it either.
    for name in ["same", "more"] {
        assert!(!fs::exists(format!("/run/labctl/{name}")).unwrap());
        assert!(!fs::exists(format!("/run/netns/lab-{name}-alice")).unwrap());
        assert_eq!(labctl::keeper::find(&name.parse().unwrap()), [], "root's labctl takes it for its own");
    }
    other.labctl(&["down", "--all"]);
    wait_until(|| other.processes().is_empty(), || format!("left: {:?}", other.processes()));
}

#[test]
fn commands_that_begin_at_one_moment_are_in_one_world() {
    let user = User::new();
    let names = ["one", "two", "three"];
    let ups: Vec<_> = names
        .iter()
        .map(|name| {
            let topology = user.topology(name);
            user.command().args(["up", "--quiet", &topology]).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut up in ups {
        assert!(up.wait().unwrap().success());
    }
    assert_eq!(user.labs(), [running("one"), running("three"), running("two")]);
}

#[test]
fn what_a_killed_keeper_held_is_gone_or_found() {
    let user = User::new();
    user.labctl(&["up", "--quiet", &user.topology("killed")]);
    user.labctl(&["up", "--quiet", &user.topology("other")]);
    kill(Pid::from_raw(user.keeper("killed")), Signal::SIGKILL).unwrap();
    let gone = || !user.labs().contains(&running("killed"));
    wait_until(gone, || "a lab runs without its keeper".to_owned());
    assert_eq!(user.labs()[0], ("killed".to_owned(), "leftover".to_owned()));
    assert!(user.labctl(&["down", "--lab", "killed"]).contains("0 containers"));
    assert_eq!(user.labs(), [running("other")]);
    // With the last keeper the world itself goes.
    kill(Pid::from_raw(user.keeper("other")), Signal::SIGKILL).unwrap();
    wait_until(|| user.processes().is_empty(), || format!("left: {:?}", user.processes()));
    assert_eq!(user.labs(), []);
}

#[test]
fn a_killed_up_leaves_nothing() {
    let user = User::new();
    let topology = user.topology("half");
    for milliseconds in [10, 50, 100, 150] {
        let mut up = user.command().args(["up", "--quiet", &topology]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let _ = up.kill();
        up.wait().unwrap();
        let down = user.try_labctl(&["down", "--lab", "half"]);
        let nothing = text(&down.stderr).contains("there is no lab");
        assert!(down.status.success() || nothing, "{}", text(&down.stderr));
        assert_eq!(user.labs(), []);
        wait_until(|| user.processes().is_empty(), || format!("left: {:?}", user.processes()));
    }
}

#[test]
fn a_place_that_another_user_prepared_is_not_trusted() {
    let (user, other) = (User::new(), User::new());
    let refused = |user: &User| {
        let output = user.try_labctl(&["ps"]);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    fs::create_dir(user.registry()).unwrap();
    assert!(refused(&user).contains("belongs to user 0"));
    fs::remove_dir(user.registry()).unwrap();
    symlink(other.home(), user.registry()).unwrap();
    let message = refused(&user);
    assert!(message.contains("is no directory") && message.contains("XDG_RUNTIME_DIR"), "{message}");
    // The mend works.
    let mended = user.command().arg("ps").env("XDG_RUNTIME_DIR", user.home()).output().unwrap();
    assert!(mended.status.success(), "{}", text(&mended.stderr));
    fs::remove_file(user.registry()).unwrap();
}

/// Runs labctl as a user in a namespace that has that user and root in it, and in which there can be no further
/// one.
fn without_user_namespaces(user: &User, arguments: &str) -> Output {
    let labctl = user.command().get_program().display().to_string();
    let id = user.id;
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --reuid {id} --regid {id} --clear-groups \
         {labctl} {arguments}"
    );
    // Only a program that is started when its user is root has root's rights.
    let wait = "read go; exec sh -c \"$0\"";
    let mut child = Command::new("unshare")
        .args(["--user", "sh", "-c", wait, &script])
        .current_dir(user.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    let pid = child.id().to_string();
    wait_until(|| link(&pid) != link("self"), || "unshare makes no user namespace".to_owned());
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{map}"), format!("0 0 1\n{id} {id} 1\n")).unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_kernel_that_gives_users_no_namespaces_is_named_with_the_mend() {
    let user = User::new();
    let topology = user.topology("refused");
    let within = |arguments: &str| without_user_namespaces(&user, arguments);
    let up = within(&format!("up {topology}"));
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(message.contains("sysctl user.max_user_namespaces="), "{message}");
    let doctor = within("doctor");
    assert_eq!(doctor.status.code(), Some(1));
    let report = text(&doctor.stdout);
    assert!(report.contains("MISSING  rights") && report.contains("user.max_user_namespaces="), "{report}");
    // What needs no lab goes on.
    assert!(within(&format!("validate {topology}")).status.success());
}

#[test]
fn an_engine_is_not_used_by_an_ordinary_user() {
    let user = User::new();
    let up = user.try_labctl(&["up", "--runtime", "docker", &user.topology("docked")]);
    assert_eq!(up.status.code(), Some(1));
    let message = text(&up.stderr);
    assert!(message.contains("--runtime embedded"), "{message}");
    assert!(fs::exists(LABCTL).unwrap());
}
