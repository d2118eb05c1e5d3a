//! The steps of the schedule: names resolved, times and contradictions checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::fields::{Located, Reporter};
use super::super::problem::{Mark, Problem, did_you_mean};
use super::super::read::{RawChange, RawStep};
use super::super::{Place, Topology, Uplink};
use crate::link::{Change, Scheduled};

/// Resolves the schedule of a topology whose nodes and sites are right.
pub(super) fn resolve(raw: &[RawStep], topology: &Topology, reporter: &Reporter) -> Vec<Scheduled> {
    let links = Links::of(topology);
    let mut state = State::default();
    let mut steps = Vec::new();
    for (step, number) in raw.iter().zip(1..) {
        let place = format!("step {number} of the schedule");
        let report = |at: Mark, message: String, mend: String| {
            reporter.report(Problem::new(at, format!("{place}: {message}")).mend(mend));
        };
        state.time(step, &report);
        if let Some(change) = state.change(step, &links, &report) {
            steps.push(Scheduled { at: step.at.value, change });
        }
    }
    steps
}

type Report<'a> = dyn Fn(Mark, String, String) + 'a;

/// Whose name stands for which link.
struct Links<'a> {
    /// The attachment of each node and site.
    of: BTreeMap<&'a str, &'a str>,
    regions: BTreeMap<&'a str, BTreeSet<&'a str>>,
    all: BTreeSet<&'a str>,
}

impl<'a> Links<'a> {
    fn of(topology: &'a Topology) -> Self {
        let region = |index: usize| topology.wan.regions.get(index).map_or("", String::as_str);
        let uplinks: BTreeMap<&str, &Uplink> =
            topology.sites.iter().map(|site| (site.name.as_str(), &site.uplink)).collect();
        let outermost = |site: &'a str| {
            let mut at = site;
            // Circles were found before; a site that is not there ends the way, too.
            for _ in 0..uplinks.len() {
                let Some(Uplink::Site { site }) = uplinks.get(at) else { break };
                at = site.as_str();
            }
            at
        };
        let mut links = Self { of: BTreeMap::new(), regions: BTreeMap::new(), all: BTreeSet::new() };
        for name in &topology.wan.regions {
            links.regions.entry(name).or_default();
        }
        for site in &topology.sites {
            links.of.insert(site.name.as_str(), outermost(site.name.as_str()));
            if let Uplink::Wan { region: index, .. } = site.uplink {
                links.regions.entry(region(index)).or_default().insert(site.name.as_str());
                links.all.insert(site.name.as_str());
            }
        }
        for node in &topology.nodes {
            let name = node.name.as_str();
            match &node.place {
                Place::Site { site } => {
                    links.of.insert(name, outermost(site.as_str()));
                }
                Place::Wan { region: index, .. } => {
                    links.of.insert(name, name);
                    links.regions.entry(region(*index)).or_default().insert(name);
                    links.all.insert(name);
                }
            }
        }
        links
    }

    fn link(&self, name: &Located<String>, report: &Report<'_>) -> Option<&'a str> {
        let link = self.of.get(name.value.as_str()).copied();
        if link.is_none() {
            let mend = did_you_mean(&name.value, self.of.keys().copied());
            report(name.at, format!("no node and no site is called '{}'", name.value), mend);
        }
        link
    }

    /// What a name on a side of a partition is called, and the links that it stands for. As for a running WAN, a name
    /// that a link and a region have is the link's.
    fn on_side(&self, name: &Located<String>, report: &Report<'_>) -> Option<(String, Vec<&'a str>)> {
        if let Some(link) = self.all.get(name.value.as_str()) {
            return Some(((*link).to_owned(), vec![link]));
        }
        if let Some(members) = self.regions.get(name.value.as_str()) {
            return Some((name.value.clone(), members.iter().copied().collect()));
        }
        if let Some(link) = self.of.get(name.value.as_str()) {
            return Some(((*link).to_owned(), vec![link]));
        }
        let known: Vec<&str> = self.regions.keys().chain(self.of.keys()).copied().collect();
        let message = format!("no region, site or node is called '{}'", name.value);
        report(name.at, message, did_you_mean(&name.value, known));
        None
    }
}

/// What the steps so far have made of the WAN.
#[derive(Default)]
struct State {
    /// The last moment, and its line.
    last: Option<(Duration, usize)>,
    down: BTreeSet<String>,
    parted: bool,
    /// What was set at the last moment: link, way, property.
    set: BTreeSet<(String, &'static str, &'static str)>,
}

impl State {
    fn time(&mut self, step: &RawStep, report: &Report<'_>) {
        let at = step.at.value;
        match self.last {
            Some((last, line)) if at < last => report(
                step.at.at,
                format!("it is earlier than the one before it, in line {line}"),
                "put the steps in the order of their times".to_owned(),
            ),
            Some((last, _)) if at == last => {}
            _ => self.set.clear(),
        }
        self.last = Some((at, step.place.line));
    }

    fn change(&mut self, step: &RawStep, links: &Links<'_>, report: &Report<'_>) -> Option<Change> {
        match &step.change {
            RawChange::Set { link: name, ways, settings } => {
                let link = links.link(name, report)?.to_owned();
                for (at, key, _) in settings {
                    let both = [(ways.up(), "up"), (ways.down(), "down")];
                    for (_, way) in both.iter().filter(|(meant, _)| *meant) {
                        if !self.set.insert((link.clone(), *way, *key)) {
                            let message =
                                format!("'{key}' of the link of '{}' is set twice at one time", name.value);
                            report(*at, message, "keep one of the two".to_owned());
                            break;
                        }
                    }
                }
                let settings = settings.iter().map(|(_, _, setting)| *setting).collect();
                Some(Change::SetLink { link, ways: *ways, settings })
            }
            RawChange::Works { link: name, works } => {
                let link = links.link(name, report)?.to_owned();
                let changes = if *works { self.down.remove(&link) } else { self.down.insert(link.clone()) };
                if !changes {
                    let is = if *works { "up" } else { "down" };
                    let message = format!("the link of '{}' is {is} already", name.value);
                    report(name.at, message, "leave the step out, or mend an earlier one".to_owned());
                }
                Some(Change::SetWorks { link, works: *works })
            }
            RawChange::Partition { sides } => {
                self.parted = true;
                partition(step.place, sides, links, report)
            }
            RawChange::Heal => {
                if !std::mem::take(&mut self.parted) {
                    let mend = "leave the step out, or part something before it: partition: [europe]";
                    report(step.place, "there is no partition to end".to_owned(), mend.to_owned());
                }
                Some(Change::Heal)
            }
        }
    }
}

fn partition(
    place: Mark,
    sides: &[Vec<Located<String>>],
    links: &Links<'_>,
    report: &Report<'_>,
) -> Option<Change> {
    if sides.is_empty() || sides.iter().any(Vec::is_empty) {
        let mend =
            "name regions, sites and nodes: partition: [europe], or partition: [europe, [us-east, login]]";
        report(place, "a side of the partition has nobody".to_owned(), mend.to_owned());
        return None;
    }
    let mut side_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut resolved = Vec::new();
    for (number, side) in sides.iter().enumerate() {
        let mut names = Vec::new();
        for name in side {
            let (called, members) = links.on_side(name, report)?;
            for member in members {
                if side_of.insert(member, number).is_some_and(|earlier| earlier != number) {
                    let message = format!("the link of '{member}' is on two sides");
                    report(name.at, message, "name it on one of them".to_owned());
                    return None;
                }
            }
            names.push(called);
        }
        resolved.push(names);
    }
    if sides.len() == 1 && links.all.iter().all(|link| side_of.contains_key(link)) {
        let mend = "with one side, leave somebody out: it is parted from all others";
        report(place, "there is nobody on the other side".to_owned(), mend.to_owned());
    }
    Some(Change::Partition { sides: resolved })
}
