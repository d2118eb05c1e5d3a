//! What a running WAN can be asked, over the keeper's socket, and how an engine's model does it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::AttachmentId;
use super::counters::Counters;
use super::engine::EngineKind;
use super::lane::Moment;
use super::model::Model;
use crate::link::{AccessLink, Change};
use crate::plan::WanPlan;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "do",
    rename_all = "kebab-case",
    expecting = "expected `do`: set-link, set-works, partition, heal, stop or report, with what belongs to it"
)]
pub enum WanRequest {
    /// End the engine, as if it had failed: the WAN carries nothing until it is repaired. To try out what depends on
    /// it.
    Stop,
    /// Tell what all links are like, and what was counted.
    Report,
    /// Change something.
    #[serde(untagged)]
    Change(Change),
}

impl From<Change> for WanRequest {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

/// What a WAN answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum WanAnswer {
    /// Done; nothing to tell.
    Done,
    /// All that is known.
    Report(Box<Report>),
}

/// A WAN at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The engine.
    pub engine: EngineKind,
    /// Time since it was started, in nanoseconds: what counters count from.
    pub uptime_ns: u64,
    /// Packets in flight.
    pub in_flight: u64,
    /// Partitions in force.
    pub partitions: u64,
    /// Packets that no model was asked about: those for nobody, and what is not IPv4.
    pub strays: u64,
    /// Packets that the kernel had no room for before the engine took them.
    pub missed: u64,
    /// Every access link, in the order of the plan.
    pub links: Vec<LinkReport>,
}

impl Report {
    /// A link by its name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&LinkReport> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// An access link at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// False while it is down.
    pub works: bool,
    /// What it is like.
    pub access: AccessLink,
    /// What it carried, from the engine's start on.
    pub counters: Counters,
    /// Bytes that wait on the way up.
    pub up_backlog: u64,
    /// Bytes that wait on the way down.
    pub down_backlog: u64,
}

/// The names of a plan.
#[derive(Clone, Debug)]
pub struct Names {
    links: HashMap<String, AttachmentId>,
    regions: HashMap<String, Vec<AttachmentId>>,
    count: usize,
}

impl Names {
    /// Those of this plan.
    #[must_use]
    pub fn new(plan: &WanPlan) -> Self {
        let mut regions: HashMap<_, Vec<_>> =
            plan.regions.iter().map(|name| (name.clone(), vec![])).collect();
        let mut links = HashMap::new();
        for (id, at) in plan.attachments.iter().enumerate() {
            links.insert(at.name.to_string(), AttachmentId(id));
            if let Some(members) = plan.regions.get(at.region).and_then(|region| regions.get_mut(region)) {
                members.push(AttachmentId(id));
            }
        }
        Self { links, regions, count: plan.attachments.len() }
    }

    /// The link of this name.
    ///
    /// # Errors
    ///
    /// What is wrong with the name.
    pub fn link(&self, name: &str) -> Result<AttachmentId, String> {
        self.links.get(name).copied().ok_or_else(|| {
            format!("the WAN has no link '{name}'; a link is called like its public node, or its site")
        })
    }

    /// The links of a partition's sides. A name that a link and a region have is the link's.
    ///
    /// # Errors
    ///
    /// What is wrong with the names.
    pub fn sides(&self, sides: &[Vec<String>]) -> Result<Vec<Vec<AttachmentId>>, String> {
        let members = |name: &String| match (self.links.get(name), self.regions.get(name)) {
            (Some(link), _) => Ok(vec![*link]),
            (None, Some(members)) => Ok(members.clone()),
            (None, None) => Err(format!("the WAN has no link and no region '{name}'")),
        };
        let side = |names: &Vec<String>| -> Result<Vec<_>, String> {
            Ok(names.iter().map(members).collect::<Result<Vec<_>, _>>()?.concat())
        };
        let mut sides = sides.iter().map(side).collect::<Result<Vec<_>, _>>()?;
        match &sides[..] {
            [] => return Err("a partition needs a side".to_owned()),
            [only] => {
                let rest = (0..self.count).map(AttachmentId).filter(|id| !only.contains(id)).collect();
                sides.push(rest);
            }
            _ => {}
        }
        let mut all = sides.concat();
        all.sort_unstable();
        match all.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => {
                let name = self.links.iter().find(|(_, id)| **id == twice[0]).map_or("", |(name, _)| name);
                Err(format!("the link '{name}' is on two sides"))
            }
            None => Ok(sides),
        }
    }
}

/// Makes a change of a model.
///
/// # Errors
///
/// What is wrong with the change.
pub fn apply<T: Clone>(
    model: &mut Model<T>,
    names: &Names,
    now: Moment,
    change: &Change,
) -> Result<(), String> {
    match change {
        Change::SetLink { link, ways, settings } => {
            let id = names.link(link)?;
            for setting in settings {
                model.set(now, id, *ways, *setting);
            }
        }
        Change::SetWorks { link, works } => model.set_works(names.link(link)?, *works),
        Change::Partition { sides } => model.part(&names.sides(sides)?),
        Change::Heal => model.heal(),
    }
    Ok(())
}

/// What a model knows of its links.
#[must_use]
pub fn links<T: Clone>(model: &Model<T>, now: Moment) -> Vec<LinkReport> {
    let plan = model.plan();
    let link = |(id, at): (usize, &crate::plan::Attachment)| {
        let id = AttachmentId(id);
        let (up_backlog, down_backlog) = model.backlog(now, id);
        LinkReport {
            name: at.name.to_string(),
            region: plan.regions.get(at.region).cloned().unwrap_or_default(),
            works: model.works(id),
            access: model.link(id),
            counters: model.counters(id),
            up_backlog,
            down_backlog,
        }
    };
    plan.attachments.iter().enumerate().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_about_the_wan_shows_is_understood_and_written_the_same_way() {
        let page = include_str!("../../../../docs/wan.md");
        let mut kinds = Vec::new();
        for line in
            page.lines().filter(|line| line.starts_with(r#"{"id":"#) && line.contains(r#""do":"wan","#))
        {
            let shown: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            let request: WanRequest = serde_json::from_value(shown["request"].clone()).expect("a request");
            let written = serde_json::to_value(&request).expect("JSON");
            assert_eq!(written["do"], shown["request"]["do"]);
            let again: WanRequest = serde_json::from_value(written).expect("what was written");
            assert_eq!(again, request);
            kinds.push(request);
        }
        assert_eq!(kinds.len(), 5, "{kinds:?}");
    }

    #[test]
    fn what_is_no_request_is_told_what_would_be_one() {
        for text in [r#"{"do":"heel"}"#, r#"{"do":"set-link","link":"a"}"#, "{}"] {
            let error = serde_json::from_str::<WanRequest>(text).expect_err(text).to_string();
            assert!(
                error.contains("set-link, set-works, partition, heal, stop or report"),
                "{text}: {error}"
            );
        }
    }
}
