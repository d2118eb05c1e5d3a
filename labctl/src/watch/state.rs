//! What is known of a lab, and what of it is looked at. No clock, no terminal and no lab: updates come in, a screen is
//! drawn from it.

use std::collections::HashMap;
use std::time::Duration;

use crate::lab::nat::MappingRow;
use crate::net::wan::{Report, WanEvent};
use crate::plan::Plan;

use super::columns::{Sort, sorted};
use super::event::{Event, Grade, Log};
use super::member::{Liveness, Member};
use super::rates::{LinkRates, Rates};

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// Nodes and gateways.
    Nodes,
    /// Access links.
    Links,
    /// Mappings of a gateway.
    Mappings,
    /// What happened.
    Events,
}

impl Pane {
    /// All of them, by their numbers.
    pub const ALL: [Self; 4] = [Self::Nodes, Self::Links, Self::Mappings, Self::Events];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Links => "links",
            Self::Mappings => "NAT",
            Self::Events => "events",
        }
    }
}

/// Which program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// `labctl watch`.
    Lab,
    /// `labctl top`: links alone.
    Links,
}

/// Something new.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The WAN told; or why it does not.
    Wan(Result<Box<Report>, String>),
    /// What nodes and gateways are doing, by name; who is not named is missing.
    Members(HashMap<String, Liveness>),
    /// What an overlay node says of itself.
    Says(String, String),
    /// The mappings of a gateway; or why they are not known.
    Mappings(String, Result<Vec<MappingRow>, String>),
    /// Something happened.
    Events(Vec<Event>),
    /// Something happened to the WAN, as its keeper tells it.
    WanEvents(Vec<WanEvent>),
}

/// What is to be asked: what is on the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The WAN's report.
    pub links: bool,
    /// What runs.
    pub members: bool,
    /// Overlay nodes that are to be asked for their status.
    pub status: Vec<String>,
    /// Nodes whose logs are to be followed.
    pub logs: Vec<String>,
    /// The gateway whose mappings are shown.
    pub gateway: Option<String>,
}

/// The mappings of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Mappings {
    /// The gateway.
    pub gateway: String,
    /// Them, or why they are not known.
    pub rows: Result<Vec<MappingRow>, String>,
}

/// Where in a pane one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Row of the tree.
    pub nodes: usize,
    /// Row of the table of links.
    pub links: usize,
    /// Row of the mappings.
    pub mappings: usize,
    /// Events above the newest one; 0 follows what comes.
    pub events: usize,
}

/// All that a screen is drawn from.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key that is on or off, and any of them goes with any other"
)]
pub struct State {
    pub(super) view: View,
    pub(super) lab: String,
    pub(super) title: String,
    pub(super) runtime: String,
    pub(super) members: Vec<Member>,
    pub(super) report: Option<Box<Report>>,
    pub(super) rates: Option<Rates>,
    /// Why the WAN does not tell.
    pub(super) wan_problem: Option<String>,
    /// The WAN's keeper tells what happens to it; else that is seen by the reports.
    pub(super) wan_tells: bool,
    pub(super) mappings: Option<Mappings>,
    pub(super) log: Log,
    pub(super) focus: Pane,
    pub(super) zoomed: bool,
    pub(super) help: bool,
    pub(super) paused: bool,
    /// Text that rows must have; `Some` in `typing` while it is being written.
    pub(super) filter: String,
    pub(super) typing: bool,
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    pub(super) places: Places,
}

impl State {
    /// Of a lab of which nothing is known but its plan. `runtime` is what runs its nodes.
    #[must_use]
    pub fn new(plan: &Plan, runtime: &str, view: View) -> Self {
        Self {
            view,
            lab: plan.lab.to_string(),
            title: plan.title.clone(),
            runtime: runtime.to_owned(),
            members: Member::of_plan(plan),
            report: None,
            rates: None,
            wan_problem: None,
            wan_tells: false,
            mappings: None,
            log: Log::default(),
            focus: if view == View::Links { Pane::Links } else { Pane::Nodes },
            zoomed: view == View::Links,
            help: false,
            paused: false,
            filter: String::new(),
            typing: false,
            sort: Sort::Plan,
            reverse: false,
            places: Places::default(),
        }
    }

    /// Sets order and filter, as a command line asks for.
    pub fn arrange(&mut self, sort: Sort, reverse: bool, filter: &str) {
        (self.sort, self.reverse, self.filter) = (sort, reverse, filter.to_owned());
    }

    /// The members that the filter lets through.
    pub(super) fn shown_members(&self) -> Vec<&Member> {
        let passes = |member: &&Member| {
            [member.name.as_str(), member.kind.word(), member.state(), &member.address]
                .iter()
                .any(|text| text.contains(&self.filter))
        };
        self.members.iter().filter(passes).collect()
    }

    /// The links that the filter lets through, in order.
    pub(super) fn shown_links(&self) -> Vec<&LinkRates> {
        let links = self.rates.as_ref().map_or(&[][..], |rates| &rates.links);
        sorted(links, self.sort, self.reverse, &self.filter)
    }

    /// The member that is selected.
    pub(super) fn selected(&self) -> Option<&Member> {
        let shown = self.shown_members();
        shown.get(self.places.nodes.min(shown.len().saturating_sub(1))).copied()
    }

    /// The gateway that is selected, or that what is selected is behind.
    pub(super) fn selected_gateway(&self) -> Option<&str> {
        self.selected()?.gateway.as_deref()
    }

    /// Takes in what is new.
    pub fn apply(&mut self, update: Update) {
        match update {
            Update::Wan(Ok(report)) => self.take_report(report),
            Update::Wan(Err(problem)) => {
                if self.wan_problem.is_none() {
                    self.tell("WAN", Grade::Bad, &problem);
                }
                self.wan_problem = Some(problem);
            }
            Update::Members(found) => self.take_members(&found),
            Update::Says(node, says) => {
                if let Some(member) = self.members.iter_mut().find(|member| member.name == node) {
                    member.says = says;
                }
            }
            Update::Mappings(gateway, rows) => self.mappings = Some(Mappings { gateway, rows }),
            Update::WanEvents(events) => {
                self.wan_tells = true;
                for event in &events {
                    self.add(Event::of_wan(event));
                }
            }
            Update::Events(events) => {
                for event in events {
                    self.add(event);
                }
            }
        }
    }

    fn tell(&mut self, source: &str, grade: Grade, text: &str) {
        self.add(Event::now(source, grade, text));
    }

    fn add(&mut self, event: Event) {
        // Who has scrolled back goes on looking at the same lines.
        if self.places.events > 0 {
            self.places.events += 1;
        }
        self.log.add(event);
    }

    fn take_report(&mut self, report: Box<Report>) {
        if self.wan_problem.take().is_some() {
            self.tell("WAN", Grade::Good, "tells again");
        }
        if let Some(before) = self.report.take() {
            if !self.wan_tells {
                for (source, text) in changes(&before, &report) {
                    self.tell(&source, Grade::Change, &text);
                }
            }
            // Two reports at the same moment say nothing about rates.
            if report.uptime_ns != before.uptime_ns || self.rates.is_none() {
                self.rates = Some(Rates::between(&before, &report));
            }
        } else {
            self.rates = Some(Rates::between(&report, &report));
        }
        self.report = Some(report);
    }

    fn take_members(&mut self, found: &HashMap<String, Liveness>) {
        let mut told = Vec::new();
        for member in &mut self.members {
            let now = found.get(&member.name).cloned().unwrap_or(Liveness::Missing);
            if now != member.liveness {
                let grade = if now == Liveness::Up { Grade::Good } else { Grade::Bad };
                // That all is well is nothing new when one begins to look.
                if member.liveness != Liveness::Unknown || now != Liveness::Up {
                    told.push((member.name.clone(), grade, now.word().to_owned()));
                }
                member.liveness = now;
            }
        }
        for (name, grade, text) in told {
            self.tell(&name, grade, &text);
        }
    }

    /// True while nothing is to change.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// How long the engine has run.
    pub(super) fn uptime(&self) -> Option<Duration> {
        self.report.as_ref().map(|report| Duration::from_nanos(report.uptime_ns))
    }
}

/// What was changed between two reports.
fn changes(before: &Report, after: &Report) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    if after.uptime_ns < before.uptime_ns {
        changes.push(("WAN".to_owned(), "the engine was started again: links are as in the plan".to_owned()));
    }
    if after.partitions != before.partitions {
        let text = match after.partitions {
            0 => "healed: no partition any more".to_owned(),
            1 => "1 partition in force".to_owned(),
            some => format!("{some} partitions in force"),
        };
        changes.push(("WAN".to_owned(), text));
    }
    // Links do not come and go, and stand in the order of the plan.
    for (before, after) in before.links.iter().zip(&after.links).filter(|(b, a)| b.name == a.name) {
        if before.works != after.works {
            changes.push((after.name.clone(), if after.works { "link up" } else { "link down" }.to_owned()));
        }
        let ways =
            [("up", &before.access.up, &after.access.up), ("down", &before.access.down, &after.access.down)];
        for (way, _, after_way) in ways.iter().filter(|(_, before, after)| before != after) {
            let text = format!("link changed, {way}: {}", after_way.in_words());
            changes.push((after.name.clone(), text));
        }
    }
    changes
}
