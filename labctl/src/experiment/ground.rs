//! A lab that runs, as the ground of an experiment.

use std::path::PathBuf;

use super::login::Ground;
use crate::lab::{Condition, Lab, Wan, find_lab};
use crate::names::NodeName;
use crate::plan::Plan;
use crate::runtime::Runtime;

/// A lab that runs, and what runs its nodes.
pub struct RunningLab<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The runtime.
    pub runtime: &'a dyn Runtime,
    /// What experiments go by: what the lab was made from, with what was changed in it since.
    pub plan: &'a Plan,
}

impl<'a> RunningLab<'a> {
    /// A lab that is as it was made.
    #[must_use]
    pub fn new(lab: &'a Lab, runtime: &'a dyn Runtime) -> Self {
        Self { lab, runtime, plan: lab.plan() }
    }
}

impl Ground for RunningLab<'_> {
    fn plan(&self) -> &Plan {
        self.plan
    }

    fn control_socket(&self, node: &NodeName) -> PathBuf {
        self.lab.directory().control_socket(node.as_str())
    }

    async fn begin(&self) -> Result<(), String> {
        let wan = Wan::open(self.lab).await.map_err(|error| error.to_string())?;
        wan.start_schedule().await.map_err(|error| error.to_string())
    }

    async fn check_health(&self) -> Result<(), String> {
        let found = find_lab(self.runtime, self.lab.name()).await.map_err(|error| error.to_string())?;
        match found.map(|found| found.condition()) {
            Some(Condition::Running) => Ok(()),
            Some(condition) => Err(format!("it is {condition}")),
            None => Err("nothing of it is left".to_owned()),
        }
    }
}
