//! Searches for users, once the client is logged in.
//!
//! 1. The client asks its super node in use, by TCP. That answers with the record if it has it, and otherwise with
//!    a batch of nodes.
//! 2. The client asks all nodes of the batch by UDP, each up to `search_tries` times. The search is over as soon as
//!    one says that the user is online; otherwise, when all have answered or were asked in vain, the record of the
//!    latest login counts. A record whose certificate no login server signed does not count.
//! 3. The client reports which node knew the user. If none did, the super node gives a larger batch, or says that
//!    there are no more: the user is not known.
//! 4. Where UDP is blocked, or none of a batch answers, the super node searches on the client's behalf, and all
//!    goes by TCP.
//! 5. A super node that does not answer, or tells lies, is dropped, and the search begins again with the next. After
//!    `search_time_limit` it has failed.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::Client;
use super::core::Core;
use super::links::{Links, Stage as LinkStage};
use super::steps::Phase;
use crate::directory::MOST_SEARCHES;
use crate::event::{FoundUser, NatVerdict, RecordSource, SearchEvent, SearchFailure, SearchSummary};
use crate::inquiry::{Inquiry, is_proven};
use crate::machine::{ConnectionId, Time};
use crate::recent::Recent;
use crate::user::UserName;
use crate::wire::directory::DirectoryRecord;
use crate::wire::super_node::ToSuperNode;

/// Users that were found and are remembered.
const MOST_RESOLVED: usize = 1_000;

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// A super node that serves the client.
    Link,
    /// The super node's answer.
    SuperNode { connection: ConnectionId, due: Time },
    /// The answers of a batch.
    Nodes { connection: ConnectionId, inquiry: Box<Inquiry> },
}

#[derive(Debug)]
struct Search {
    user: UserName,
    deadline: Time,
    on_behalf: bool,
    stage: Stage,
    summary: SearchSummary,
}

/// How a search ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The user is known.
    Found(Box<DirectoryRecord>),
    /// No node knows the user.
    Unknown,
    /// It could not be carried out.
    Failed(SearchFailure),
}

/// All searches under way, and what was found.
#[derive(Debug)]
pub(super) struct Searches {
    under_way: BTreeMap<u32, Search>,
    resolved: Recent<UserName, DirectoryRecord>,
}

impl Default for Searches {
    fn default() -> Self {
        Self { under_way: BTreeMap::new(), resolved: Recent::new(MOST_RESOLVED) }
    }
}

impl Searches {
    pub fn resolved(&self, user: &UserName) -> Option<&DirectoryRecord> {
        self.resolved.get(user)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        let due = |search: &Search| match &search.stage {
            Stage::Link => None,
            Stage::SuperNode { due, .. } => Some(*due),
            Stage::Nodes { inquiry, .. } => inquiry.next_timeout(),
        };
        self.under_way.values().flat_map(|search| [Some(search.deadline), due(search)]).flatten().min()
    }

    /// Asks the super node in use, from the beginning; if there is none, that is waited for.
    fn ask_super_node(core: &mut Core, links: &mut Links, id: u32, search: &mut Search) {
        let Some((connection, link)) = links.in_use().filter(|(_, link)| link.stage == LinkStage::Registered)
        else {
            search.stage = Stage::Link;
            return;
        };
        let super_node = link.node();
        let on_behalf = search.on_behalf;
        core.event(SearchEvent::Asked { user: search.user.to_string(), super_node, on_behalf });
        let question = ToSuperNode::Search { search: id, user: search.user.clone(), on_behalf };
        links.ask(core, connection, &question);
        search.summary = SearchSummary::default();
        search.stage = Stage::SuperNode { connection, due: Self::answer_due(core, on_behalf) };
    }

    /// A super node that asks others needs the time of all batches on top.
    fn answer_due(core: &Core, on_behalf: bool) -> Time {
        let parameters = &core.parameters;
        let tries = parameters.search_tries.0 * parameters.search_batches.0;
        let batches = parameters.search_retransmit_interval.duration() * tries;
        core.answer_due() + if on_behalf { batches } else { std::time::Duration::ZERO }
    }
}

impl Client {
    /// What the last search for a user yielded: the certificate in it is verified.
    #[must_use]
    pub fn resolved(&self, user: &UserName) -> Option<&DirectoryRecord> {
        self.searches.resolved(user)
    }

    pub(super) fn search(&mut self, user: UserName) {
        let summary = SearchSummary::default();
        if !matches!(self.phase, Phase::LoggedIn) {
            self.search_ended(&user, Ended::Failed(SearchFailure::NotLoggedIn), summary);
            return;
        }
        if self.searches.under_way.len() >= MOST_SEARCHES {
            self.search_ended(&user, Ended::Failed(SearchFailure::TooMany), summary);
            return;
        }
        let deadline = self.core.now + self.core.parameters.search_time_limit.duration();
        let on_behalf = self.nat.verdict() == Some(NatVerdict::UdpBlocked);
        let id = self.core.transaction();
        let search = Search { user, deadline, on_behalf, stage: Stage::Link, summary };
        self.searches.under_way.insert(id, search);
    }

    /// Ends all searches: the client is logged out.
    pub(super) fn end_searches(&mut self) {
        for search in std::mem::take(&mut self.searches.under_way).into_values() {
            self.search_ended(&search.user, Ended::Failed(SearchFailure::NotLoggedIn), search.summary);
        }
    }

    /// Every search ends here.
    pub(super) fn search_ended(&mut self, user: &UserName, ended: Ended, summary: SearchSummary) {
        let name = user.to_string();
        let mut found_record = None;
        let event = match ended {
            Ended::Found(record) => {
                let found = found_user(&record);
                found_record = Some(record.clone());
                self.searches.resolved.enter(user.clone(), *record);
                SearchEvent::Found { found, summary }
            }
            Ended::Unknown => {
                self.searches.resolved.remove(user);
                SearchEvent::Unknown { user: name, summary }
            }
            Ended::Failed(reason) => SearchEvent::Failed { user: name, reason, summary },
        };
        self.core.event(event);
        self.call_found(user, found_record.as_deref());
    }

    /// Does what is due.
    pub(super) fn advance_searches(&mut self) {
        let ids: Vec<_> = self.searches.under_way.keys().copied().collect();
        for id in ids {
            let Some(mut search) = self.searches.under_way.remove(&id) else { continue };
            if self.core.now >= search.deadline {
                self.search_ended(&search.user, Ended::Failed(SearchFailure::TimedOut), search.summary);
            } else if let Some((ended, summary)) = self.advance_search(id, &mut search) {
                self.search_ended(&search.user, ended, summary);
            } else {
                self.searches.under_way.insert(id, search);
            }
        }
    }

    fn advance_search(&mut self, id: u32, search: &mut Search) -> Option<(Ended, SearchSummary)> {
        let connection = match &search.stage {
            Stage::Link => None,
            Stage::SuperNode { connection, .. } | Stage::Nodes { connection, .. } => Some(*connection),
        };
        if connection.is_none_or(|connection| !self.links.has(connection)) {
            Searches::ask_super_node(&mut self.core, &mut self.links, id, search);
            return None;
        }
        match &mut search.stage {
            Stage::SuperNode { connection, due } if self.core.now >= *due => {
                self.links.give_up(&mut self.core, *connection);
                Searches::ask_super_node(&mut self.core, &mut self.links, id, search);
            }
            Stage::Nodes { connection, inquiry } => {
                for (to, message) in inquiry.take_due(self.core.now) {
                    self.core.datagram(to, &message);
                }
                if inquiry.is_over() {
                    let connection = *connection;
                    return self.batch_over(id, search, connection);
                }
            }
            _ => {}
        }
        None
    }

    fn batch_over(
        &mut self,
        id: u32,
        search: &mut Search,
        connection: ConnectionId,
    ) -> Option<(Ended, SearchSummary)> {
        let Stage::Nodes { inquiry, .. } = &mut search.stage else {
            return None;
        };
        search.summary.asked += inquiry.asked();
        let best = inquiry.take_best();
        if best.is_none() && inquiry.answered() == 0 {
            // Dead nodes all of them, or a firewall that was not there at the login.
            search.on_behalf = true;
            Searches::ask_super_node(&mut self.core, &mut self.links, id, search);
            return None;
        }
        let found_at = best.as_ref().map(|answer| answer.from);
        self.links.ask(&mut self.core, connection, &ToSuperNode::SearchReport { search: id, found_at });
        if let Some(answer) = best {
            search.summary.hops = 2;
            search.summary.source = Some(answer.source);
            return Some((Ended::Found(Box::new(answer.record)), search.summary));
        }
        let due = Searches::answer_due(&self.core, false);
        search.stage = Stage::SuperNode { connection, due };
        None
    }

    /// The super node gave nodes to ask.
    pub(super) fn search_batch(&mut self, from: ConnectionId, id: u32, nodes: Vec<SocketAddrV4>) {
        let Some(mut search) = self.searches.under_way.remove(&id) else {
            return;
        };
        let awaited = matches!(search.stage, Stage::SuperNode { connection, .. } if connection == from)
            && !search.on_behalf;
        if awaited && nodes.is_empty() {
            self.search_ended(&search.user, Ended::Unknown, search.summary);
            return;
        }
        if awaited {
            search.summary.batches += 1;
            let user = search.user.to_string();
            self.core.event(SearchEvent::Batch { user, nodes: nodes.clone() });
            let core = &mut self.core;
            let inquiry =
                Inquiry::new(core.now, &mut core.random, &core.parameters, search.user.clone(), nodes);
            search.stage = Stage::Nodes { connection: from, inquiry: Box::new(inquiry) };
        }
        self.searches.under_way.insert(id, search);
    }

    /// The super node ended the search.
    pub(super) fn search_result(
        &mut self,
        from: ConnectionId,
        id: u32,
        found: Option<Box<DirectoryRecord>>,
        source: RecordSource,
        asked: u8,
    ) {
        let Some(mut search) = self.searches.under_way.remove(&id) else {
            return;
        };
        if !matches!(search.stage, Stage::SuperNode { connection, .. } if connection == from) {
            self.searches.under_way.insert(id, search);
            return;
        }
        search.summary.asked += u32::from(asked);
        let keys = self.config.login_servers.iter().map(|(_, key)| key);
        match found {
            None => self.search_ended(&search.user, Ended::Unknown, search.summary),
            Some(record) if is_proven(&record, &search.user, keys) => {
                search.summary.hops = if source == RecordSource::Search { 2 } else { 1 };
                search.summary.source = Some(source);
                self.search_ended(&search.user, Ended::Found(record), search.summary);
            }
            Some(_) => {
                self.links.give_up(&mut self.core, from);
                search.stage = Stage::Link;
                self.searches.under_way.insert(id, search);
            }
        }
    }

    /// A node answered a lookup.
    pub(super) fn lookup_answered(
        &mut self,
        from: SocketAddrV4,
        transaction: u32,
        found: Option<DirectoryRecord>,
        source: RecordSource,
    ) {
        let now = self.core.now;
        let keys = self.config.login_servers.iter().map(|(_, key)| key);
        for search in self.searches.under_way.values_mut() {
            if let Stage::Nodes { inquiry, .. } = &mut search.stage
                && inquiry.awaits(from, transaction)
            {
                let found = inquiry.answer(now, from, transaction, found, source, keys).unwrap_or_default();
                self.core.event(SearchEvent::Answer { user: search.user.to_string(), from, found });
                return;
            }
        }
    }
}

fn found_user(record: &DirectoryRecord) -> FoundUser {
    FoundUser {
        user: record.certificate.user.to_string(),
        online: record.online,
        private: record.presence.private,
        public: record.presence.public,
        nat: record.presence.nat,
        super_nodes: record.super_nodes.as_slice().to_vec(),
        logged_in_s: record.logged_in,
        seen_s: record.seen,
    }
}
