//! Sweeps: what is asked for is really there at each point, by meters beside the nodes, and gone afterwards. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lab_common::{LABCTL, On, TestLab, labctl, text, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    let output = labctl(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

/// The only directory in one.
fn only(directory: &Path) -> PathBuf {
    let mut found: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Links of a lab that runs: what they are like.
fn links(lab: &TestLab) -> Vec<Value> {
    let shown = run(&["link", "show", "--json", "--lab", &lab.name]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let links = shown["links"].as_array().cloned().unwrap_or_default();
    links.into_iter().map(|link| link["access"].clone()).collect()
}

#[test]
fn the_loss_of_each_point_is_there_by_what_left_one_end_and_came_to_the_other() {
    let lab = TestLab::new().with(On::Embedded);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (topology, runs, csv, html) = (lab.topology(), at("runs"), at("calls.csv"), at("curve.html"));
    let options = ["--lab", &lab.name, "--runtime", "embedded", "--from", "user-1", "--to", "user-2"];
    let sweep =
        ["--sweep", "loss=0,4,15%", "--seconds", "6", "--runs", &runs, "--csv", &csv, "--html", &html];
    let asked =
        [&["experiment", "call", topology.to_str().unwrap(), "--json", "-"], &options[..], &sweep].concat();
    let report: Value = serde_json::from_slice(&run(&asked).stdout).unwrap();
    assert_eq!((&report["schema"], &report["unit"]), (&"labctl.sweep/1".into(), &"%".into()));
    assert_eq!(report["links"], serde_json::json!(["home-1", "home-2"]));

    let directory = only(Path::new(&runs));
    let points = lines(&directory.join("points.ndjson"));
    assert_eq!(points.len(), 3);
    for (point, share) in points.iter().zip([0.0, 0.04, 0.15_f64]) {
        let run = directory.join(point["run"].as_str().unwrap());
        let [call] = &lines(&run.join("calls.ndjson"))[..] else { panic!("one call at each point") };
        assert_eq!(call["failure"], Value::Null, "{call}");
        let count =
            |name: &str| call["ways"].as_array().unwrap().iter().map(|way| way[name].as_f64().unwrap()).sum();
        let (sent, received): (f64, f64) = (count("sent"), count("received"));
        assert!(sent > 200.0, "{sent}");
        // A packet passes the speaker's link and the hearer's. What was under way at the end is not lost, so that a
        // packet or two of each way may be missing besides.
        let lost = 1.0 - (1.0 - share).powi(2);
        let spread = 4.5 * (lost * (1.0 - lost) * sent).sqrt();
        let off = (sent - received) - lost * sent;
        assert!(-spread <= off && off <= spread + 6.0, "{share}: {received} of {sent} came");
        let described: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
        assert_eq!(described["sweep"]["value"], point["value"]);
        let access = &described["plan"]["wan"]["attachments"];
        let of = |name: &str| {
            access.as_array().unwrap().iter().find(|at| at["name"] == name).unwrap()["access"].clone()
        };
        let up = |name: &str| of(name)["up"]["loss"]["independent"].as_f64().unwrap_or_default();
        assert_eq!((up("home-1"), up("home-2"), up("login")), (share, share, 0.0));
    }
    let mos: Vec<f64> =
        report["points"].as_array().unwrap().iter().map(|point| figure(point, "mos")).collect();
    assert!(mos[0] > mos[1] && mos[1] > mos[2], "{mos:?}");
    // A header, and a row for each way.
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 1 + 3 * 2);
    assert!(fs::read_to_string(&html).unwrap().contains("<polyline"));

    let directory = directory.to_str().unwrap();
    let shown = text(&run(&["runs", "show", directory]).stdout);
    assert!(shown.contains("loss = 0%, 4%, 15%; in one lab, changed while it ran"), "{shown}");
    let again: Value =
        serde_json::from_slice(&run(&["runs", "show", directory, "--json", "-"]).stdout).unwrap();
    assert_eq!(again, report);
    lab.assert_nothing_left(&BTreeSet::new());
}

fn figure(point: &Value, name: &str) -> f64 {
    let figures = point["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["figure"] == name).unwrap()["median"].as_f64().unwrap()
}

#[test]
fn a_lab_that_runs_is_as_it_was_after_a_sweep_and_after_one_that_was_interrupted() {
    let lab = TestLab::new().with(On::Embedded);
    lab.up();
    run(&["link", "set", "user-1", "--lab", &lab.name, "--delay", "7ms"]);
    let before = links(&lab);
    assert!(!before.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let login = ["experiment", "login", "--lab", &lab.name, "--first-time", "--runs", runs.to_str().unwrap()];
    let report =
        run(&[&login[..], &["--sweep", "user-1.delay=7,150ms", "--trials", "1", "--json", "-"]].concat());
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(links(&lab), before);
    // A connection, a greeting and an answer are two round trips at the very least.
    assert!(figure(&report["points"][1], "login_s") > 0.6, "{report}");
    let sweep = only(&runs);
    let points = lines(&sweep.join("points.ndjson"));
    let seeds: Vec<Value> = points
        .iter()
        .map(|point| {
            lines(&sweep.join(point["run"].as_str().unwrap()).join("trials.ndjson"))[0]["seed"].clone()
        })
        .collect();
    assert_eq!(seeds[0], seeds[1], "the same seeds at each point");

    let compared = |one: &Value, other: &Value| {
        let [one, other] = [one, other].map(|point| sweep.join(point["run"].as_str().unwrap()));
        text(&run(&["runs", "compare", one.to_str().unwrap(), other.to_str().unwrap()]).stdout)
    };
    let text = compared(&points[0], &points[1]);
    assert!(text.contains("too few") && text.contains("user-1.delay = 7ms"), "{text}");

    fs::remove_dir_all(&runs).unwrap();
    let options = ["--sweep", "loss=0..40%/1%", "--trials", "1"];
    let mut child = Command::new(LABCTL)
        .args([&login[..], &options].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let done =
        || fs::read_dir(&runs).ok()?.flatten().next().map(|entry| lines(&entry.path().join("points.ndjson")));
    // The second point or a later one is under way, on links that are worse.
    wait_until(
        || done().is_some_and(|points| points.len() >= 2) && links(&lab) != before,
        || format!("{:?}", done()),
    );
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(links(&lab), before);
    let shown = lab_common::text(&run(&["runs", "show", only(&runs).to_str().unwrap()]).stdout);
    assert!(shown.contains("Interrupted: ") && shown.contains("of 41 values were not measured"), "{shown}");
    let listed = lab_common::text(&run(&["runs", "list", runs.to_str().unwrap()]).stdout);
    assert!(listed.contains("login sweep") && listed.contains("of 41"), "{listed}");
}

#[test]
fn what_a_running_lab_cannot_be_given_takes_a_lab_for_each_value() {
    let lab = TestLab::new().with(On::Embedded);
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let topology = lab.topology();
    let begin =
        ["experiment", "login", topology.to_str().unwrap(), "--lab", &lab.name, "--runtime", "embedded"];
    let rest = ["--first-time", "--trials", "1", "--runs", runs.to_str().unwrap()];
    run(&[&begin[..], &rest, &["--sweep", "wan.rtt.here/here=10,400ms"]].concat());
    lab.assert_nothing_left(&BTreeSet::new());
    let sweep = only(&runs);
    let described: Value = serde_json::from_slice(&fs::read(sweep.join("sweep.json")).unwrap()).unwrap();
    assert_eq!((&described["labs"], &described["links"]), (&2.into(), &serde_json::json!([])));
    let times: Vec<f64> = lines(&sweep.join("points.ndjson"))
        .iter()
        .map(|point| {
            let run = sweep.join(point["run"].as_str().unwrap());
            lines(&run.join("trials.ndjson"))[0]["login_s"].as_f64().unwrap()
        })
        .collect();
    assert!(times[1] > 0.8, "two round trips at the very least: {times:?}");

    for (wrong, said) in [
        ("loss=0,5", "add the sign if percent are meant"),
        ("los=0,5%", "did you mean 'loss'?"),
        ("nobody.loss=0,5%", "nobody"),
        ("overlay.host_cache.stale=0,200%", "with value 2 ('200%')"),
        ("sites.home-1.gateway.nta=full-cone,symmetric", "nta"),
    ] {
        let output = labctl(&[&begin[..], &rest, &["--sweep", wrong]].concat());
        assert!(!output.status.success(), "{wrong}");
        assert!(text(&output.stderr).contains(said), "{wrong}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("making"), "{wrong}: nothing is made before");
    }
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 1, "no directory of a sweep that cannot be made");
}
