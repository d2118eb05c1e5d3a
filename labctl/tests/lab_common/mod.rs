//! What the lifecycle tests share: labs with names of their own, and a look for what is left of them.

#![allow(dead_code, reason = "each test binary uses a part of this")]

pub mod names;
mod runtime;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use runtime::On;

pub const LABCTL: &str = env!("CARGO_BIN_EXE_labctl");

/// A login server, three super nodes, and two homes that use the same addresses.
pub const TOPOLOGY: &str = "\
name: NAME
title: A small lab
seed: 7
wan:
  regions: [here]
  rtt:
    here/here: 10ms
overlay:
  profile: skype-2006
  host_cache: { entries: 3, stale: 0% }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 3 }
sites:
  home-1:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    access: { delay: 1ms }
    nodes: { user-1: { role: client } }
  home-2:
    region: here
    gateway: { nat: port-restricted, firewall: open }
    access: { delay: 1ms }
    nodes: { user-2: { role: client } }
";

pub const NODES: [&str; 6] = ["login", "sn-1", "sn-2", "sn-3", "user-1", "user-2"];
pub const GATEWAYS: [&str; 2] = ["home-1", "home-2"];

/// A lab of this test alone; taken down when the test ends, however it ends.
pub struct TestLab {
    pub name: String,
    pub on: On,
    /// What `--runtime` says, if anything.
    pub choice: Option<On>,
    pub environment: Vec<(&'static str, &'static str)>,
    directory: TempDir,
}

impl TestLab {
    /// A lab that is not up yet. Its name is not any other test's, nor that of another run of this one.
    pub fn new() -> Self {
        Self::of("tlab", TOPOLOGY)
    }

    /// The same on this runtime.
    pub fn on(on: On) -> Self {
        Self::new().with(on)
    }

    /// The same with another topology, in which `NAME` stands for the lab's name, and another beginning of
    /// the name.
    pub fn of(prefix: &str, topology: &str) -> Self {
        let name = names::own(prefix);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("lab.yaml"), topology.replace("NAME", &name)).unwrap();
        let on = On::any();
        Self { name, on, choice: Some(on), environment: Vec::new(), directory }
    }

    /// On this runtime.
    pub fn with(mut self, on: On) -> Self {
        (self.on, self.choice) = (on, Some(on));
        self
    }

    pub fn topology(&self) -> PathBuf {
        self.directory.path().join("lab.yaml")
    }

    fn up_command(&self) -> Command {
        let mut command = Command::new(LABCTL);
        command.arg("up").arg(self.topology()).envs(self.environment.iter().copied());
        if let Some(choice) = self.choice {
            command.args(["--runtime", choice.word()]);
        }
        command
    }

    /// Brings it up, and expects that to work.
    pub fn up(&self) -> Output {
        let output = self.up_command().output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    /// `labctl VERB --lab NAME REST...`
    pub fn labctl(&self, verb: &str, rest: &[&str]) -> Output {
        labctl(&[&[verb, "--lab", &self.name], rest].concat())
    }

    /// What `labctl ps --json` says of it.
    pub fn listed(&self) -> Value {
        let output = self.labctl("ps", &["--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["labs"][0].clone()
    }

    /// The names of its namespaces that are there.
    pub fn namespaces(&self) -> Vec<String> {
        let prefix = format!("lab-{}-", self.name);
        let names = labctl::net::NetNs::list().unwrap();
        names.into_iter().filter(|name| name.starts_with(&prefix)).collect()
    }

    /// The kernel's numbers of its namespaces, by which their processes are known.
    pub fn namespace_numbers(&self) -> BTreeSet<u64> {
        let number = |name: String| fs::metadata(Path::new("/run/netns").join(name)).ok().map(|m| m.ino());
        self.namespaces().into_iter().filter_map(number).collect()
    }

    /// The names or identifiers of its containers.
    pub fn containers(&self) -> Vec<String> {
        match self.on {
            On::Docker => self.docker_containers(),
            On::Embedded => self.embedded_containers(),
        }
    }

    /// Those that its keeper knows.
    fn embedded_containers(&self) -> Vec<String> {
        let output = self.labctl("ps", &["--json"]);
        let listing: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let members = listing["labs"][0]["members"].as_array().cloned().unwrap_or_default();
        let there =
            members.iter().filter(|member| member["container"].is_string() && member["state"] != "missing");
        there.map(|member| member["container"].to_string()).collect()
    }

    fn docker_containers(&self) -> Vec<String> {
        let filter = format!("label=labctl.lab={}", self.name);
        let listed = run("docker", &["ps", "--all", "--quiet", "--filter", &filter]);
        text(&listed.stdout).lines().map(str::to_owned).collect()
    }

    /// Expects that nothing of it is on this machine. `numbers` are its namespaces of before.
    pub fn assert_nothing_left(&self, numbers: &BTreeSet<u64>) {
        assert_eq!(self.containers(), Vec::<String>::new(), "containers are left");
        if self.on == On::Docker {
            let filter = format!("name=lab-{}-", self.name);
            let names = run("docker", &["ps", "--all", "--quiet", "--filter", &filter]);
            assert_eq!(text(&names.stdout), "", "containers without a label are left");
        }
        assert_eq!(self.namespaces(), Vec::<String>::new(), "namespaces are left");
        for path in [format!("/run/labctl/{}", self.name), format!("/run/labctl/.locks/{}", self.name)] {
            assert!(!Path::new(&path).exists(), "{path} is left");
        }
        let links = run("ip", &["-oneline", "link"]);
        for link in NODES.iter().chain(&GATEWAYS) {
            assert!(!text(&links.stdout).contains(&format!(": {link}")), "link {link} is left on the host");
        }
        // A child of a labctl that was killed ends by itself when its pipe does.
        let left = || self.processes(numbers);
        wait_until(|| left().is_empty(), || format!("processes are left: {:?}", left()));
    }

    /// Kills all processes in the network namespace of a node: its container dies.
    pub fn kill_node(&self, node: &str) {
        let number = fs::metadata(format!("/run/netns/lab-{}-{node}", self.name)).unwrap().ino();
        for process in self.processes(&BTreeSet::from([number])) {
            let pid = process.trim_start_matches("/proc/").split(':').next().unwrap().parse().unwrap();
            // Only those inside: the keeper is about this lab, too.
            let inside = fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|data| data.ino() == number);
            if inside {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
    }

    /// The process number of its keeper.
    pub fn keeper(&self) -> i32 {
        let name = self.name.parse().unwrap();
        let keepers = labctl::keeper::find(&name);
        assert_eq!(keepers.len(), 1, "{keepers:?}");
        keepers[0].pid
    }

    /// Processes that are about this lab, or in a namespace of it.
    fn processes(&self, numbers: &BTreeSet<u64>) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let number = fs::metadata(entry.path().join("ns/net")).map(|data| data.ino());
            let inside = number.is_ok_and(|number| numbers.contains(&number));
            if inside || line.contains(&format!("keeper --lab {} ", self.name)) {
                found.push(format!("{}: {line}", entry.path().display()));
            }
        }
        found
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        let _ = self.labctl("down", &["--quiet"]);
    }
}

pub fn labctl(arguments: &[&str]) -> Output {
    run(LABCTL, arguments)
}

pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// True if the program is there and ends well.
pub fn run_quietly(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How long something that is bound to come may take before the test has failed: minutes, for a machine may be busy
/// with ten other things.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for something that is bound to come.
pub fn wait_until(done: impl Fn() -> bool, complaint: impl Fn() -> String) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{}", complaint());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts `labctl up` and stops reading its progress at the first line for which `enough` holds. False if
/// it came to its end without.
pub fn up_until(lab: &TestLab, enough: impl Fn(usize, &str) -> bool) -> (Child, bool) {
    let mut child = lab.up_command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut number = 0;
    while let Some(Ok(line)) = lines.next() {
        number += 1;
        if enough(number, &line) {
            // What it writes from now on must not be an error to it.
            std::thread::spawn(move || lines.for_each(drop));
            return (child, true);
        }
    }
    (child, false)
}
