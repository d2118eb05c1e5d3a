//! A run of any experiment, read back.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Description, ReadError, describe, json, lines, text};
use crate::experiment::call::record::CallRecord;
use crate::experiment::record::TrialRecord;
use crate::experiment::run::{CALLS, TRIALS};
use crate::experiment::search::Measurements;
use crate::experiment::session::SweepPoint;
use crate::plan::Plan;

/// What was measured.
#[derive(Clone, Debug)]
pub enum Records {
    /// Logins.
    Login(Vec<TrialRecord>),
    /// Searches.
    Search(Measurements),
    /// Calls.
    Call(Vec<CallRecord>),
}

impl Records {
    /// How many trials are written down.
    #[must_use]
    pub fn trials(&self) -> usize {
        match self {
            Self::Login(trials) => trials.len(),
            Self::Search(measured) => measured.records.len(),
            Self::Call(calls) => calls.len(),
        }
    }

    /// Of these, how many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        match self {
            Self::Login(trials) => trials.iter().filter(|trial| trial.failure.is_some()).count(),
            Self::Search(measured) => measured.records.iter().filter(|trial| trial.failure.is_some()).count(),
            Self::Call(calls) => calls.iter().filter(|call| call.failure.is_some()).count(),
        }
    }
}

/// What `run.json` says beside [`Description`]; runs of older versions say less.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Circumstances {
    /// What kinds of login, or which cases of search.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// The topology's text; `None` if the lab was up before.
    #[serde(default)]
    pub topology: Option<String>,
    /// The point of a sweep that it is, if it is one.
    #[serde(default)]
    pub sweep: Option<SweepPoint>,
}

#[derive(Deserialize)]
struct Planned {
    plan: Plan,
}

/// A run of any experiment, without its captures and events.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    /// Its directory.
    pub directory: PathBuf,
    /// What it was made from.
    pub description: Description,
    /// The rest of what it says of itself.
    pub circumstances: Circumstances,
    /// What the lab was made from; what is wrong with it if it is a plan of another version.
    pub plan: Result<Box<Plan>, String>,
    /// What was measured.
    pub records: Records,
}

impl RecordedRun {
    /// Reads a run's directory. One that was interrupted has the trials that ended before.
    ///
    /// # Errors
    ///
    /// If a file is missing, or not as labctl writes it.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let description = describe(directory)?;
        let (path, text) = text(directory, "run.json")?;
        let records = match description.experiment.as_str() {
            "login" => Records::Login(lines(directory, TRIALS)?),
            "search" => Records::Search(Measurements {
                records: lines(directory, TRIALS)?,
                super_nodes: if_there(lines(directory, "super-nodes.ndjson"))?,
            }),
            // Older versions made the file with the first call.
            "call" => Records::Call(if_there(lines(directory, CALLS))?),
            other => {
                return Err(ReadError::Unknown { path: directory.to_owned(), found: other.to_owned() });
            }
        };
        Ok(Self {
            directory: directory.to_owned(),
            circumstances: json(&path, 1, &text)?,
            plan: serde_json::from_str(&text)
                .map(|Planned { plan }| Box::new(plan))
                .map_err(|error| error.to_string()),
            description,
            records,
        })
    }

    /// The name of its directory.
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.directory)
    }

    /// Trials of all kinds that were to be made.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let kinds = match &self.records {
            Records::Call(_) => 1,
            Records::Login(_) | Records::Search(_) => self.circumstances.kinds.len().max(1),
        };
        self.description.trials as usize * kinds
    }

    /// True if not all of its trials are written down: it was interrupted, or still goes on.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.records.trials() < self.wanted()
    }
}

/// The name of a directory, also of `.`.
#[must_use]
pub fn name(directory: &Path) -> String {
    let named = directory.file_name().map(|name| name.to_string_lossy().into_owned());
    let resolved =
        || Some(std::fs::canonicalize(directory).ok()?.file_name()?.to_string_lossy().into_owned());
    named.or_else(resolved).unwrap_or_else(|| directory.display().to_string())
}

fn if_there<T>(read: Result<Vec<T>, ReadError>) -> Result<Vec<T>, ReadError> {
    match read {
        Err(ReadError::File(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}
