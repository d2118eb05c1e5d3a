//! The WAN of a running lab: changed, parted, stopped and repaired, over the keeper's socket. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use lab_common::{On, TestLab, labctl, text, wait_until};
use serde_json::{Value, json};

/// Two regions 20 ms apart, two hosts in one of them and one in the other.
const TOPOLOGY: &str = "\
name: NAME
wan:
  regions: [east, west]
  rtt: { east/east: 10ms, east/west: 20ms, west/west: 10ms }
nodes:
  a: { command: [sleep, infinity], region: east }
  b: { command: [sleep, infinity], region: east }
  c: { command: [sleep, infinity], region: west }
";
const A: &str = "198.18.0.2";
const B: &str = "198.18.0.3";
const C: &str = "198.18.0.4";

fn lab() -> TestLab {
    let lab = TestLab::of("wan", TOPOLOGY).with(On::Embedded);
    lab.up();
    lab
}

/// Asks the lab's keeper something.
fn ask(lab: &TestLab, request: &Value) -> Value {
    let mut stream = UnixStream::connect(format!("/run/labctl/{}/keeper.sock", lab.name)).unwrap();
    writeln!(stream, "{request}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// Asks the WAN, and expects that it does what it is asked.
fn wan(lab: &TestLab, request: &Value) -> Value {
    let answer = ask(lab, &json!({ "id": 1, "do": "wan", "request": request }));
    assert_eq!(answer["is"], "wan", "{answer}");
    answer["answer"].clone()
}

fn link(lab: &TestLab, name: &str) -> Value {
    let report = wan(lab, &json!({ "do": "report" }));
    report["links"].as_array().unwrap().iter().find(|link| link["name"] == name).unwrap().clone()
}

/// Round trip of the quickest of some packets, in milliseconds; `None` if none comes back.
fn ping(lab: &TestLab, from: &str, to: &str) -> Option<f64> {
    let output = labctl(&[
        "exec", "--lab", &lab.name, from, "--", "ping", "-n", "-c", "4", "-i", "0.1", "-W", "2", to,
    ]);
    let said = text(&output.stdout);
    let times = said
        .lines()
        .filter_map(|line| line.split_once("time=")?.1.split_whitespace().next()?.parse::<f64>().ok());
    times.reduce(f64::min)
}

#[test]
fn a_link_is_changed_and_tells_what_it_carried() {
    let lab = lab();
    let before = ping(&lab, "a", C).unwrap();
    assert!(before >= 20.0, "{before}");
    let slower = json!({ "do": "set-link", "link": "c", "ways": "down", "settings": [{ "delay": "150ms" }] });
    assert_eq!(wan(&lab, &slower)["is"], "done");
    let after = ping(&lab, "a", C).unwrap();
    assert!(after >= 170.0, "{after}");
    let lossy = json!({ "do": "set-link", "link": "a", "ways": "up",
        "settings": [{ "loss": { "independent": 1.0 } }] });
    wan(&lab, &lossy);
    assert_eq!(ping(&lab, "a", C), None);
    let (a, c) = (link(&lab, "a"), link(&lab, "c"));
    assert_eq!(c["access"]["down"]["delay"], "150ms");
    assert_eq!(
        (&a["counters"]["dropped"]["up_loss"], &a["counters"]["sent"]["packets"]),
        (&json!(4), &json!(12))
    );
    assert_eq!(c["counters"]["received"], json!({ "packets": 8, "bytes": 8 * 84 }));
    let wrong = json!({ "do": "set-link", "link": "nobody", "settings": [] });
    let refused = ask(&lab, &json!({ "id": 2, "do": "wan", "request": wrong }));
    assert!(refused["reason"].as_str().unwrap().contains("no link 'nobody'"), "{refused}");
}

#[test]
fn links_go_down_and_regions_are_parted_until_that_is_over() {
    let lab = lab();
    wan(&lab, &json!({ "do": "set-works", "link": "b", "works": false }));
    assert_eq!(ping(&lab, "a", B), None);
    assert!(ping(&lab, "a", C).is_some(), "other links work");
    wan(&lab, &json!({ "do": "set-works", "link": "b", "works": true }));
    assert!(ping(&lab, "a", B).is_some());
    wan(&lab, &json!({ "do": "partition", "sides": [["east"], ["c"]] }));
    assert_eq!(ping(&lab, "c", A), None);
    assert!(ping(&lab, "a", B).is_some(), "both are on one side");
    assert_eq!(link(&lab, "c")["counters"]["dropped"]["partition"], 4);
    wan(&lab, &json!({ "do": "heal" }));
    assert!(ping(&lab, "c", A).is_some());
}

/// The processes in a lab's namespaces, without those that `labctl exec` runs there.
fn processes(lab: &TestLab) -> BTreeSet<u32> {
    let inside = lab.namespace_numbers();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|data| inside.contains(&data.ino()))
    })
    .collect()
}

#[test]
fn a_wan_that_has_ended_is_seen_at_once_and_repaired_under_running_nodes() {
    let lab = lab();
    assert_eq!(lab.listed()["condition"], "running");
    let before = processes(&lab);
    assert!(before.len() >= 3, "{before:?}");
    wan(&lab, &json!({ "do": "stop" }));
    let listed = lab.listed();
    assert_eq!(listed["condition"], "partial", "{listed}");
    assert!(listed["missing"].to_string().contains("labctl repair"), "{listed}");
    assert_eq!(ping(&lab, "a", B), None, "nothing passes without an engine");
    let repaired = labctl(&["repair", &lab.name]);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert_eq!(lab.listed()["condition"], "running");
    assert!(ping(&lab, "a", B).is_some());
    assert_eq!(processes(&lab), before, "nodes are the same processes");
    let again = labctl(&["repair", &lab.name]);
    assert!(text(&again.stdout).contains("nothing to do"), "{}", text(&again.stdout));
}

#[test]
fn a_killed_keeper_is_started_again_where_nodes_outlive_it() {
    if !On::Docker.is_there() {
        return;
    }
    let lab = TestLab::on(On::Docker);
    lab.up();
    let keeper = lab.keeper();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until(|| lab.listed()["condition"] == "partial", || lab.listed().to_string());
    let experiment = labctl(&["experiment", "login", "--lab", &lab.name, "--trials", "1"]);
    assert!(!experiment.status.success(), "no figure is taken without the WAN");
    let repaired = labctl(&["repair", &lab.name]);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert_eq!(lab.listed()["condition"], "running");
    assert_ne!(lab.keeper(), keeper);
}

/// Runs a command about this lab that succeeds; what it prints.
fn command(lab: &TestLab, arguments: &[&str]) -> String {
    let output = labctl(&[arguments, &["--lab", &lab.name]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn links_and_partitions_are_changed_from_the_command_line() {
    let lab = lab();
    let set = command(&lab, &["link", "set", "c", "--way", "down", "--delay", "150ms", "--rate", "8mbit"]);
    assert!(set.contains("8000 kbit/s, 150ms"), "{set}");
    assert!(ping(&lab, "a", C).unwrap() >= 170.0);
    let shown: Value = serde_json::from_str(&command(&lab, &["link", "show", "c", "--json"])).unwrap();
    assert_eq!(shown["links"].as_array().unwrap().len(), 1);
    assert_eq!(shown["links"][0]["access"]["down"]["delay"], "150ms");
    assert_eq!(shown["links"][0]["access"]["up"], Value::Null, "only the way that was named is changed");
    assert_eq!(command(&lab, &["link", "down", "b"]), "link b: down\n");
    assert_eq!(ping(&lab, "a", B), None);
    assert_eq!(command(&lab, &["link", "up", "b"]), "link b: up\n");
    assert!(ping(&lab, "a", B).is_some());
    assert_eq!(command(&lab, &["partition", "west"]), "no packet passes: west | all others\n");
    assert_eq!(ping(&lab, "c", A), None);
    assert!(command(&lab, &["link", "show"]).contains("partitions in force: 1"));
    assert_eq!(command(&lab, &["heal"]), "ended 1 partition\n");
    assert!(ping(&lab, "c", A).is_some());
    for (wrong, said) in [
        (&["link", "set", "a"][..], "nothing to change"),
        (&["link", "set", "a", "--loss", "5"], "--loss: expected a share"),
        (&["link", "down", "aa"], "did you mean 'a'"),
        (&["partition", "east,a", "c"], "'a' is on two sides"),
    ] {
        let output = labctl(&[wrong, &["--lab", &lab.name]].concat());
        assert!(!output.status.success(), "{wrong:?}");
        assert!(text(&output.stderr).contains(said), "{wrong:?}: {}", text(&output.stderr));
    }
}

/// What happened to a lab's WAN: by whom and what.
fn happened(lab: &TestLab) -> Vec<(String, String)> {
    let answer = ask(lab, &json!({ "id": 1, "do": "wan-events", "after": 0 }));
    let word = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| (word(event, "by"), word(event, "do"))).collect()
}

#[test]
fn a_schedule_takes_a_link_down_and_up_and_what_it_did_is_told() {
    let schedule = "\
schedule:
  - { at: 100ms, link: b, works: false }
  - { at: 4s, link: b, works: true }
  - { at: 4s, link: b, set: { delay: 30ms }, way: down }
";
    let lab = TestLab::of("wan", &format!("{TOPOLOGY}{schedule}")).with(On::Embedded);
    let said = text(&lab.up().stdout);
    assert!(said.contains("schedule has begun: 3 steps, the last at 4s"), "{said}");
    wait_until(|| happened(&lab).len() >= 2, || format!("{:?}", happened(&lab)));
    assert_eq!(link(&lab, "b")["works"], json!(false));
    assert_eq!(ping(&lab, "a", B), None, "lost while the link is down");
    let lost = &link(&lab, "b")["counters"]["dropped"]["link_down"];
    assert!(lost.as_u64().unwrap() >= 4, "{lost}");
    wait_until(|| happened(&lab).len() >= 4, || format!("{:?}", happened(&lab)));
    assert!(ping(&lab, "a", B).unwrap() >= 40.0, "10 ms between the hosts, and the new delay");
    let by_schedule = |what: &str| ("schedule".to_owned(), what.to_owned());
    let all = ["begin-schedule", "set-works", "set-works", "set-link"].map(by_schedule);
    assert_eq!(happened(&lab), all);
    let again = ask(&lab, &json!({ "id": 1, "do": "start-schedule" }));
    assert_eq!(again["is"], "done", "{again}");
    let anew = ["set-link", "begin-schedule"].map(by_schedule);
    assert_eq!(happened(&lab)[4..6], anew, "the link is first made as it is in the plan");
    assert_eq!(link(&lab, "b")["access"], json!({}));
}

#[test]
fn an_experiment_writes_down_what_was_done_to_the_wan_meanwhile() {
    let topology = format!(
        "{}schedule:\n  - {{ at: 1ms, link: home-2, set: {{ delay: 20ms }} }}\n",
        lab_common::TOPOLOGY
    );
    let lab = TestLab::of("wan", &topology).with(On::Embedded);
    lab.up();
    command(&lab, &["link", "set", "home-1", "--delay", "2ms"]);
    let before = happened(&lab).len();
    let runs = tempfile::tempdir().unwrap();
    let runs_text = runs.path().to_str().unwrap();
    let experiment = std::thread::spawn({
        let (name, runs) = (lab.name.clone(), runs_text.to_owned());
        move || labctl(&["experiment", "login", "--lab", &name, "--trials", "1", "--runs", &runs])
    });
    let begun = || happened(&lab).iter().skip(before).any(|(_, what)| what == "begin-schedule");
    wait_until(begun, || format!("{:?}", happened(&lab)));
    command(&lab, &["link", "set", "home-1", "--delay", "3ms"]);
    let output = experiment.join().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = fs::read_dir(runs.path()).unwrap().next().unwrap().unwrap().path();
    let written = fs::read_to_string(run.join("wan-events.ndjson")).unwrap();
    let events: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by_command: Vec<_> = events.iter().filter(|event| event["by"] == "command").collect();
    assert_eq!(by_command.len(), 1, "the change before the run is none of its: {written}");
    assert_eq!(by_command[0]["settings"], json!([{ "delay": "3ms" }]));
    let schedule = events.iter().filter(|event| event["by"] == "schedule");
    let schedule: Vec<_> = schedule.map(|event| event["do"].as_str().unwrap()).collect();
    assert_eq!(schedule, ["set-link", "begin-schedule", "set-link"], "made as planned, begun, and its step");
}
