//! Two runs side by side: medians, and by how much the second is more than the first.

use std::fmt::Write as _;

use comfy_table::CellAlignment;
use serde::Serialize;

use super::figure::{Figure, Sample, samples};
use super::shift::Shift;
use super::sweep::Quarters;
use super::table::Style;
use crate::experiment::recorded::RecordedRun;

/// Schema of `labctl runs compare --json`.
const SCHEMA: &str = "labctl.comparison/1";

/// Two runs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// They measured something else each.
    #[error("{first} measured a {one}, and {second} a {other}; compare runs of one experiment", first = .runs[0], second = .runs[1])]
    Experiments {
        /// The runs' names.
        runs: [String; 2],
        /// What the first measured.
        one: String,
        /// What the second measured.
        other: String,
    },
    /// They have no figure in common.
    #[error(
        "{first} and {second} have no figure in common: no trial of the same kind came about in both",
        first = .0[0], second = .0[1]
    )]
    NothingInCommon([String; 2]),
}

/// A figure in two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The figure.
    pub figure: Figure,
    /// Of which kind of trial.
    pub of: &'static str,
    /// How it is spread in the first run and in the second.
    pub both: [Quarters; 2],
    /// From the first to the second.
    pub shift: Shift,
}

/// Two runs of one experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The runs' names.
    pub runs: [String; 2],
    /// What they were not made alike in: what, in the first, in the second.
    pub unlike: Vec<(&'static str, [String; 2])>,
    /// Trials that failed.
    pub failed: [usize; 2],
    /// The figures that both have.
    pub figures: Vec<Compared>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    runs: &'a [String; 2],
    failed: [usize; 2],
    unlike: Vec<JsonUnlike<'a>>,
    figures: Vec<JsonFigure<'a>>,
}

#[derive(Serialize)]
struct JsonUnlike<'a> {
    what: &'a str,
    first: &'a str,
    second: &'a str,
}

#[derive(Serialize)]
struct JsonFigure<'a> {
    figure: &'a str,
    of: &'a str,
    unit: &'a str,
    first: Quarters,
    second: Quarters,
    difference: f64,
    interval: Option<(f64, f64)>,
    excludes_zero: Option<bool>,
}

impl Comparison {
    /// Of two runs.
    ///
    /// # Errors
    ///
    /// If they are of different experiments, or have no figure in common.
    pub fn new(first: &RecordedRun, second: &RecordedRun) -> Result<Self, CompareError> {
        let (one, other) = (&first.description, &second.description);
        let runs = [first.name(), second.name()];
        if one.experiment != other.experiment {
            let (one, other) = (one.experiment.clone(), other.experiment.clone());
            return Err(CompareError::Experiments { runs, one, other });
        }
        let theirs = samples(&second.records);
        let figures: Vec<Compared> = samples(&first.records)
            .iter()
            .filter_map(|mine| {
                let same = |their: &&Sample| (mine.figure, mine.of) == (their.figure, their.of);
                let their = theirs.iter().find(same)?;
                let both = [Quarters::of(&mine.values)?, Quarters::of(&their.values)?];
                let shift = Shift::between(&mine.values, &their.values)?;
                Some(Compared { figure: mine.figure, of: mine.of, both, shift })
            })
            .collect();
        if figures.is_empty() {
            return Err(CompareError::NothingInCommon(runs));
        }
        let failed = [first.records.failed(), second.records.failed()];
        Ok(Self { runs, unlike: unlike(first, second), failed, figures })
    }

    /// As JSON, indented, with a line feed at the end.
    #[must_use]
    pub fn json(&self) -> String {
        let unlike = self.unlike.iter();
        super::json::text(&Document {
            schema: SCHEMA,
            runs: &self.runs,
            failed: self.failed,
            unlike: unlike.map(|(what, [first, second])| JsonUnlike { what, first, second }).collect(),
            figures: self
                .figures
                .iter()
                .map(|one| JsonFigure {
                    figure: one.figure.key,
                    of: one.of,
                    unit: one.figure.unit,
                    first: one.both[0],
                    second: one.both[1],
                    difference: one.shift.estimate,
                    interval: one.shift.interval,
                    excludes_zero: one.shift.excludes_zero(),
                })
                .collect(),
        })
    }

    /// As a table, with what it means below.
    #[must_use]
    pub fn table(&self, style: Style) -> String {
        let mut table = style.table();
        table.set_header(["figure", "first", "second", "difference", "95 % interval", "excludes 0"]);
        for one in &self.figures {
            table.add_row(cells(one));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let failed = |count| if count == 0 { String::new() } else { format!(" ({count} trials FAILED)") };
        let mut text = format!(
            "first:  {}{}\nsecond: {}{}\n{table}\n",
            self.runs[0],
            failed(self.failed[0]),
            self.runs[1],
            failed(self.failed[1])
        );
        for (what, [first, second]) in &self.unlike {
            let _ = writeln!(text, "Not alike: {what}: {first}, and {second}.");
        }
        text + LEGEND + "\n"
    }
}

const LEGEND: &str = "Medians, with the number of trials. Difference: the median of all differences between a trial of the \
second run and one of the first (Hodges and Lehmann). Interval: its distribution-free 95 % confidence interval from Mann \
and Whitney's U, exact below 50 trials; '-' with too few for one. Of many figures that do not differ, one in 20 excludes \
0 by chance.";

fn cells(one: &Compared) -> [String; 6] {
    let places = one.figure.places;
    let name =
        if one.of.is_empty() { one.figure.title() } else { format!("{} {}", one.of, one.figure.title()) };
    let median = |quarters: &Quarters| format!("{:.places$} ({})", quarters.median, quarters.trials);
    let interval = one.shift.interval;
    let word = one.shift.excludes_zero().map_or("too few", |excludes| if excludes { "yes" } else { "no" });
    [
        name,
        median(&one.both[0]),
        median(&one.both[1]),
        format!("{:+.places$}", one.shift.estimate),
        interval.map_or("-".to_owned(), |(low, high)| format!("{low:+.places$} to {high:+.places$}")),
        word.to_owned(),
    ]
}

/// What a run says of itself.
type Said<'a> = &'a dyn Fn(&RecordedRun) -> String;

/// What two runs were not made alike in.
fn unlike(first: &RecordedRun, second: &RecordedRun) -> Vec<(&'static str, [String; 2])> {
    let value = |run: &RecordedRun| {
        let point = run.circumstances.sweep.as_ref();
        point.map_or("as made".to_owned(), |point| format!("{} = {}", point.parameter, point.value))
    };
    let of: [(_, Said<'_>); 7] = [
        ("lab", &|run| run.description.lab.clone()),
        ("sweep", &value),
        ("plan, SHA-256", &|run| run.description.plan_sha256.chars().take(12).collect()),
        ("seed", &|run| run.description.seed.to_string()),
        ("labctl", &|run| run.description.labctl.clone()),
        ("kernel", &|run| run.description.kernel.clone()),
        ("engine", &|run| run.description.engine.clone()),
    ];
    let both = of.into_iter().map(|(what, of)| (what, [of(first), of(second)]));
    both.filter(|(_, [first, second])| first != second).collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::trial;
    use super::super::sweep::tests::login_run;
    use super::*;
    use crate::experiment::record::Kind;

    fn runs() -> [RecordedRun; 2] {
        let trials = |add: f64| {
            let all = (1..=8).map(|n| trial(Kind::Subsequent, n, 4.0 + add + f64::from(n) / 10.0, 3000, 10));
            all.chain([trial(Kind::FirstTime, 1, 1.5, 2500, 6000)]).collect()
        };
        let mut slower = login_run("slower", trials(0.9));
        slower.description.kernel = "Linux 7".into();
        [login_run("quick", trials(0.0)), slower]
    }

    #[test]
    fn a_difference_is_seen_where_there_is_one() {
        let [one, other] = runs();
        let compared = Comparison::new(&one, &other).unwrap();
        let of = |key: &str, kind: &str| {
            compared.figures.iter().find(|one| one.figure.key == key && one.of == kind).unwrap().shift
        };
        let login = of("login_s", "subsequent");
        assert!((login.estimate - 0.9).abs() < 1e-9);
        assert_eq!(login.excludes_zero(), Some(true));
        assert_eq!(of("payload_bytes", "subsequent").excludes_zero(), Some(false));
        assert_eq!(of("login_s", "first-time").excludes_zero(), None);
        assert_eq!(compared.unlike, [("kernel", ["Linux 6".to_owned(), "Linux 7".to_owned()])]);
    }

    #[test]
    fn as_text_and_as_json() {
        let [one, other] = runs();
        let mut compared = Comparison::new(&one, &other).unwrap();
        compared.figures.retain(|one| one.figure.key == "login_s");
        insta::assert_snapshot!(compared.table(Style::Plain));
        insta::assert_snapshot!(compared.json());
    }

    #[test]
    fn runs_with_nothing_in_common_are_refused() {
        let [one, _] = runs();
        let only = login_run("first", vec![trial(Kind::FirstTime, 1, 1.0, 1, 1)]);
        let other = login_run("subsequent", vec![trial(Kind::Subsequent, 1, 1.0, 1, 1)]);
        assert!(Comparison::new(&only, &other).unwrap_err().to_string().contains("no figure in common"));
        let mut call = one.clone();
        call.description.experiment = "call".into();
        assert!(
            Comparison::new(&one, &call).unwrap_err().to_string().contains("compare runs of one experiment")
        );
    }
}
