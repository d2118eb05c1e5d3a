//! Which labs are on this machine, by what the kernel and the runtime say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{LabError, StateDirectory, lock, state};
use crate::keeper;
use crate::names::LabName;
use crate::net::NetNs;
use crate::plan::Plan;
use crate::runtime::{Found, NodeState, Runtime, RuntimeKind};

/// In what condition a lab is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "condition", rename_all = "kebab-case")]
pub enum Condition {
    /// All that the plan says is there and runs.
    Running,
    /// A labctl is making or removing it at this moment.
    Changing {
        /// Which process.
        by: String,
    },
    /// Part of it runs.
    Partial {
        /// What does not.
        missing: Vec<String>,
    },
    /// Nothing of it runs, but something is left.
    Leftover,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Changing { by } => write!(f, "changing (by {by})"),
            Self::Partial { missing } => write!(f, "partial (missing: {})", missing.join(", ")),
            Self::Leftover => f.write_str("leftover"),
        }
    }
}

/// What there is of a lab on this machine.
#[derive(Clone, Debug)]
pub struct FoundLab {
    /// Its name.
    pub name: LabName,
    /// Its containers, in order of their nodes' names.
    pub containers: Vec<Found>,
    /// Its named namespaces, by their full names.
    pub namespaces: Vec<String>,
    /// Its background processes: one, if all is well.
    pub keepers: Vec<i32>,
    /// What runs its nodes, if its directory says so.
    pub runtime: Option<RuntimeKind>,
    /// True if it has a directory.
    pub directory: bool,
    /// Its plan, if its directory has one.
    pub plan: Option<Plan>,
    /// True if `up` came to its end.
    pub ready: bool,
    /// Who is making or removing it at this moment.
    pub changing: Option<String>,
}

impl FoundLab {
    fn new(name: LabName) -> Result<Self, LabError> {
        let directory = StateDirectory::of(&name);
        // A plan that does not read back must not keep anybody from removing the lab.
        let plan = match directory.plan() {
            Ok(plan) => plan,
            Err(LabError::BadPlan { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            containers: Vec::new(),
            namespaces: Vec::new(),
            keepers: Vec::new(),
            runtime: RuntimeKind::of_lab(&name),
            directory: directory.exists(),
            plan,
            ready: directory.is_ready(),
            changing: lock::holder(&name),
            name,
        })
    }

    /// In what condition it is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        if let Some(by) = &self.changing {
            return Condition::Changing { by: by.clone() };
        }
        let runs = !self.keepers.is_empty() || self.containers.iter().any(|found| found.state.is_running());
        if !runs {
            return Condition::Leftover;
        }
        let missing = self.missing();
        if missing.is_empty() { Condition::Running } else { Condition::Partial { missing } }
    }

    /// What should be there and is not.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let Some(plan) = &self.plan else { return vec!["its plan".to_owned()] };
        let mut missing = Vec::new();
        if !self.ready {
            missing.push("the end of 'up'".to_owned());
        }
        if self.keepers.is_empty() {
            missing.push("its background process".to_owned());
        } else if !self.keepers.iter().any(|pid| keeper::carries(*pid)) {
            missing.push("its WAN, which 'labctl repair' brings back".to_owned());
        }
        for node in &plan.nodes {
            match self.container(node.name.as_str()) {
                None => missing.push(format!("container of {}", node.name)),
                // A program that has come to its end has done what it was there for.
                Some(found)
                    if matches!(found.state, NodeState::Exited { .. }) && node.program().is_some() => {}
                Some(found) if !found.state.is_running() => {
                    missing.push(format!("container of {} ({})", node.name, found.state));
                }
                Some(_) => {}
            }
        }
        let there: BTreeSet<&str> = self.namespaces.iter().map(String::as_str).collect();
        let wanted = namespaces(plan).filter(|namespace| !there.contains(namespace));
        missing.extend(wanted.map(|namespace| format!("namespace {namespace}")));
        missing
    }

    /// The container of a node.
    #[must_use]
    pub fn container(&self, node: &str) -> Option<&Found> {
        let place = self.containers.binary_search_by(|found| found.node.as_str().cmp(node));
        place.ok().map(|place| &self.containers[place])
    }

    /// True if there is more of it than a lock.
    #[must_use]
    pub fn has_anything(&self) -> bool {
        self.directory
            || !self.containers.is_empty()
            || !self.namespaces.is_empty()
            || !self.keepers.is_empty()
    }

    /// What there is, in a few words.
    #[must_use]
    pub fn inventory(&self) -> String {
        let mut parts = Vec::new();
        let mut count = |number: usize, one: &str, many: &str| match number {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            number => parts.push(format!("{number} {many}")),
        };
        count(self.containers.len(), "container", "containers");
        count(self.namespaces.len(), "namespace", "namespaces");
        count(self.keepers.len(), "background process", "background processes");
        count(usize::from(self.directory), "directory", "");
        if parts.is_empty() { "a lock file".to_owned() } else { parts.join(", ") }
    }
}

/// All namespaces of a plan.
fn namespaces(plan: &Plan) -> impl Iterator<Item = &str> {
    let nodes = plan.nodes.iter().map(|node| node.namespace.as_str());
    let gateways = plan.gateways.iter().map(|gateway| gateway.namespace.as_str());
    nodes.chain(gateways).chain([plan.wan.namespace.as_str()])
}

/// Everything that is found, by lab.
#[derive(Debug, Default)]
struct Inventory(BTreeMap<LabName, FoundLab>);

impl Inventory {
    fn lab(&mut self, name: &LabName) -> Result<&mut FoundLab, LabError> {
        use std::collections::btree_map::Entry;
        match self.0.entry(name.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(FoundLab::new(name.clone())?)),
        }
    }
}

async fn look(runtime: &dyn Runtime, only: Option<&LabName>) -> Result<Vec<FoundLab>, LabError> {
    let wanted = |name: &LabName| only.is_none_or(|only| only == name);
    let mut inventory = Inventory::default();
    for container in runtime.list(only).await? {
        inventory.lab(&container.lab.clone())?.containers.push(container);
    }
    let namespaces = NetNs::list().map_err(|source| LabError::Network {
        doing: "looking for namespaces".to_owned(),
        source: Box::new(source),
    })?;
    for namespace in namespaces {
        if let Some((name, _)) = LabName::parse_namespace(&namespace).filter(|(name, _)| wanted(name)) {
            inventory.lab(&name)?.namespaces.push(namespace);
        }
    }
    for keeper in keeper::running().into_iter().filter(|keeper| wanted(&keeper.lab)) {
        inventory.lab(&keeper.lab)?.keepers.push(keeper.pid);
    }
    let directories = state::labs_in(Path::new(state::ROOT))?;
    for name in directories.into_iter().chain(lock::labs()?).filter(wanted) {
        inventory.lab(&name)?;
    }
    let mut labs: Vec<FoundLab> = inventory.0.into_values().collect();
    for lab in &mut labs {
        lab.containers.sort_by(|a, b| a.node.cmp(&b.node));
    }
    Ok(labs)
}

/// All labs of which anything is on this machine, in order of their names.
pub async fn find_all(runtime: &dyn Runtime) -> Result<Vec<FoundLab>, LabError> {
    look(runtime, None).await
}

/// What there is of this lab; `None` if nothing is.
pub async fn find_lab(runtime: &dyn Runtime, lab: &LabName) -> Result<Option<FoundLab>, LabError> {
    Ok(look(runtime, Some(lab)).await?.pop())
}

/// The lab that a command is about: the one that is named, or the only one.
pub async fn select(runtime: &dyn Runtime, named: Option<&LabName>) -> Result<FoundLab, LabError> {
    let mut labs = find_all(runtime).await?;
    if let Some(name) = named {
        return match labs.iter().position(|lab| lab.name == *name) {
            Some(index) => Ok(labs.swap_remove(index)),
            None => Err(no_such_lab(name, &labs)),
        };
    }
    match labs.len() {
        0 => Err(LabError::NoLab),
        1 => Ok(labs.remove(0)),
        _ => Err(LabError::SeveralLabs { labs: labs.iter().map(|lab| lab.name.to_string()).collect() }),
    }
}

pub(super) fn no_such_lab(name: &LabName, labs: &[FoundLab]) -> LabError {
    let names: Vec<&str> = labs.iter().map(|lab| lab.name.as_str()).collect();
    LabError::NoSuchLab { lab: name.clone(), hint: hint(name.as_str(), &names) }
}

/// What is there instead, with the nearest name if one is near.
pub(super) fn hint(wanted: &str, names: &[&str]) -> String {
    /// From here on two names are alike enough for one to be a slip of the other (Jaro-Winkler, 0 to 1).
    const ALIKE: f64 = 0.8;
    if names.is_empty() {
        return String::from("; there is none at all");
    }
    let nearest = names
        .iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let question = nearest.map_or_else(String::new, |(_, name)| format!("; did you mean '{name}'?"));
    format!("{question} (there are: {})", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_met_with_the_name_that_was_meant() {
        assert_eq!(hint("alcie", &["alice", "bob"]), "; did you mean 'alice'? (there are: alice, bob)");
        assert_eq!(hint("xyz", &["alice", "bob"]), " (there are: alice, bob)");
        assert_eq!(hint("xyz", &[]), "; there is none at all");
    }
}
