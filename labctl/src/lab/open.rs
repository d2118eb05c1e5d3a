//! A lab that runs, for those who use it.

use std::path::PathBuf;

use overlay_control::Status;

use super::{Condition, FoundLab, LabError, StateDirectory, control, find, find_lab, select};
use crate::names::{LabName, WAN};
use crate::plan::{NodePlan, Plan};
use crate::runtime::Runtime;

/// A lab that runs.
#[derive(Clone, Debug)]
pub struct Lab {
    plan: Plan,
    directory: StateDirectory,
}

impl Lab {
    /// Opens a lab that runs. Fails if there is none of that name, or only part of one.
    pub async fn open(runtime: &dyn Runtime, name: &LabName) -> Result<Self, LabError> {
        Self::of(select(runtime, Some(name)).await?)
    }

    /// Opens a lab that was found. Fails if it does not run, or only in part.
    pub fn of(found: FoundLab) -> Result<Self, LabError> {
        let directory = StateDirectory::of(&found.name);
        match (found.condition(), found.plan) {
            (Condition::Running, Some(plan)) => Ok(Self { plan, directory }),
            (condition, _) => Err(LabError::Unusable { lab: found.name, condition: condition.to_string() }),
        }
    }

    /// Opens a lab that was found, in whatever condition, to look at it: that is how one finds out what is wrong. Fails
    /// if nobody knows its plan.
    pub fn to_look_at(found: FoundLab) -> Result<Self, LabError> {
        let directory = StateDirectory::of(&found.name);
        let condition = found.condition().to_string();
        match found.plan {
            Some(plan) => Ok(Self { plan, directory }),
            None => Err(LabError::Unusable { lab: found.name, condition }),
        }
    }

    /// The lab that was just made from this plan.
    pub(super) fn of_plan(plan: Plan) -> Self {
        Self { directory: StateDirectory::of(&plan.lab), plan }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &LabName {
        &self.plan.lab
    }

    /// What it was made from.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &StateDirectory {
        &self.directory
    }

    /// A node of it.
    pub fn node(&self, name: &str) -> Result<&NodePlan, LabError> {
        node_of(&self.plan, name)
    }

    /// A node's control socket.
    pub fn control_socket(&self, node: &str) -> Result<PathBuf, LabError> {
        Ok(self.directory.control_socket(self.node(node)?.name.as_str()))
    }

    /// The network namespace of a node, a gateway, or the WAN core (`wan`).
    pub fn namespace(&self, name: &str) -> Result<&str, LabError> {
        namespace_of(&self.plan, name)
    }

    /// A node's own account of itself.
    pub async fn status(&self, node: &str) -> Result<Status, LabError> {
        let socket = self.control_socket(node)?;
        let failed = |source| LabError::Control { node: node.to_owned(), source };
        control::get_status(&socket).await.map_err(failed)
    }

    /// True if, at this moment, all that the plan says is there and runs.
    pub async fn is_healthy(&self, runtime: &dyn Runtime) -> Result<bool, LabError> {
        let found = find_lab(runtime, self.name()).await?;
        Ok(found.is_some_and(|found| found.condition() == Condition::Running))
    }
}

/// A node of a plan.
pub fn node_of<'a>(plan: &'a Plan, name: &str) -> Result<&'a NodePlan, LabError> {
    plan.nodes.iter().find(|node| node.name.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        LabError::NoSuchNode {
            lab: plan.lab.clone(),
            kind: "node",
            name: name.to_owned(),
            hint: find::hint(name, &names),
        }
    })
}

/// The namespace of a node, a gateway or the WAN core of a plan.
pub fn namespace_of<'a>(plan: &'a Plan, name: &str) -> Result<&'a str, LabError> {
    let nodes = plan.nodes.iter().map(|node| (node.name.as_str(), node.namespace.as_str()));
    let gateways = plan.gateways.iter().map(|gateway| (gateway.name.as_str(), gateway.namespace.as_str()));
    let all: Vec<(&str, &str)> = nodes.chain(gateways).chain([(WAN, plan.wan.namespace.as_str())]).collect();
    all.iter().find(|(known, _)| *known == name).map(|(_, namespace)| *namespace).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
        LabError::NoSuchNode {
            lab: plan.lab.clone(),
            kind: "node or gateway",
            name: name.to_owned(),
            hint: find::hint(name, &names),
        }
    })
}
