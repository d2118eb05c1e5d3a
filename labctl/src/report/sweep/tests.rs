//! Sweeps made by hand, and their reports.

use super::super::row::tests::{failed, trial};
use super::*;
use crate::experiment::record::{Kind, TrialRecord};
use crate::experiment::recorded::{Circumstances, Description, RecordedRun, Records};
use crate::experiment::sweep::PointRecord;
use crate::meter::Timestamp;

/// A run of logins.
pub(in crate::report) fn login_run(name: &str, records: Vec<TrialRecord>) -> RecordedRun {
    RecordedRun {
        directory: format!("runs/20060102T150405Z-sweep-login-expC/{name}").into(),
        description: Description {
            experiment: "login".into(),
            lab: "expC".into(),
            started: Timestamp::from_nanos(1_136_214_245_000_000_000),
            labctl: "0.1.0".into(),
            kernel: "Linux 6".into(),
            engine: "embedded".into(),
            seed: 7,
            trials: 2,
            parallel: None,
            plan_sha256: "ab".repeat(32),
        },
        circumstances: Circumstances::default(),
        plan: Err("not needed".into()),
        records: Records::Login(records),
    }
}

/// A sweep of loss: the second point has a failed trial, the third none at all, the fourth was not measured.
pub(in crate::report) fn sweep() -> RecordedSweep {
    let trials = |add: f64| {
        let subsequent =
            (1..=3).map(|n| trial(Kind::Subsequent, n, 4.0 + add + f64::from(n) / 10.0, 3000, 10));
        subsequent.chain([trial(Kind::FirstTime, 1, 1.5 + add, 2500, 6000)]).collect::<Vec<_>>()
    };
    let mut with_failed = trials(1.0);
    with_failed.push(failed(Kind::FirstTime, 2));
    let point = |value: &str, number, run: Option<RecordedRun>, failure: Option<&str>| {
        let name = run.as_ref().map(|_| format!("20060102T150405Z-login-expC{number}"));
        let failure = failure.map(str::to_owned);
        (PointRecord { value: value.into(), number: Some(number), run: name, failure }, run)
    };
    RecordedSweep {
        directory: "runs/20060102T150405Z-sweep-login-expC".into(),
        description: SweepDescription {
            schema: "labctl.sweep-run/1".into(),
            experiment: "login".into(),
            lab: "expC".into(),
            started: Timestamp::from_nanos(1_136_214_245_000_000_000),
            labctl: "0.1.0".into(),
            kernel: "Linux 6 <&\">".into(),
            seed: 7,
            trials: 2,
            parameter: "loss".into(),
            unit: "%".into(),
            values: ["0%", "5%", "50%", "60%"].map(str::to_owned).into(),
            links: vec!["campus-a".into(), "campus-b".into()],
            labs: 1,
        },
        points: vec![
            point("0%", 0.0, Some(login_run("0%", trials(0.0))), None),
            point("5%", 5.0, Some(login_run("5%", with_failed)), None),
            point("50%", 50.0, None, Some("bob could not log in")),
        ],
    }
}

#[test]
fn in_a_file() {
    insta::assert_snapshot!(SweepReport::new(&sweep()).table(Style::Plain));
}

#[test]
fn in_a_terminal() {
    insta::assert_snapshot!(SweepReport::new(&sweep()).table(Style::Terminal));
}

#[test]
fn as_json() {
    insta::assert_snapshot!(SweepReport::new(&sweep()).json());
}

#[test]
fn quarters_of_one_value_are_that_value_and_nothing_has_none() {
    let one = Quarters::of(&[2.0]).unwrap();
    assert_eq!((one.trials, one.min, one.lower, one.max), (1, 2.0, 2.0, 2.0));
    assert_eq!(Quarters::of(&[]), None);
    let four = Quarters::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
    assert_eq!((four.lower, four.median, four.upper), (1.75, 2.5, 3.25));
}
