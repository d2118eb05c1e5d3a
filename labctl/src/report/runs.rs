//! Runs that are there: what a directory of them holds, and one of them again from its records.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::call_trials::{CallTrials, calls_text};
use super::figure::samples;
use super::sweep::{Quarters, SweepReport};
use super::table::{self, Style};
use super::{Row, SearchReport, call, find_published, json};
use crate::experiment::recorded::{ReadError, RecordedRun, Records, name};
use crate::experiment::sweep::RecordedSweep;
use crate::meter::Timestamp;

/// Schema of `labctl runs list --json`.
const LIST: &str = "labctl.runs/1";

/// A report in both of its forms.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// As `--json` of the experiment writes it.
    pub json: String,
    /// As the experiment prints it.
    pub table: String,
    /// True if a trial failed.
    pub failed: bool,
}

/// A run's report, again from its records.
#[must_use]
pub fn render(run: &RecordedRun, style: Style) -> Rendered {
    let lab = run.description.lab.as_str();
    match &run.records {
        Records::Login(trials) => {
            let published = run.plan.as_ref().ok().and_then(|plan| plan.published.as_deref());
            let rows = [Row::new(lab, trials, published.and_then(find_published))];
            let failed = rows[0].failed > 0;
            Rendered { json: json::render(json::LOGIN, &rows), table: table::render(&rows, style), failed }
        }
        Records::Search(measured) => {
            let report = SearchReport::new(lab, measured);
            Rendered { json: report.json(), table: report.table(style), failed: report.has_failures() }
        }
        Records::Call(calls) => {
            let failed = calls.iter().any(|call| call.failure.is_some());
            let (json, table) = match &calls[..] {
                [one] if run.description.trials == 1 => (call::json(one), call::text(one)),
                all => (CallTrials::new(all).json(all), calls_text(all)),
            };
            Rendered { json, table, failed }
        }
    }
}

/// A sweep's report, from its records.
#[must_use]
pub fn render_sweep(sweep: &RecordedSweep, style: Style) -> Rendered {
    let report = SweepReport::new(sweep);
    Rendered { json: report.json(), table: report.table(style), failed: report.has_failures() }
}

/// Who a run is, in lines.
#[must_use]
pub fn about(run: &RecordedRun) -> String {
    let said = &run.description;
    let circumstances = &run.circumstances;
    let mut lines = vec![
        ("run", run.directory.display().to_string()),
        ("experiment", experiment(run)),
        ("lab", lab(run)),
        ("started", said.started.to_string()),
        ("seed", said.seed.to_string()),
        ("versions", format!("labctl {}, {}, {}", said.labctl, said.kernel, said.engine)),
        ("plan", format!("SHA-256 {}", said.plan_sha256)),
    ];
    if let Some(point) = &circumstances.sweep {
        let on =
            if point.links.is_empty() { String::new() } else { format!(" on {}", point.links.join(", ")) };
        lines.push(("sweep", format!("{} = {}{on}", point.parameter, point.value)));
    }
    let topology = match &circumstances.topology {
        Some(_) => "is in run.json ('--topology' prints it)",
        None => "not known: the lab was up before; its plan is in run.json",
    };
    lines.push(("topology", topology.to_owned()));
    if run.is_cut() {
        let (there, wanted) = (run.records.trials(), run.wanted());
        lines.push((
            "INTERRUPTED",
            format!("{there} of {wanted} trials are written down (it was stopped, or still goes on)"),
        ));
    }
    in_lines(lines)
}

fn in_lines(lines: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut out = String::new();
    for (what, text) in lines {
        let _ = writeln!(out, "{what:<12} {text}");
    }
    out
}

/// Who a sweep is, in lines.
#[must_use]
pub fn about_sweep(sweep: &RecordedSweep) -> String {
    let said = &sweep.description;
    let labs = match said.labs {
        0 => "in a lab that was up".to_owned(),
        1 => "in one lab, changed while it ran".to_owned(),
        labs => format!("in {labs} labs, one after another"),
    };
    let lines = [
        ("sweep", sweep.directory.display().to_string()),
        ("experiment", format!("{}, {} trials of each kind at each point", said.experiment, said.trials)),
        ("values", format!("{} = {}; {labs}", said.parameter, said.values.join(", "))),
        ("lab", said.lab.clone()),
        ("started", said.started.to_string()),
        ("seed", said.seed.to_string()),
        ("versions", format!("labctl {}, {}", said.labctl, said.kernel)),
    ];
    in_lines(lines)
}

fn experiment(run: &RecordedRun) -> String {
    let said = &run.description;
    let kinds = &run.circumstances.kinds;
    let of = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let each = if kinds.len() > 1 { " of each kind" } else { "" };
    let most = said.parallel.map_or(String::new(), |most| format!(", {most} side by side at the most"));
    format!("{}{of}, {} trials{each}{most}", said.experiment, said.trials)
}

fn lab(run: &RecordedRun) -> String {
    let lab = &run.description.lab;
    match &run.plan {
        Ok(plan) => {
            let (nodes, gateways) = (plan.nodes.len(), plan.gateways.len());
            let title = if plan.title.is_empty() { String::new() } else { format!("{}; ", plan.title) };
            format!("{lab}: {title}{nodes} nodes, {gateways} gateways")
        }
        Err(_) => format!("{lab}; its plan is of another version of labctl and cannot be read by this one"),
    }
}

/// One directory of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The directory's name.
    pub run: String,
    /// `login`, `search`, `call`; `null` if it cannot be read.
    pub experiment: Option<String>,
    /// The lab's name.
    pub lab: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// Trials that are written down.
    pub trials: usize,
    /// Trials that were to be made.
    pub wanted: usize,
    /// Trials that failed.
    pub failed: usize,
    /// The sweep, if it is one: what is swept, and the values that were measured.
    pub sweep: Option<(String, Vec<String>)>,
    /// The median of each main figure.
    pub medians: Vec<Median>,
    /// What is wrong with the directory.
    pub problem: Option<String>,
}

/// A median of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Median {
    /// The figure.
    pub figure: &'static str,
    /// Of which kind of trial.
    pub of: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The median.
    pub median: f64,
    /// In words.
    #[serde(skip)]
    words: String,
}

impl Entry {
    /// Of a directory.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let read = if RecordedSweep::is_at(directory) {
            RecordedSweep::read(directory).map(|sweep| Self::of_sweep(&sweep))
        } else {
            RecordedRun::read(directory).map(|run| Self::of_run(&run))
        };
        read.unwrap_or_else(|error| Self::of_problem(directory, &error))
    }

    fn of_run(run: &RecordedRun) -> Self {
        let main = samples(&run.records).into_iter().filter(|sample| sample.figure.main);
        let median = |sample: super::figure::Sample| {
            let (figure, of, name) = (sample.figure, sample.of, sample.name());
            let median = Quarters::of(&sample.values)?.median;
            let words = format!("{name} {median:.places$} {}", figure.unit, places = figure.places);
            let words = words.trim_end().to_owned();
            Some(Median { figure: figure.key, of, unit: figure.unit, median, words })
        };
        Self {
            run: run.name(),
            experiment: Some(run.description.experiment.clone()),
            lab: Some(run.description.lab.clone()),
            started: Some(run.description.started),
            trials: run.records.trials(),
            wanted: run.wanted(),
            failed: run.records.failed(),
            sweep: None,
            medians: main.filter_map(median).collect(),
            problem: None,
        }
    }

    fn of_sweep(sweep: &RecordedSweep) -> Self {
        let said = &sweep.description;
        let runs = || sweep.points.iter().filter_map(|(_, run)| run.as_ref());
        // What a point takes, the others take too, measured or not.
        let each = runs().map(RecordedRun::wanted).max().unwrap_or(said.trials as usize);
        Self {
            run: name(&sweep.directory),
            experiment: Some(said.experiment.clone()),
            lab: Some(said.lab.clone()),
            started: Some(said.started),
            trials: runs().map(|run| run.records.trials()).sum(),
            wanted: each * said.values.len(),
            failed: runs().map(|run| run.records.failed()).sum(),
            sweep: Some((
                said.parameter.clone(),
                sweep.points.iter().map(|(point, _)| point.value.clone()).collect(),
            )),
            medians: Vec::new(),
            problem: None,
        }
    }

    fn of_problem(directory: &Path, error: &ReadError) -> Self {
        Self {
            run: name(directory),
            experiment: None,
            lab: None,
            started: None,
            trials: 0,
            wanted: 0,
            failed: 0,
            sweep: None,
            medians: Vec::new(),
            problem: Some(error.to_string()),
        }
    }

    fn figures(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("cannot be read: {problem}");
        }
        match &self.sweep {
            Some((parameter, values)) => format!("{parameter} = {}", values.join(", ")),
            None => self.medians.iter().map(|median| median.words.as_str()).collect::<Vec<_>>().join("; "),
        }
    }

    fn cells(&self) -> [String; 7] {
        let sweep = if self.sweep.is_some() { " sweep" } else { "" };
        let trials = if self.trials < self.wanted {
            format!("{} of {}", self.trials, self.wanted)
        } else {
            self.trials.to_string()
        };
        let known = self.problem.is_none();
        [
            self.run.clone(),
            self.experiment.as_ref().map_or("?".to_owned(), |name| format!("{name}{sweep}")),
            self.lab.clone().unwrap_or_default(),
            // To the second.
            self.started.map_or(String::new(), |at| at.to_string().chars().take(19).collect()),
            if known { trials } else { String::new() },
            if known { self.failed.to_string() } else { String::new() },
            self.figures(),
        ]
    }
}

/// A list as a table. Where trials are missing, the run was interrupted or still goes on.
#[must_use]
pub fn list_table(entries: &[Entry], style: Style) -> String {
    let mut table = Table::new();
    table.load_style(match style {
        Style::Terminal => NOTHING,
        Style::Plain => ASCII_MARKDOWN,
    });
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["RUN", "EXPERIMENT", "LAB", "STARTED, UTC", "TRIALS", "FAILED", "MEDIANS"]);
    for entry in entries {
        table.add_row(entry.cells());
    }
    format!("{table}\n")
}

/// A list as JSON.
#[must_use]
pub fn list_json(entries: &[Entry]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        runs: &'a [Entry],
    }
    json::text(&Document { schema: LIST, runs: entries })
}

#[cfg(test)]
mod tests;
