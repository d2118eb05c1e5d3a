//! Searches that clients asked this super node for.
//!
//! 1. What the super node holds itself, or keeps from an earlier search, it answers at once.
//! 2. Else it ranks the living super nodes by their weight for the user: the homes come first. The client gets the
//!    first `search_first_batch` of them to ask by UDP; when it reports that none knew the user, the next twice
//!    as many; after `search_batches` batches the user is not known.
//! 3. For a client whose UDP is blocked the super node asks these nodes itself, by the same batches.
//! 4. What was found is kept here: for a client that asked itself, the super node fetches the record from the
//!    node that the client names, because a client's own word would not do.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::{Directory, Effect};
use crate::event::RecordSource;
use crate::inquiry::Inquiry;
use crate::machine::{ConnectionId, Time};
use crate::user::UserName;
use crate::wire::directory::{DirectoryRecord, MOST_IN_BATCH};
use crate::wire::super_node::FromSuperNode;
use crate::wire::{DecodeError, List};

/// Searches that one client may have under way.
pub(crate) const MOST_SEARCHES: usize = 16;
/// Records that are being fetched for the cache at a time.
const MOST_FETCHES: usize = 1_000;

type Key = (ConnectionId, u32);

/// The batches that are left of a search.
#[derive(Debug)]
struct Batches {
    user: UserName,
    nodes: std::vec::IntoIter<SocketAddrV4>,
    size: usize,
    left: usize,
    /// Nodes of the batches so far.
    given: Vec<SocketAddrV4>,
}

impl Batches {
    /// The next batch, twice as large as the one before; empty if there is none.
    fn next(&mut self) -> Vec<SocketAddrV4> {
        if self.left == 0 {
            return Vec::new();
        }
        self.left -= 1;
        let batch: Vec<_> = self.nodes.by_ref().take(self.size).collect();
        self.size = (2 * self.size).min(MOST_IN_BATCH);
        self.given.extend_from_slice(&batch);
        batch
    }
}

/// Nodes being asked by this super node.
#[derive(Debug)]
struct Running {
    inquiry: Inquiry,
    /// The search that it is for; none if a record is fetched for the cache.
    client: Option<Key>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Searches {
    by_client: BTreeMap<Key, Batches>,
    running: Vec<Running>,
}

impl Searches {
    pub fn next_timeout(&self) -> Option<Time> {
        self.running.iter().filter_map(|running| running.inquiry.next_timeout()).min()
    }
}

impl Directory {
    /// A client searches for a user. An error if it has more searches under way than a client makes.
    pub fn search(
        &mut self,
        now: Time,
        connection: ConnectionId,
        search: u32,
        user: UserName,
        on_behalf: bool,
    ) -> Result<(), DecodeError> {
        let under_way = self.searches.by_client.range((connection, 0)..=(connection, u32::MAX)).count();
        if under_way >= MOST_SEARCHES {
            return Err(DecodeError::Value("more searches than a client has under way"));
        }
        self.status.searches += 1;
        let found = self.find(now, &user);
        // What it merely still holds is for others to compare with what the homes say.
        let counts = |source| source == RecordSource::Cache || self.has_last_word(&user);
        if let Some((record, source)) = found.filter(|(_, source)| counts(*source)) {
            self.answer(connection, search, Some(record), source, 0);
            return Ok(());
        }
        let nodes = super::homes(&user, self.membership.alive(), usize::MAX).into_iter();
        let (size, left) = (self.parameters.search_first_batch.get(), self.parameters.search_batches.get());
        let batches = Batches { user, nodes, size, left, given: Vec::new() };
        self.searches.by_client.insert((connection, search), batches);
        if on_behalf {
            self.ask_next_batch(now, (connection, search));
        } else {
            self.give_next_batch((connection, search));
        }
        Ok(())
    }

    /// A client tells what the nodes of its batch answered.
    pub fn search_reported(
        &mut self,
        now: Time,
        connection: ConnectionId,
        search: u32,
        found_at: Option<SocketAddrV4>,
    ) {
        let key = (connection, search);
        let Some(node) = found_at else {
            self.give_next_batch(key);
            return;
        };
        let Some(batches) = self.searches.by_client.remove(&key) else {
            return;
        };
        let fetches = self.searches.running.iter().filter(|running| running.client.is_none()).count();
        if batches.given.contains(&node) && fetches < MOST_FETCHES {
            self.run(now, batches.user, vec![node], None);
        }
    }

    /// The client is gone, and what it searched for is of no use.
    pub fn forget_client(&mut self, connection: ConnectionId) {
        self.searches.by_client.retain(|(client, _), _| *client != connection);
        self.searches.running.retain(|running| running.client.is_none_or(|(client, _)| client != connection));
    }

    fn give_next_batch(&mut self, key: Key) {
        let Some(batches) = self.searches.by_client.get_mut(&key) else {
            return;
        };
        let nodes = batches.next();
        if nodes.is_empty() {
            self.searches.by_client.remove(&key);
        }
        self.status.forwards += nodes.len() as u64;
        let message = FromSuperNode::SearchBatch { search: key.1, nodes: List::new(nodes) };
        self.effects.push_back(Effect::Answer(key.0, message));
    }

    fn ask_next_batch(&mut self, now: Time, key: Key) {
        let Some(batches) = self.searches.by_client.get_mut(&key) else {
            return;
        };
        let nodes = batches.next();
        if nodes.is_empty() {
            let asked = batches.given.len();
            self.searches.by_client.remove(&key);
            self.answer(key.0, key.1, None, RecordSource::Search, asked);
        } else {
            let user = batches.user.clone();
            self.run(now, user, nodes, Some(key));
        }
    }

    fn run(&mut self, now: Time, user: UserName, nodes: Vec<SocketAddrV4>, client: Option<Key>) {
        self.status.forwards += nodes.len() as u64;
        let inquiry = Inquiry::new(now, &mut self.random, &self.parameters, user, nodes);
        self.searches.running.push(Running { inquiry, client });
    }

    pub(super) fn lookup_answered(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        transaction: u32,
        found: Option<DirectoryRecord>,
        source: RecordSource,
    ) {
        let asker = |running: &&mut Running| running.inquiry.awaits(from, transaction);
        if let Some(running) = self.searches.running.iter_mut().find(asker) {
            running.inquiry.answer(now, from, transaction, found, source, &self.keys);
        }
    }

    /// Sends what is due, and ends what is over.
    pub(super) fn advance_searches(&mut self, now: Time) {
        let mut ended = Vec::new();
        let mut kept = Vec::new();
        for mut running in std::mem::take(&mut self.searches.running) {
            for (to, message) in running.inquiry.take_due(now) {
                self.effects.push_back(Effect::Datagram(to, message));
            }
            if running.inquiry.is_over() { ended.push(running) } else { kept.push(running) }
        }
        self.searches.running = kept;
        for Running { mut inquiry, client } in ended {
            let best = inquiry.take_best();
            if let Some(answer) = &best {
                self.keep(now, &answer.record);
            }
            match (client, best) {
                (Some(key), Some(answer)) => {
                    let given = self.searches.by_client.remove(&key).map_or(0, |batches| batches.given.len());
                    self.answer(key.0, key.1, Some(answer.record), RecordSource::Search, given);
                }
                (Some(key), None) => self.ask_next_batch(now, key),
                (None, _) => {}
            }
        }
        // The next batches are asked at once.
        if self.searches.running.iter().any(|running| running.inquiry.asked() == 0) {
            self.advance_searches(now);
        }
    }

    pub(super) fn keep(&mut self, now: Time, record: &DirectoryRecord) {
        if !self.has_last_word(&record.certificate.user) {
            self.cache.keep(now, record.clone());
        }
    }

    fn answer(
        &mut self,
        connection: ConnectionId,
        search: u32,
        found: Option<DirectoryRecord>,
        source: RecordSource,
        asked: usize,
    ) {
        let asked = u8::try_from(asked).unwrap_or(u8::MAX);
        let message = FromSuperNode::SearchResult { search, found, source, asked };
        self.effects.push_back(Effect::Answer(connection, message));
    }
}
