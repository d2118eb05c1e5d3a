//! Directories written by hand, listed and shown.

use std::fs;

use super::super::row::tests::{failed, trial, trials};
use super::super::sweep::tests::{login_run, sweep};
use super::*;
use crate::experiment::record::{Kind, TrialRecord};
use crate::experiment::sweep::run_directories;

/// A run as labctl wrote it before it knew kinds, sweeps and this plan.
fn write(folder: &Path, name: &str, trials: &[TrialRecord], rest: &str) {
    let directory = folder.join(name);
    fs::create_dir(&directory).unwrap();
    let run = "{\"schema\": \"labctl.run/1\", \"experiment\": \"login\", \"lab\": \"expC\", \
               \"started\": \"2006-01-02T15:04:05.000000000Z\", \"labctl\": \"0.0.1\", \"kernel\": \"Linux 5\", \
               \"engine\": \"Docker Engine\", \"seed\": 7, \"trials\": 3, \"parallel\": null, \
               \"plan_sha256\": \"ab\"}";
    fs::write(directory.join("run.json"), run).unwrap();
    let lines: String = trials.iter().map(|trial| serde_json::to_string(trial).unwrap() + "\n").collect();
    fs::write(directory.join("trials.ndjson"), lines + rest).unwrap();
}

#[test]
fn a_directory_of_runs_is_listed_whatever_became_of_them() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "1-whole", &trials(34.0, 2500, 6000), "");
    write(folder.path(), "2-cut", &[trial(Kind::Subsequent, 1, 33.0, 1, 1)], "{\"kind\": \"sub");
    write(folder.path(), "3-broken", &[], "{}\n");
    fs::create_dir(folder.path().join("no-run")).unwrap();
    let directories = run_directories(folder.path()).unwrap();
    let entries: Vec<Entry> = directories.iter().map(|directory| Entry::of(directory)).collect();
    assert_eq!(
        entries.iter().map(|entry| entry.run.as_str()).collect::<Vec<_>>(),
        ["1-whole", "2-cut", "3-broken"]
    );
    assert_eq!((entries[0].trials, entries[0].failed, entries[0].medians.len()), (6, 0, 4));
    assert_eq!((entries[1].trials, entries[1].wanted), (1, 3));
    let problem = entries[2].problem.as_deref().unwrap();
    assert!(problem.contains("trials.ndjson, line 1"), "{problem}");
    let table = list_table(&entries, Style::Plain);
    assert!(table.contains("1 of 3") && table.contains("subsequent login time 34.00 s"), "{table}");
    assert!(table.contains("cannot be read"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&list_json(&entries)).unwrap();
    assert_eq!((&json["schema"], json["runs"].as_array().unwrap().len()), (&LIST.into(), 3));
    assert_eq!(json["runs"][0]["medians"][0]["median"], 1.0);
}

#[test]
fn an_interrupted_run_of_an_older_version_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cut", &[trial(Kind::Subsequent, 1, 33.0, 1, 1)], "");
    let run = RecordedRun::read(&folder.path().join("cut")).unwrap();
    let text = about(&run);
    for said in
        ["INTERRUPTED  1 of 3 trials", "of another version of labctl", "topology     not known", "Linux 5"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    let Rendered { table, failed, .. } = render(&run, Style::Plain);
    assert!(table.contains("33.00") && !failed, "{table}");
}

#[test]
fn a_run_is_shown_as_the_experiment_printed_it() {
    let records = [trials(4.0, 3000, 7000), vec![failed(Kind::FirstTime, 4)]].concat();
    let shown = render(&login_run("mine", records.clone()), Style::Plain);
    let row = Row::new("expC", &records, None);
    assert_eq!(shown.table, table::render(std::slice::from_ref(&row), Style::Plain));
    assert_eq!((shown.json, shown.failed), (json::render(json::LOGIN, &[row]), true));
}

#[test]
fn a_sweep_counts_the_trials_of_all_of_its_points() {
    let entry = Entry::of_sweep(&sweep());
    assert_eq!((entry.trials, entry.failed), (9, 1));
    assert_eq!(entry.cells()[1], "login sweep");
    assert!(entry.figures().contains("loss = 0%, 5%, 50%"), "{}", entry.figures());
    assert!(about_sweep(&sweep()).contains("loss = 0%, 5%, 50%, 60%; in one lab, changed while it ran"));
}
