//! The keeper's parts, from its start to its end.

use std::io;
use std::path::Path;
use std::rc::Rc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use super::desk::Desk;
use super::supervisor::Supervisor;
use super::wan::Wan;
use super::{KeeperError, server};
use crate::link::Scheduled;
use crate::names::LabName;
use crate::net::wan::Report;
use crate::plan::WanPlan;
use crate::runtime::embedded::message::LOGS;

/// What a keeper has to know of its lab's plan.
///
/// The rest is the most of it by far (17 KB a home), and is never in a keeper's memory: each fork for a container would map
/// all of that once more, so that a container took the longer the more there are.
#[derive(Debug, Deserialize)]
pub struct KeptPlan {
    /// The lab.
    pub lab: LabName,
    /// Its WAN.
    pub wan: WanPlan,
    /// Changes of the WAN, in the order of their times.
    #[serde(default)]
    pub schedule: Vec<Scheduled>,
}

/// Keeps a lab until SIGTERM or SIGINT: delays the packets of its WAN, and owns what containers it is asked to
/// start. `directory` is the lab's; `ready` is called when packets can pass and the socket answers, `report`
/// with the engine's counters on SIGUSR1 and at the end. If the engine ends by itself, the containers stay: what is
/// asked of the WAN then fails, until it is repaired.
///
/// Must be called on the process' first thread: it takes the process' signals.
pub fn run(
    plan: KeptPlan,
    directory: &Path,
    ready: impl FnOnce() -> io::Result<()>,
    mut report: impl FnMut(&Report),
) -> Result<(), KeeperError> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| KeeperError::System { doing: "starting the event loop", source })?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut signals = Signals::take()?;
        let listener = server::listen(directory)?;
        let wan = Wan::start(plan.wan, plan.schedule).await?;
        let supervisor = Supervisor::new(plan.lab, directory.join(LOGS));
        let desk = Rc::new(Desk { supervisor, wan });
        tokio::task::spawn_local(server::serve(listener, Rc::clone(&desk)));
        ready().map_err(|source| KeeperError::System { doing: "saying that it is ready", source })?;
        while signals.ask_for_report().await {
            desk.tell(&mut report).await;
        }
        desk.supervisor.end_all().await;
        server::remove(directory);
        desk.tell(&mut report).await;
        desk.wan.end();
        Ok(())
    })
}

/// A container takes three descriptors. More than there may be is no error yet.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "no more than {soft} descriptors");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    report: Signal,
}

impl Signals {
    fn take() -> Result<Self, KeeperError> {
        let take =
            |kind| signal(kind).map_err(|source| KeeperError::System { doing: "taking the signals", source });
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            report: take(SignalKind::user_defined1())?,
        })
    }

    /// Waits for a signal. False if it asks for the end.
    async fn ask_for_report(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
            _ = self.report.recv() => true,
        }
    }
}
