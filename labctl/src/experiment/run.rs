//! The directory of a run: what was measured, from what, with what.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::session::SweepPoint;
use crate::meter::Timestamp;
use crate::plan::Plan;

/// Version of the records' format.
pub const SCHEMA: &str = "labctl.run/1";

/// A run's directory could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file or directory.
    #[error("{1} {path}: {2}; choose another place with '--runs DIR'", path = .0.display())]
    File(PathBuf, &'static str, io::Error),
}

/// What a run's `run.json` says: everything that it takes to run it again.
#[derive(Clone, Debug, Serialize)]
pub struct RunDescription<'a> {
    /// `login`, `search` or `call`.
    pub experiment: &'static str,
    /// Version of labctl.
    pub labctl: &'static str,
    /// Kernel and its version.
    pub kernel: String,
    /// What runs the nodes, and its version.
    pub engine: String,
    /// The topology file as it was read; `None` if the lab was up before.
    pub topology: Option<&'a str>,
    /// Seed that the trials' seeds are made from.
    pub seed: u64,
    /// Trials of each kind.
    pub trials: u32,
    /// How many clients were measured side by side at the most; `None`: all.
    pub parallel: Option<usize>,
    /// What kinds of login, or which cases of search.
    pub kinds: Vec<&'static str>,
    /// The point of a sweep that this run is, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<&'a SweepPoint>,
}

/// The file `run.json`.
#[derive(Serialize)]
struct RunFile<'a> {
    schema: &'static str,
    lab: &'a str,
    started: Timestamp,
    #[serde(flatten)]
    description: &'a RunDescription<'a>,
    /// SHA-256 of `plan` as compact JSON, in hexadecimal.
    plan_sha256: String,
    plan: &'a Plan,
}

/// A run's directory.
#[derive(Debug)]
pub struct Run {
    directory: PathBuf,
}

/// The files that an experiment's records are in; they are there from the beginning on, empty.
fn files(experiment: &str) -> &'static [&'static str] {
    if experiment == "call" { &[CALLS] } else { &[TRIALS, EVENTS] }
}

/// Records of logins and searches.
pub(super) const TRIALS: &str = "trials.ndjson";
/// Their events.
const EVENTS: &str = "events.ndjson";
/// Records of calls.
pub(super) const CALLS: &str = "calls.ndjson";

impl Run {
    /// Makes a new directory below `runs`, named for the time, the experiment and the lab. Never uses one
    /// that is there.
    pub fn create(runs: &Path, plan: &Plan, description: &RunDescription<'_>) -> Result<Self, RunError> {
        let started = Timestamp::now();
        let directory = make_directory(runs, started, description.experiment, plan.lab.as_str())?;
        let digest = Sha256::digest(serde_json::to_vec(plan).map_err(writing(&directory))?);
        let file = RunFile {
            schema: SCHEMA,
            lab: plan.lab.as_str(),
            started,
            description,
            plan_sha256: hexadecimal(&digest),
            plan,
        };
        write_json(&directory.join("run.json"), &file)?;
        for name in files(description.experiment) {
            create(&directory.join(name))?;
        }
        Ok(Self { directory })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes down a trial and its events.
    pub fn add(&mut self, trial: &impl Serialize, events: &[impl Serialize]) -> Result<(), RunError> {
        append(&self.directory.join(EVENTS), events)?;
        append(&self.directory.join(TRIALS), [trial])
    }

    /// Writes down a call.
    pub fn add_call(&mut self, call: &impl Serialize) -> Result<(), RunError> {
        append(&self.directory.join(CALLS), [call])
    }

    /// Writes a file of its own, one thing a line.
    pub fn write(&self, name: &str, things: &[impl Serialize]) -> Result<(), RunError> {
        let path = self.directory.join(name);
        create(&path)?;
        append(&path, things)
    }
}

/// Makes a file of one JSON document.
pub(super) fn write_json(path: &Path, document: &impl Serialize) -> Result<(), RunError> {
    let mut text = serde_json::to_vec_pretty(document).map_err(writing(path))?;
    text.push(b'\n');
    create(path)?.write_all(&text).map_err(writing(path))
}

/// Adds things to a file that is there, one a line.
pub(super) fn append<T: Serialize>(path: &Path, things: impl IntoIterator<Item = T>) -> Result<(), RunError> {
    let written = File::options().append(true).open(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        things.into_iter().try_for_each(|thing| write_line(&mut file, &thing))?;
        file.flush()
    });
    written.map_err(writing(path))
}

/// Makes a directory that no other run has.
pub(super) fn make_directory(
    runs: &Path,
    started: Timestamp,
    experiment: &str,
    lab: &str,
) -> Result<PathBuf, RunError> {
    fs::create_dir_all(runs).map_err(|error| RunError::File(runs.to_owned(), "making directory", error))?;
    // 2006-01-02T15:04:05.000Z becomes 20060102T150405Z, which sorts and needs no quoting.
    let time: String = started.to_string().chars().take(19).filter(char::is_ascii_alphanumeric).collect();
    let base = format!("{time}Z-{experiment}-{lab}");
    for number in 1u32.. {
        let name = if number == 1 { base.clone() } else { format!("{base}.{number}") };
        let directory = runs.join(name);
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(RunError::File(directory, "making directory", error)),
        }
    }
    unreachable!("a directory holds fewer than 2^32 runs of one second")
}

pub(super) fn create(path: &Path) -> Result<File, RunError> {
    File::create_new(path).map_err(|error| RunError::File(path.to_owned(), "making file", error))
}

pub(super) fn writing<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> RunError {
    move |error| RunError::File(path.to_owned(), "writing", error.into())
}

fn write_line(file: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, value)?;
    file.write_all(b"\n")
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes all that is written to it");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_one_second_have_a_directory_each() {
        let runs = tempfile::tempdir().unwrap();
        let started = Timestamp::from_nanos(1_136_214_245_123_456_789);
        let first = make_directory(runs.path(), started, "login", "expC").unwrap();
        let second = make_directory(runs.path(), started, "login", "expC").unwrap();
        assert_eq!(first.file_name().unwrap(), "20060102T150405Z-login-expC");
        assert_eq!(second.file_name().unwrap(), "20060102T150405Z-login-expC.2");
    }

    #[test]
    fn a_place_where_nothing_can_be_made_is_named_with_the_mend() {
        let error = make_directory(Path::new("/proc/nowhere"), Timestamp::now(), "login", "expC");
        let error = error.unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere") && error.contains("--runs"), "{error}");
    }
}
