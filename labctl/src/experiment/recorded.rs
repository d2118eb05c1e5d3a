//! Reads a run's directory back.

mod any;
mod call;
mod search;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use any::{Circumstances, RecordedRun, Records, name};

use super::record::{EventRecord, TrialRecord};
use super::run::SCHEMA;
use crate::meter::{Packet, Timestamp, pcapng};
use crate::plan::Plan;

pub use call::CallRun;
pub use search::SearchRun;

/// A run's directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file is missing or cannot be read.
    #[error("cannot read {path}: {1}; give the directory of a run, such as runs/20060102T150405Z-login-expC", path = .0.display())]
    File(PathBuf, io::Error),
    /// A file is not what labctl writes.
    #[error("{path}, line {line}: {error}; it was changed, or written by another version of labctl", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The format of the records is another.
    #[error("{path} has the schema '{found}', and this labctl reads '{wanted}'; use the labctl that wrote it", path = .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
        /// The one that it should have.
        wanted: &'static str,
    },
    /// Not a run of logins.
    #[error("{path} holds a {found}, and only a run of logins can be read here; make one with 'labctl experiment login'", path = .path.display())]
    Experiment {
        /// The run.
        path: PathBuf,
        /// What was measured.
        found: String,
    },
    /// A run of something that this version does not know.
    #[error("{path} holds a run of '{found}', which this labctl does not know; use the labctl that wrote it", path = .path.display())]
    Unknown {
        /// The run.
        path: PathBuf,
        /// What was measured.
        found: String,
    },
    /// A capture.
    #[error("{path}: {error}", path = .path.display())]
    Packets {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: pcapng::ReadError,
    },
}

/// What `run.json` says. `docs/data-formats.md` describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Description {
    /// What was measured: `login`, `search` or `call`.
    pub experiment: String,
    /// The lab's name.
    pub lab: String,
    /// When the run began.
    pub started: Timestamp,
    /// Version of labctl.
    pub labctl: String,
    /// Kernel and its version.
    pub kernel: String,
    /// What ran the nodes.
    pub engine: String,
    /// Seed of the trials' seeds.
    pub seed: u64,
    /// Trials of each kind.
    pub trials: u32,
    /// Most clients side by side; `None`: all.
    pub parallel: Option<usize>,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}

#[derive(Deserialize)]
struct Planned {
    plan: Plan,
}

/// A run of logins, read back.
#[derive(Clone, Debug)]
pub struct LoginRun {
    /// Its directory.
    pub directory: PathBuf,
    /// What it was made from.
    pub description: Description,
    /// The rest of what it says of itself.
    pub circumstances: Circumstances,
    /// What the lab was made from.
    pub plan: Plan,
    /// Its trials.
    pub trials: Vec<TrialRecord>,
    /// What the clients said.
    pub events: Vec<EventRecord>,
}

/// A run of any experiment, read back.
#[derive(Clone, Debug)]
pub enum AnyRun {
    /// Logins.
    Login(LoginRun),
    /// Searches.
    Search(SearchRun),
    /// Calls.
    Call(CallRun),
}

impl AnyRun {
    /// Reads a run's directory, without its captures.
    ///
    /// # Errors
    ///
    /// If it is no run of an experiment that is known, or a file is not as labctl writes it.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let found = describe(directory)?.experiment;
        match found.as_str() {
            "login" => LoginRun::read(directory).map(Self::Login),
            "search" => SearchRun::read(directory).map(Self::Search),
            "call" => CallRun::read(directory).map(Self::Call),
            _ => Err(ReadError::Unknown { path: directory.to_owned(), found }),
        }
    }
}

/// What `run.json` of a directory says.
///
/// # Errors
///
/// If there is none, or it is of another version.
pub fn describe(directory: &Path) -> Result<Description, ReadError> {
    json_file(directory, "run.json", SCHEMA)
}

/// A file of one JSON document with this schema.
pub(super) fn json_file<T: DeserializeOwned>(
    directory: &Path,
    name: &str,
    wanted: &'static str,
) -> Result<T, ReadError> {
    let (path, text) = text(directory, name)?;
    let Schema { schema } = json(&path, 1, &text)?;
    if schema == wanted {
        json(&path, 1, &text)
    } else {
        Err(ReadError::Schema { path, found: schema, wanted })
    }
}

impl LoginRun {
    /// Reads a run's directory, without its captures.
    ///
    /// # Errors
    ///
    /// If it is no run of logins, or a file is not as labctl writes it.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let description = describe(directory)?;
        if description.experiment != "login" {
            return Err(ReadError::Experiment { path: directory.to_owned(), found: description.experiment });
        }
        Ok(Self {
            description,
            circumstances: circumstances(directory)?,
            plan: planned(directory)?,
            trials: lines(directory, "trials.ndjson")?,
            events: lines(directory, "events.ndjson")?,
            directory: directory.to_owned(),
        })
    }

    /// The packets of a trial.
    ///
    /// # Errors
    ///
    /// If its capture is not there, or is not as labctl writes it.
    pub fn packets(&self, trial: &TrialRecord) -> Result<Vec<Packet>, ReadError> {
        packets(&self.directory, &trial.packets)
    }

    /// What the client said in a trial, in order.
    pub fn events_of<'a>(&'a self, trial: &'a TrialRecord) -> impl Iterator<Item = &'a EventRecord> {
        self.events.iter().filter(move |event| {
            (event.kind, event.trial, &event.client) == (trial.kind, trial.trial, &trial.client)
        })
    }
}

/// The plan of a run.
fn planned(directory: &Path) -> Result<Plan, ReadError> {
    let (path, text) = text(directory, "run.json")?;
    json(&path, 1, &text).map(|Planned { plan }| plan)
}

/// What a run says of itself beside its description.
fn circumstances(directory: &Path) -> Result<Circumstances, ReadError> {
    let (path, text) = text(directory, "run.json")?;
    json(&path, 1, &text)
}

/// The packets of a capture of a run.
fn packets(directory: &Path, name: &str) -> Result<Vec<Packet>, ReadError> {
    let path = directory.join(name);
    let file = fs::read(&path).map_err(|error| ReadError::File(path.clone(), error))?;
    pcapng::read(&file).map_err(|error| ReadError::Packets { path, error })
}

fn text(directory: &Path, name: &str) -> Result<(PathBuf, String), ReadError> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(ReadError::File(path, error)),
    }
}

fn json<T: DeserializeOwned>(path: &Path, first_line: usize, text: &str) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(|error| ReadError::Content {
        path: path.to_owned(),
        line: first_line + error.line().saturating_sub(1),
        error,
    })
}

/// A file of one thing a line. A last line without its end was being written when labctl was stopped: it is left out.
pub(super) fn lines<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Vec<T>, ReadError> {
    let (path, text) = text(directory, name)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().enumerate().map(|(index, line)| json(&path, index + 1, line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_no_run_is_named_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let error = LoginRun::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("run.json") && error.contains("give the directory of a run"), "{error}");
    }

    #[test]
    fn another_schema_and_a_broken_line_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.json"), "{\"schema\": \"labctl.run/9\"}").unwrap();
        let error = describe(folder.path()).unwrap_err().to_string();
        assert!(error.contains("labctl.run/9") && error.contains(SCHEMA), "{error}");

        fs::write(folder.path().join("trials.ndjson"), "1\n2\n{\n").unwrap();
        let error = lines::<u32>(folder.path(), "trials.ndjson").unwrap_err().to_string();
        assert!(error.contains("trials.ndjson, line 3"), "{error}");
    }

    #[test]
    fn a_line_that_was_being_written_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (text, whole) in [("1\n2\n{", vec![1, 2]), ("{", vec![]), ("", vec![]), ("1\n", vec![1])] {
            fs::write(folder.path().join("trials.ndjson"), text).unwrap();
            assert_eq!(lines::<u32>(folder.path(), "trials.ndjson").unwrap(), whole);
        }
    }
}
