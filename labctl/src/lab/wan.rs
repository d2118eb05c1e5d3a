//! A running lab's WAN: asked and changed through the lab's keeper.

use super::find::hint;
use super::{Lab, LabError, StateDirectory};
use crate::link::{Change, Setting, Ways};
use crate::names::LabName;
use crate::net::wan::{Report, WanAnswer, WanEvent, WanRequest};
use crate::plan::{Attachment, Plan};
use crate::runtime::embedded::connection::Connection;
use crate::runtime::embedded::message::{Answer, Request, SOCKET};

/// The access link that a node's, a gateway's or a site's packets take to the WAN: its own, or that of the outermost
/// gateway that it is behind.
pub fn link_of<'a>(plan: &'a Plan, name: &str) -> Result<&'a Attachment, LabError> {
    let attachment = |name: &str| plan.wan.attachments.iter().find(|at| at.name.as_str() == name);
    let gateway = |name: &str| plan.gateways.iter().find(|gateway| gateway.name.as_str() == name);
    let node = plan.nodes.iter().find(|node| node.name.as_str() == name);
    let mut place = match node.and_then(|node| node.gateway.as_ref()) {
        Some(gateway) => gateway.as_str(),
        None => name,
    };
    while let Some(outer) = gateway(place).and_then(|gateway| gateway.behind.as_ref()) {
        place = outer.as_str();
    }
    attachment(place).ok_or_else(|| {
        let nodes = plan.nodes.iter().map(|node| node.name.as_str());
        let known: Vec<&str> =
            nodes.chain(plan.gateways.iter().map(|gateway| gateway.name.as_str())).collect();
        LabError::NoSuchLink { lab: plan.lab.clone(), link: name.to_owned(), hint: hint(name, &known) }
    })
}

fn unexpected(lab: &LabName, answer: &Answer) -> LabError {
    LabError::Wan { lab: lab.clone(), reason: format!("the keeper's answer is another one: {answer:?}") }
}

/// A connection to the WAN of a lab that runs.
#[derive(Debug)]
pub struct Wan<'a> {
    lab: &'a Lab,
    connection: Connection,
}

impl<'a> Wan<'a> {
    /// Connects to the lab's keeper.
    pub async fn open(lab: &'a Lab) -> Result<Self, LabError> {
        let path = lab.directory().path().join(SOCKET);
        let connection = Connection::open(&path).await;
        let connection = connection.map_err(LabError::file("connecting to the lab's keeper at", path))?;
        Ok(Self { lab, connection })
    }

    /// Starts the engine again if it has ended. Whether it had.
    pub(super) async fn repair(lab: &LabName) -> Result<bool, LabError> {
        let path = StateDirectory::of(lab).path().join(SOCKET);
        let connection = Connection::open(&path).await;
        let connection = connection.map_err(LabError::file("connecting to the lab's keeper at", &path))?;
        let answer = connection.ask(Request::RepairWan).await;
        match answer.map_err(LabError::file("asking the lab's keeper at", path))? {
            Answer::Repaired { repaired } => Ok(repaired),
            Answer::Failed { reason } => Err(LabError::Wan { lab: lab.clone(), reason }),
            other => Err(unexpected(lab, &other)),
        }
    }

    /// Asks the keeper.
    async fn ask_keeper(&self, request: Request) -> Result<Answer, LabError> {
        let path = self.lab.directory().path().join(SOCKET);
        let answer = self.connection.ask(request).await;
        match answer.map_err(LabError::file("asking the lab's keeper at", path))? {
            Answer::Failed { reason } => Err(LabError::Wan { lab: self.lab.name().clone(), reason }),
            answer => Ok(answer),
        }
    }

    /// Asks the engine.
    pub async fn ask(&self, request: WanRequest) -> Result<WanAnswer, LabError> {
        match self.ask_keeper(Request::Wan { request }).await? {
            Answer::Wan { answer } => Ok(answer),
            other => Err(unexpected(self.lab.name(), &other)),
        }
    }

    /// Begins the plan's schedule, anew if it has begun before: now is its time 0. What it changes is first made as
    /// it is in the plan. Nothing is done if the plan has none.
    pub async fn start_schedule(&self) -> Result<(), LabError> {
        match self.ask_keeper(Request::StartSchedule).await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(self.lab.name(), &other)),
        }
    }

    /// What happened to the WAN after the event of this number, 0 being before the first; with `wait`, as soon as
    /// something has.
    pub async fn events_after(&self, number: u64, wait: bool) -> Result<Vec<WanEvent>, LabError> {
        match self.ask_keeper(Request::WanEvents { after: number, wait }).await? {
            Answer::WanEvents { events } => Ok(events),
            other => Err(unexpected(self.lab.name(), &other)),
        }
    }

    /// What all links are like, and what was counted.
    pub async fn report(&self) -> Result<Report, LabError> {
        match self.ask(WanRequest::Report).await? {
            WanAnswer::Report(report) => Ok(*report),
            WanAnswer::Done => {
                Err(LabError::Wan { lab: self.lab.name().clone(), reason: "it says nothing".to_owned() })
            }
        }
    }

    /// Changes the access link of a node, gateway or site, for the packets that come to it from now on.
    pub async fn set(&self, name: &str, ways: Ways, settings: Vec<Setting>) -> Result<(), LabError> {
        let link = link_of(self.lab.plan(), name)?.name.to_string();
        self.change(Change::SetLink { link, ways, settings }).await
    }

    /// Takes an access link down, or up again.
    pub async fn set_works(&self, name: &str, works: bool) -> Result<(), LabError> {
        let link = link_of(self.lab.plan(), name)?.name.to_string();
        self.change(Change::SetWorks { link, works }).await
    }

    /// Stops packets between sides: lists of names of regions, sites, gateways and nodes. With one side, between that
    /// one and everybody else.
    pub async fn partition(&self, sides: &[Vec<String>]) -> Result<(), LabError> {
        let plan = self.lab.plan();
        let resolve = |name: &String| {
            if plan.wan.regions.contains(name) {
                return Ok(name.clone());
            }
            link_of(plan, name).map(|at| at.name.to_string())
        };
        let side = |names: &Vec<String>| names.iter().map(resolve).collect::<Result<Vec<_>, _>>();
        let sides = sides.iter().map(side).collect::<Result<Vec<_>, _>>()?;
        self.change(Change::Partition { sides }).await
    }

    /// Ends all partitions.
    pub async fn heal(&self) -> Result<(), LabError> {
        self.change(Change::Heal).await
    }

    async fn change(&self, change: Change) -> Result<(), LabError> {
        self.ask(change.into()).await.map(drop)
    }
}
