//! Brings the WAN of a lab back whose engine has ended. Nodes are left as they are.

use super::wan::Wan;
use super::{LabError, LabLock, Programs, StateDirectory, find_lab};
use crate::keeper;
use crate::names::LabName;
use crate::runtime::{Runtime, RuntimeKind};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// The WAN works; there was nothing to do.
    Nothing,
    /// The keeper has a new engine.
    Engine,
    /// The lab has a new keeper.
    Keeper,
}

/// Brings the WAN of a lab back. Its links are as in the plan then: changes at run time are forgotten, and its
/// counters begin at 0.
///
/// Without a keeper there are no nodes either, if they were the keeper's: such a lab is to be made again.
pub async fn repair(runtime: &dyn Runtime, lab: &LabName, programs: &Programs) -> Result<Repaired, LabError> {
    let found = super::select(runtime, Some(lab)).await?;
    let _lock = LabLock::acquire(lab)?;
    let cannot = |reason: &str| LabError::Wan { lab: lab.clone(), reason: reason.to_owned() };
    let directory = StateDirectory::of(lab);
    if !found.keepers.is_empty() {
        let repaired = Wan::repair(lab).await?;
        return Ok(if repaired { Repaired::Engine } else { Repaired::Nothing });
    }
    if found.runtime == Some(RuntimeKind::Embedded) {
        return Err(cannot("its nodes ended with its keeper; take it down and bring it up again"));
    }
    if found.plan.is_none() {
        return Err(cannot("its plan is gone; take it down and bring it up again"));
    }
    let started = keeper::spawn(&programs.labctl, lab, &directory.plan_file(), &directory.keeper_log()).await;
    started.map_err(|error| LabError::Network {
        doing: "starting the lab's keeper".to_owned(),
        source: Box::new(error),
    })?;
    match find_lab(runtime, lab).await? {
        Some(_) => Ok(Repaired::Keeper),
        None => Err(cannot("it was taken down meanwhile")),
    }
}
