//! A run of calls, read back.

use std::path::{Path, PathBuf};

use super::{Circumstances, Description, ReadError, RecordedRun, Records, packets, planned};
use crate::experiment::call::record::CallRecord;
use crate::meter::Packet;
use crate::plan::Plan;

/// A run of calls, read back.
#[derive(Clone, Debug)]
pub struct CallRun {
    /// Its directory.
    pub directory: PathBuf,
    /// What it was made from.
    pub description: Description,
    /// The rest of what it says of itself.
    pub circumstances: Circumstances,
    /// What the lab was made from.
    pub plan: Plan,
    /// Its calls.
    pub calls: Vec<CallRecord>,
}

impl CallRun {
    /// Reads a run's directory, without its captures.
    ///
    /// # Errors
    ///
    /// If it is no run of calls, or a file is not as labctl writes it.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let plan = planned(directory)?;
        let run = RecordedRun::read(directory)?;
        let Records::Call(calls) = run.records else {
            return Err(ReadError::Unknown { path: run.directory, found: run.description.experiment });
        };
        let RecordedRun { directory, description, circumstances, .. } = run;
        Ok(Self { directory, description, circumstances, plan, calls })
    }

    /// The packets at the caller and at the callee; `None` of a call that has no captures.
    ///
    /// # Errors
    ///
    /// If a capture is not there, or is not as labctl writes it.
    pub fn packets(&self, call: &CallRecord) -> Result<Option<[Vec<Packet>; 2]>, ReadError> {
        // The clients' come first, those of gateways after them.
        let [here, there, ..] = call.packets.as_slice() else { return Ok(None) };
        Ok(Some([packets(&self.directory, here)?, packets(&self.directory, there)?]))
    }
}
