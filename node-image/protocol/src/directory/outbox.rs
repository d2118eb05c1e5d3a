//! Records on their way to other super nodes: repeated until answered, so many at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use rand_core::RngCore;

use crate::machine::Time;
use crate::user::UserName;

/// Messages that wait for their answer at a time: a view that changes must not end in a burst.
const WINDOW: usize = 64;
/// Messages that wait to be sent. What is beyond is published again at the next refresh.
const MOST_QUEUED: usize = 100_000;

type Errand = (SocketAddrV4, UserName);

#[derive(Debug)]
struct Open {
    errand: Errand,
    tries: usize,
    due: Time,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Errand>,
    queued: BTreeSet<Errand>,
    open: BTreeMap<u32, Open>,
    patience: Duration,
    tries: usize,
}

impl Outbox {
    pub fn new(patience: Duration, tries: usize) -> Self {
        Self { queue: VecDeque::new(), queued: BTreeSet::new(), open: BTreeMap::new(), patience, tries }
    }

    /// Has a user's record sent to a super node. What is sent is what the record is then.
    pub fn push(&mut self, to: SocketAddrV4, user: UserName) {
        let errand = (to, user);
        // What is under way is outdated now.
        self.open.retain(|_, open| open.errand != errand);
        if self.queue.len() < MOST_QUEUED && self.queued.insert(errand.clone()) {
            self.queue.push_back(errand);
        }
    }

    /// Sends nothing more to a super node.
    pub fn forget(&mut self, node: SocketAddrV4) {
        self.open.retain(|_, open| open.errand.0 != node);
        self.queue.retain(|errand| errand.0 != node);
        self.queued.retain(|errand| errand.0 != node);
    }

    /// True when all that was to be sent was answered or given up.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.open.is_empty()
    }

    /// What is to be sent now: to whom, of which user, with which transaction.
    pub fn take_due(&mut self, now: Time, random: &mut impl RngCore) -> Vec<(SocketAddrV4, UserName, u32)> {
        let mut due = Vec::new();
        let tries = self.tries;
        self.open.retain(|_, open| now < open.due || open.tries < tries);
        for (&transaction, open) in &mut self.open {
            if now >= open.due {
                open.tries += 1;
                open.due = now + self.patience;
                due.push((open.errand.0, open.errand.1.clone(), transaction));
            }
        }
        while self.open.len() < WINDOW {
            let Some(errand) = self.queue.pop_front() else { break };
            self.queued.remove(&errand);
            let transaction = random.next_u32();
            due.push((errand.0, errand.1.clone(), transaction));
            self.open.insert(transaction, Open { errand, tries: 1, due: now + self.patience });
        }
        due
    }

    /// Takes an answer: which user's record the super node holds now.
    pub fn answered(&mut self, from: SocketAddrV4, transaction: u32) -> Option<UserName> {
        self.open.get(&transaction).filter(|open| open.errand.0 == from)?;
        self.open.remove(&transaction).map(|open| open.errand.1)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.open.values().map(|open| open.due).min()
    }
}
