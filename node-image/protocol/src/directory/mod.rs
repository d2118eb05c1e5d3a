//! The global index of users, distributed over the super nodes. `docs/search.md` has the rules.
//!
//! 1. A user's record belongs to `directory_replicas` super nodes, the user's **homes** ([`homes`]), chosen among
//!    those that live by this super node's view ([`membership`]).
//! 2. A super node that accepts a registration **publishes**: it sends the record to the user's homes, and does
//!    so again each `directory_refresh_interval` while the user's client is connected. When the connection
//!    ends, it publishes that the user is offline.
//! 3. Each super node's word of a user is an attachment of its own with a serial number, so that lost, repeated
//!    and reordered messages change nothing: of two versions the newer counts, whatever comes first.
//! 4. When the view changes, records are **re-homed**: of those who hold a record, the one with the greatest
//!    weight sends it to the new homes; so does the super node that the user is attached to. Who is no home any
//!    more forgets the record once the homes have it.
//!    A super node that **leaves** sends what it holds to those who are homes without it, and tells of its own death.
//! 5. A record expires `directory_record_lifetime` after the user was last seen online. Ages travel, moments do
//!    not, because nobody's clock is anybody else's.
//! 6. A user whose super node is dead, or has not published in three refresh intervals, is offline.

mod cache;
mod leave;
mod membership;
mod outbox;
mod placement;
mod search;
mod store;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use self::cache::Cache;
use self::membership::Membership;
use self::outbox::Outbox;
pub use self::placement::homes;
pub(crate) use self::search::MOST_SEARCHES;
use self::search::Searches;
use self::store::{Age, Store, Version};
use crate::certificate::Certificate;
use crate::crypto::keys::ServerPublicKey;
use crate::event::RecordSource;
use crate::machine::{ConnectionId, Time};
use crate::parameters::Parameters;
use crate::user::UserName;
use crate::wire::datagram::Datagram;
use crate::wire::directory::{DirectoryRecord, Life};
use crate::wire::super_node::{FromSuperNode, Presence};

/// Refresh intervals for which a super node's word that a user is online counts.
const REFRESHES: u32 = 3;

/// What the directory wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send a datagram.
    Datagram(SocketAddrV4, Datagram),
    /// Answer a client.
    Answer(ConnectionId, FromSuperNode),
}

/// What a super node's part of the directory holds and has done, by its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// Routing table: other super nodes that live.
    pub members: usize,
    /// Other super nodes that are known to be dead.
    pub dead: usize,
    /// Records of users that it holds.
    pub records: usize,
    /// Results of searches that it keeps.
    pub cached: usize,
    /// Searches that clients asked it for.
    pub searches: u64,
    /// Lookups that it answered.
    pub lookups: u64,
    /// Forwarding load: lookups that it sent to other super nodes for clients, and nodes that it gave clients to ask.
    pub forwards: u64,
    /// Searches and lookups that it answered from results of earlier searches.
    pub cache_hits: u64,
    /// Records that it sent to other super nodes, repetitions included.
    pub replications: u64,
    /// Gossip messages that it sent, answers included.
    pub gossip: u64,
}

/// One super node's part of the index.
#[derive(Debug)]
pub(crate) struct Directory {
    own: SocketAddrV4,
    parameters: Parameters,
    keys: Vec<ServerPublicKey>,
    /// Not the super node's own stream of random numbers, so that logins do not depend on searches.
    random: ChaCha20Rng,
    /// See [`crate::wire::directory::Attachment::life`].
    life: u32,
    serial: u32,
    membership: Membership,
    store: Store,
    outbox: Outbox,
    cache: Cache,
    searches: Searches,
    refreshes: BTreeSet<(Time, UserName)>,
    /// When records are looked through because the view changed.
    sweep_at: Option<Time>,
    /// When they are looked through anyway.
    next_sweep: Option<Time>,
    status: DirectoryStatus,
    effects: VecDeque<Effect>,
    changes: Vec<(SocketAddrV4, Life)>,
}

impl Directory {
    pub fn new(
        own: SocketAddrV4,
        peers: impl IntoIterator<Item = SocketAddrV4>,
        keys: Vec<ServerPublicKey>,
        seed: u64,
        parameters: Parameters,
    ) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        random.set_stream(1);
        let lifetime = parameters.directory_record_lifetime.duration();
        let kept = parameters.directory_cache_lifetime.duration();
        Self {
            own,
            life: random.next_u32(),
            serial: 0,
            random,
            membership: Membership::new(own, peers, &parameters),
            store: Store::new(parameters.server_records.get(), lifetime),
            outbox: Outbox::new(
                parameters.directory_retransmit_interval.duration(),
                parameters.directory_tries.get(),
            ),
            cache: Cache::new(parameters.directory_cache_records.get(), kept, lifetime),
            searches: Searches::default(),
            refreshes: BTreeSet::new(),
            sweep_at: None,
            next_sweep: None,
            status: DirectoryStatus::default(),
            effects: VecDeque::new(),
            changes: Vec::new(),
            keys,
            parameters,
        }
    }

    /// What it holds and has done.
    pub fn status(&self) -> DirectoryStatus {
        let (members, dead) = self.membership.count();
        DirectoryStatus { members, dead, records: self.store.len(), cached: self.cache.len(), ..self.status }
    }

    /// True if it holds a user's record.
    pub fn holds(&self, user: &UserName) -> bool {
        self.store.get(user).is_some()
    }

    /// The other super nodes that live.
    pub fn members(&self) -> impl Iterator<Item = SocketAddrV4> + '_ {
        self.membership.alive()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A message as it goes out, obfuscated by the directory's own random numbers.
    pub fn payload(&mut self, message: &Datagram) -> Vec<u8> {
        message.to_payload(&mut self.random)
    }

    /// Who came to life or died since the last call.
    pub fn take_changes(&mut self) -> Vec<(SocketAddrV4, Life)> {
        std::mem::take(&mut self.changes)
    }

    /// A user's registration was accepted.
    pub fn attached(&mut self, now: Time, certificate: &Certificate, presence: &Presence) {
        let user = certificate.user.clone();
        let version = Version {
            life: self.life,
            serial: self.next_serial(),
            presence: presence.clone(),
            online: true,
            logged_in: Age::new(now),
            seen: Age::new(now),
        };
        self.store.enter(now, certificate.clone(), self.own, version);
        self.cache.remove(&user);
        self.schedule_refresh(now, user.clone());
        self.publish(&user);
    }

    /// The connection of a user's client ended.
    pub fn detached(&mut self, now: Time, user: &UserName) {
        let serial = self.next_serial();
        if let Some(held) = self.store.get_mut(user)
            && let Some(version) = held.versions.get_mut(&self.own)
        {
            held.attached = false;
            (version.serial, version.online, version.seen) = (serial, false, Age::new(now));
            self.publish(user);
        }
    }

    fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    fn schedule_refresh(&mut self, now: Time, user: UserName) {
        self.refreshes.retain(|(_, known)| *known != user);
        self.refreshes.insert((now + self.parameters.directory_refresh_interval.duration(), user));
    }

    /// Sends a user's record to all homes.
    fn publish(&mut self, user: &UserName) {
        let homes = self.homes_of(user);
        if let Some(held) = self.store.get_mut(user) {
            held.holders.clear();
            for home in homes.into_iter().filter(|home| *home != self.own) {
                self.outbox.push(home, user.clone());
            }
        }
    }

    fn homes_of(&self, user: &UserName) -> Vec<SocketAddrV4> {
        let nodes = self.membership.alive().chain([self.own]);
        homes(user, nodes, self.parameters.directory_replicas.get())
    }

    /// Takes a message of another super node or, for a lookup, of anybody; false if it is none of the
    /// directory's.
    pub fn datagram(&mut self, now: Time, from: SocketAddrV4, message: &Datagram) -> bool {
        match message {
            Datagram::Gossip { transaction, incarnation, members } => {
                let members = members.as_slice();
                self.membership.asked(now, from, *transaction, *incarnation, members, &mut self.random);
            }
            Datagram::GossipAnswer { transaction, incarnation, members } => {
                let members = members.as_slice();
                self.membership.answered(now, from, *transaction, *incarnation, members, &mut self.random);
            }
            Datagram::Replicate { transaction, certificate, attachments } => {
                if self.membership.is_known(from) && self.is_certified(certificate) {
                    self.replicated(now, from, certificate.clone(), attachments.as_slice());
                    let transaction = *transaction;
                    self.effects.push_back(Effect::Datagram(from, Datagram::ReplicateAnswer { transaction }));
                }
            }
            Datagram::ReplicateAnswer { transaction } => {
                if let Some(user) = self.outbox.answered(from, *transaction)
                    && let Some(held) = self.store.get_mut(&user)
                {
                    held.holders.insert(from);
                }
            }
            Datagram::Lookup { transaction, user } => {
                self.status.lookups += 1;
                let (found, source) = match self.find(now, user) {
                    Some((record, source)) => (Some(record), source),
                    None => (None, RecordSource::Index),
                };
                let answer = Datagram::LookupAnswer { transaction: *transaction, found, source };
                self.effects.push_back(Effect::Datagram(from, answer));
            }
            Datagram::LookupAnswer { transaction, found, source } => {
                self.lookup_answered(now, from, *transaction, found.clone(), *source);
            }
            _ => return false,
        }
        true
    }

    /// A certificate that is held already was verified before.
    fn is_certified(&self, certificate: &Certificate) -> bool {
        let known = self.store.get(&certificate.user);
        known.is_some_and(|held| held.certificate == *certificate) || certificate.verify(&self.keys).is_ok()
    }

    fn replicated(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        certificate: Certificate,
        attachments: &[crate::wire::directory::Attachment],
    ) {
        let user = certificate.user.clone();
        // Nobody else may say what this super node says of its own clients.
        let others: Vec<_> =
            attachments.iter().filter(|attachment| attachment.super_node != self.own).cloned().collect();
        let news = self.store.merge(now, certificate, &others);
        let homes = self.homes_of(&user);
        if let Some(held) = self.store.get_mut(&user) {
            // Whoever sends something new sends it to all homes.
            if news {
                held.holders = homes.into_iter().collect();
            }
            held.holders.insert(from);
            self.cache.remove(&user);
        }
    }

    /// A user's record: from the index where this super node has the last word; else from the results of earlier
    /// searches; else what it still holds.
    fn find(&mut self, now: Time, user: &UserName) -> Option<(DirectoryRecord, RecordSource)> {
        let index = self.find_in_index(now, user);
        if index.is_some() && self.has_last_word(user) {
            return index.map(|record| (record, RecordSource::Index));
        }
        if let Some(record) = self.find_in_cache(now, user) {
            self.status.cache_hits += 1;
            return Some((record, RecordSource::Cache));
        }
        index.map(|record| (record, RecordSource::Index))
    }

    /// A home, or the super node that the user is connected to, knows best. Who was one once, or lost the user to
    /// another super node, does not.
    fn has_last_word(&self, user: &UserName) -> bool {
        self.store.get(user).is_some_and(|held| held.attached) || self.homes_of(user).contains(&self.own)
    }

    fn find_in_index(&mut self, now: Time, user: &UserName) -> Option<DirectoryRecord> {
        let fresh = self.parameters.directory_refresh_interval.duration() * REFRESHES;
        let membership = &self.membership;
        let is_online = |node, version: &Version| !membership.is_dead(node) && version.seen.get(now) < fresh;
        self.store.record(now, user, is_online)
    }

    /// A result that holds: one whose super nodes are all dead does not.
    fn find_in_cache(&mut self, now: Time, user: &UserName) -> Option<DirectoryRecord> {
        let record = self.cache.get(now, user)?;
        let lost = |node: &SocketAddrV4| self.membership.is_dead(*node);
        if record.online && record.super_nodes.as_slice().iter().all(lost) {
            self.cache.remove(user);
            return None;
        }
        Some(record)
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Time) {
        self.membership.advance(now, &mut self.random);
        self.view_changed(now);
        self.refresh(now);
        let interval = self.parameters.directory_refresh_interval.duration();
        if now >= *self.next_sweep.get_or_insert(now + interval) {
            self.next_sweep = Some(now + interval);
            self.sweep_at = None;
            self.sweep(now);
            self.drop_what_belongs_elsewhere(now);
        } else if self.sweep_at.is_some_and(|at| now >= at) {
            self.sweep_at = None;
            self.sweep(now);
        }
        self.advance_searches(now);
        self.send_records(now);
        for (to, message) in self.membership.take_outputs() {
            self.status.gossip += 1;
            self.effects.push_back(Effect::Datagram(to, message));
        }
    }

    /// Changes of the view come in groups: records are looked through a moment later, for all at once.
    fn view_changed(&mut self, now: Time) {
        let changes = self.membership.take_changes();
        if changes.is_empty() {
            return;
        }
        for &(node, life) in &changes {
            if life == Life::Dead {
                self.outbox.forget(node);
            }
        }
        self.changes.extend(changes);
        self.sweep_at.get_or_insert(now + self.parameters.directory_retransmit_interval.duration());
    }

    fn refresh(&mut self, now: Time) {
        while let Some((at, _)) = self.refreshes.first()
            && *at <= now
            && let Some((_, user)) = self.refreshes.pop_first()
        {
            let serial = self.next_serial();
            let Some(held) = self.store.get_mut(&user).filter(|held| held.attached) else {
                continue;
            };
            if let Some(version) = held.versions.get_mut(&self.own) {
                (version.serial, version.seen) = (serial, Age::new(now));
                self.schedule_refresh(now, user.clone());
                self.publish(&user);
            }
        }
    }

    /// Drops what expired, and sends what has new homes to these, if that is this super node's task.
    fn sweep(&mut self, now: Time) {
        for user in self.store.users() {
            if self.store.expire(now, &user) {
                continue;
            }
            for home in self.lacking_homes(&user) {
                self.outbox.push(home, user.clone());
            }
        }
    }

    /// The homes that do not hold a user's record, as far as is known here, if it is this super node's task
    /// to send it there: as the user's own, or as the one with the greatest weight of those who hold it.
    fn lacking_homes(&mut self, user: &UserName) -> Vec<SocketAddrV4> {
        let homes = self.homes_of(user);
        let (own, membership) = (self.own, &self.membership);
        let Some(held) = self.store.get_mut(user) else {
            return Vec::new();
        };
        held.holders.retain(|node| membership.is_alive(*node));
        let holders = held.holders.iter().copied().chain([own]);
        if !held.attached && self::homes(user, holders, 1).first() != Some(&own) {
            return Vec::new();
        }
        homes.into_iter().filter(|home| *home != own && !held.holders.contains(home)).collect()
    }

    /// Forgets records of which this super node has not been a home for a refresh interval. Not sooner: whoever
    /// entrusted it with one may have known earlier than itself that it is a home now.
    fn drop_what_belongs_elsewhere(&mut self, now: Time) {
        let interval = self.parameters.directory_refresh_interval.duration();
        for user in self.store.users() {
            let settled = |held: &store::Held| !held.attached && now - held.entrusted >= interval;
            let idle = self.store.get(&user).is_some_and(settled);
            if idle && !self.homes_of(&user).contains(&self.own) && self.lacking_homes(&user).is_empty() {
                self.store.remove(&user);
            }
        }
    }

    fn send_records(&mut self, now: Time) {
        for (to, user, transaction) in self.outbox.take_due(now, &mut self.random) {
            if let Some(held) = self.store.get(&user) {
                self.status.replications += 1;
                let message = Datagram::Replicate {
                    transaction,
                    certificate: held.certificate.clone(),
                    attachments: held.attachments(now),
                };
                self.effects.push_back(Effect::Datagram(to, message));
            }
        }
    }

    /// Makes what is held of a user older, as if so much time had passed.
    pub fn age(&mut self, user: &UserName, by: Duration) {
        self.store.age(user, by);
        self.cache.remove(user);
    }

    /// Forgets the results of earlier searches.
    pub fn forget_results(&mut self) {
        self.cache.clear();
    }

    pub fn next_timeout(&self) -> Option<Time> {
        [
            self.membership.next_timeout(),
            self.outbox.next_timeout(),
            self.searches.next_timeout(),
            self.refreshes.first().map(|(at, _)| *at),
            self.sweep_at,
            self.next_sweep,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[cfg(test)]
mod tests;
