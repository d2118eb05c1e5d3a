//! `labctl runs`: runs that are there, listed, shown and compared.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use labctl::experiment::recorded::{RecordedRun, describe};
use labctl::experiment::sweep::{RecordedSweep, run_directories};
use labctl::report::compare::Comparison;
use labctl::report::csv;
use labctl::report::runs::{Entry, about, about_sweep, list_json, list_table, render, render_sweep};

use super::measure::style;

/// Runs that are there: what was measured, again from their records, and two of them side by side.
#[derive(Debug, clap::Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the runs in a directory: experiment, lab, when, trials, medians.
    List {
        /// The directory.
        #[arg(default_value = "runs", value_hint = clap::ValueHint::DirPath)]
        directory: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a run or a sweep: what it was made from, and its report again from the records.
    Show {
        /// Its directory.
        #[arg(value_name = "RUN", add = super::completions::runs())]
        run: PathBuf,
        /// Write the report as JSON to this file; with '-', to standard output, and nothing else there.
        #[arg(long, value_name = "FILE|-")]
        json: Option<PathBuf>,
        /// Write every trial as a row of CSV to this file; with '-', to standard output, and nothing else there.
        #[arg(long, value_name = "FILE|-", conflicts_with = "json")]
        csv: Option<PathBuf>,
        /// Print the text of the topology that it was made from, and nothing else.
        #[arg(long, conflicts_with_all = ["json", "csv"])]
        topology: bool,
    },
    /// Compare two runs of one experiment: medians, and by how much the second differs, with a confidence interval.
    Compare {
        /// The first run's directory.
        #[arg(value_name = "RUN", add = super::completions::runs())]
        first: PathBuf,
        /// The second run's directory.
        #[arg(value_name = "RUN", add = super::completions::runs())]
        second: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs `labctl runs`.
///
/// # Errors
///
/// If a directory cannot be read, or is none of a run.
pub fn run(args: &RunsArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { directory, json } => list(directory, *json)?,
        Command::Show { run, topology: true, .. } => topology(run)?,
        Command::Show { run, json, csv, .. } => show(run, json.as_deref(), csv.as_deref())?,
        Command::Compare { first, second, json } => {
            let compared = Comparison::new(&one_run(first)?, &one_run(second)?)?;
            super::print(if *json { compared.json() } else { compared.table(style()) }.as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(directory: &Path, json: bool) -> anyhow::Result<()> {
    let directories = run_directories(directory).with_context(|| {
        format!(
            "cannot list the runs in {}; experiments make it where they are started, or name another directory",
            directory.display()
        )
    })?;
    let entries: Vec<Entry> = directories.iter().map(|run| Entry::of(run)).collect();
    let text = if json {
        list_json(&entries)
    } else if entries.is_empty() {
        format!("no run in {}\n", directory.display())
    } else {
        list_table(&entries, style())
    };
    Ok(super::print(text.as_bytes())?)
}

fn show(directory: &Path, json: Option<&Path>, to: Option<&Path>) -> anyhow::Result<()> {
    let (about, report, runs) = if RecordedSweep::is_at(directory) {
        let sweep = RecordedSweep::read(directory)?;
        let report = render_sweep(&sweep, style());
        (about_sweep(&sweep), report, sweep.points.into_iter().filter_map(|(_, run)| run).collect())
    } else {
        let run = RecordedRun::read(directory)?;
        (about(&run), render(&run, style()), vec![run])
    };
    let (what, path, text) = match (json, to) {
        (Some(path), _) => ("report", path, report.json),
        (None, Some(path)) => ("CSV", path, csv::render(&runs)),
        (None, None) => return Ok(super::print(format!("{about}\n{}", report.table).as_bytes())?),
    };
    if path == Path::new("-") {
        return Ok(super::print(text.as_bytes())?);
    }
    std::fs::write(path, text).with_context(|| format!("cannot write the {what} to {}", path.display()))
}

/// Of a sweep: the topology without the sweep's values.
fn topology(directory: &Path) -> anyhow::Result<()> {
    let run = if RecordedSweep::is_at(directory) {
        let mut runs = RecordedSweep::read(directory)?.points.into_iter();
        runs.find_map(|(_, run)| run).context("no point of this sweep has records")?
    } else {
        RecordedRun::read(directory)?
    };
    let text = run.circumstances.topology.with_context(|| {
        format!(
            "{} was measured in a lab that was up before, so that its topology's text is not known; run.json has the \
             plan",
            directory.display()
        )
    })?;
    Ok(super::print(text.as_bytes())?)
}

/// A run, or the reason why a sweep is none.
fn one_run(directory: &Path) -> anyhow::Result<RecordedRun> {
    if !RecordedSweep::is_at(directory) {
        return Ok(RecordedRun::read(directory)?);
    }
    let points = run_directories(directory).unwrap_or_default();
    let readable = points.iter().filter(|run| describe(run).is_ok());
    let names: Vec<String> = readable.map(|run| run.display().to_string()).collect();
    bail!(
        "{} is a sweep, and runs are compared: name two of its points: {}",
        directory.display(),
        names.join(", ")
    )
}
