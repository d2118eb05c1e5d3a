//! `labctl report`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use labctl::experiment::recorded::{AnyRun, ReadError};
use labctl::experiment::sweep::RecordedSweep;
use labctl::report::SweepReport;
use labctl::report::html::{self, Calls, Material, Searches, SetUp};

/// Makes a report of runs that are there: one page of HTML that needs nothing else.
///
/// Runs of logins, searches and calls can be in one page. Runs of one set-up are put together.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Directories of runs, such as runs/20060102T150405Z-login-expC; or the directory of a sweep.
    #[arg(required = true, value_name = "RUN", add = super::completions::runs())]
    runs: Vec<PathBuf>,
    /// Write the page to this file.
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

/// Runs `labctl report`.
///
/// # Errors
///
/// If a run cannot be read or the page cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    write(&args.runs, &args.html)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page about runs, each of which counts once, or about a sweep.
pub fn write(runs: &[PathBuf], path: &Path) -> anyhow::Result<()> {
    if let Some(sweep) = runs.iter().find(|run| RecordedSweep::is_at(run)) {
        ensure!(
            runs.len() == 1,
            "{} is a sweep, which has a page of its own: give it alone, or runs without it",
            sweep.display()
        );
        let report = SweepReport::new(&RecordedSweep::read(sweep)?);
        return super::measure::write_page(path, &html::sweep::render(&report));
    }
    let mut seen = BTreeSet::new();
    let (mut logins, mut searches, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for run in runs {
        // Where it cannot be told, reading says why.
        if !seen.insert(fs::canonicalize(run).unwrap_or_else(|_| run.clone())) {
            continue;
        }
        match AnyRun::read(run)? {
            AnyRun::Login(run) => logins.push(run),
            AnyRun::Search(run) => searches.push(run),
            AnyRun::Call(run) => calls.push(run),
        }
    }
    let material = Material {
        logins: SetUp::gather(logins, |run, trial| kept(run.packets(trial).map(Some)))?,
        searches: Searches::gather(searches, |run, search| kept(run.packets(search).map(Some)))?,
        calls: Calls::gather(calls, |run, call| kept(run.packets(call)))?,
    };
    super::measure::write_page(path, &html::render(&material))
}

/// What was read of a capture; nothing if it is no longer there.
fn kept<T>(packets: Result<Option<T>, ReadError>) -> Result<Option<T>, ReadError> {
    match packets {
        // Somebody needed the room.
        Err(ReadError::File(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        packets => packets,
    }
}
