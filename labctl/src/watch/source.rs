//! Asks a running lab, without blocking anybody, for what is on the screen.
//!
//! Each kind of question has a task of its own, so that a slow answer keeps no other one back. All of them look at the
//! same [`Wants`], and rest while nothing is wanted of them.

mod logs;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::state::{Update, Wants};
use crate::lab::Lab;
use crate::runtime::Runtime;

/// Updates that wait to be taken in; whoever has more waits, too.
const WAITING: usize = 256;

/// What the tasks share.
struct Ground {
    lab: Lab,
    runtime: Arc<dyn Runtime>,
    interval: Duration,
    wants: watch::Receiver<Wants>,
    updates: mpsc::Sender<Update>,
}

impl Ground {
    /// Tells something; false if nobody listens any more.
    async fn tell(&self, update: Update) -> bool {
        self.updates.send(update).await.is_ok()
    }
}

/// What is heard of a lab. The questions end when this is dropped.
pub struct Source {
    wants: watch::Sender<Wants>,
    updates: mpsc::Receiver<Update>,
    _tasks: JoinSet<()>,
}

impl Source {
    /// Begins to ask a lab; rates are taken over `interval`.
    #[must_use]
    pub fn new(lab: Lab, runtime: Arc<dyn Runtime>, interval: Duration) -> Self {
        let (wants, wanted) = watch::channel(Wants::default());
        let (sender, updates) = mpsc::channel(WAITING);
        let ground = Arc::new(Ground { lab, runtime, interval, wants: wanted, updates: sender });
        let mut tasks = JoinSet::new();
        tasks.spawn(tasks::links(Arc::clone(&ground)));
        tasks.spawn(tasks::wan_events(Arc::clone(&ground)));
        tasks.spawn(tasks::members(Arc::clone(&ground)));
        tasks.spawn(tasks::status(Arc::clone(&ground)));
        tasks.spawn(tasks::mappings(Arc::clone(&ground)));
        tasks.spawn(logs::follow(ground));
        Self { wants, updates, _tasks: tasks }
    }

    /// Says what is to be asked from now on.
    pub fn ask_for(&self, wants: Wants) {
        self.wants.send_if_modified(|now| {
            let differs = *now != wants;
            *now = wants;
            differs
        });
    }

    /// What is heard next.
    pub async fn next(&mut self) -> Update {
        match self.updates.recv().await {
            Some(update) => update,
            // Every task has ended; nothing will come.
            None => std::future::pending().await,
        }
    }
}
