//! A run of searches, read back.

use std::path::{Path, PathBuf};

use super::{Circumstances, Description, ReadError, RecordedRun, Records, packets, planned};
use crate::experiment::search::Measurements;
use crate::experiment::search::record::SearchRecord;
use crate::meter::Packet;
use crate::plan::Plan;

/// A run of searches, read back.
#[derive(Clone, Debug)]
pub struct SearchRun {
    /// Its directory.
    pub directory: PathBuf,
    /// What it was made from.
    pub description: Description,
    /// The rest of what it says of itself.
    pub circumstances: Circumstances,
    /// What the lab was made from.
    pub plan: Plan,
    /// Its searches, and what the super nodes held and did.
    pub measured: Measurements,
}

impl SearchRun {
    /// Reads a run's directory, without its captures.
    ///
    /// # Errors
    ///
    /// If it is no run of searches, or a file is not as labctl writes it.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let plan = planned(directory)?;
        let run = RecordedRun::read(directory)?;
        let Records::Search(measured) = run.records else {
            return Err(ReadError::Unknown { path: run.directory, found: run.description.experiment });
        };
        let RecordedRun { directory, description, circumstances, .. } = run;
        Ok(Self { directory, description, circumstances, plan, measured })
    }

    /// The packets of a search.
    ///
    /// # Errors
    ///
    /// If its capture is not there, or is not as labctl writes it.
    pub fn packets(&self, record: &SearchRecord) -> Result<Vec<Packet>, ReadError> {
        packets(&self.directory, &record.packets)
    }
}
