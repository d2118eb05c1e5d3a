//! Who does what the keeper is asked.

use std::rc::Rc;

use super::supervisor::Supervisor;
use super::wan::Wan;
use crate::net::wan::Report;
use crate::runtime::embedded::message::{Answer, Request};

/// What the keeper has to offer.
#[derive(Debug)]
pub struct Desk {
    /// The containers.
    pub supervisor: Supervisor,
    /// The WAN.
    pub wan: Rc<Wan>,
}

impl Desk {
    /// Does what is asked.
    pub async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Wan { request } => match self.wan.command(request).await {
                Ok(answer) => Answer::Wan { answer },
                Err(reason) => Answer::Failed { reason },
            },
            Request::RepairWan => match self.wan.repair().await {
                Ok(repaired) => Answer::Repaired { repaired },
                Err(error) => Answer::Failed { reason: error.to_string() },
            },
            Request::StartSchedule => match self.wan.start_schedule().await {
                Ok(()) => Answer::Done,
                Err(reason) => Answer::Failed { reason },
            },
            Request::WanEvents { after, wait } => {
                Answer::WanEvents { events: self.wan.events_after(after, wait).await }
            }
            request => self.supervisor.handle(request).await,
        }
    }

    /// Tells the WAN's counters. An engine that has ended has none any more.
    pub async fn tell(&self, report: &mut impl FnMut(&Report)) {
        if let Ok(counted) = self.wan.report().await {
            report(&counted);
        }
    }
}
