//! The records of users: what super nodes say of each, merged, until it expires.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::certificate::Certificate;
use crate::machine::Time;
use crate::recent::Recent;
use crate::user::UserName;
use crate::wire::List;
use crate::wire::directory::{Attachment, DirectoryRecord, MOST_ATTACHMENTS};
use crate::wire::super_node::Presence;

/// How long ago something was. Two nodes' moments do not compare, but how long ago does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    at: Time,
    before: Duration,
}

impl Age {
    /// Just now.
    pub fn new(now: Time) -> Self {
        Self { at: now, before: Duration::ZERO }
    }

    /// So many seconds ago.
    pub fn of(now: Time, seconds: u32) -> Self {
        Self { at: now, before: Duration::from_secs(seconds.into()) }
    }

    /// How long ago it is now.
    pub fn get(self, now: Time) -> Duration {
        self.before.saturating_add(now - self.at)
    }

    /// The same in whole seconds.
    pub fn seconds(self, now: Time) -> u32 {
        u32::try_from(self.get(now).as_secs()).unwrap_or(u32::MAX)
    }

    /// Makes it longer ago.
    pub fn add(&mut self, by: Duration) {
        self.before = self.before.saturating_add(by);
    }
}

/// What one super node says of a user.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub life: u32,
    pub serial: u32,
    pub presence: Presence,
    pub online: bool,
    pub logged_in: Age,
    pub seen: Age,
}

impl Version {
    /// As it came over the wire.
    fn read(now: Time, attachment: &Attachment) -> Self {
        Self {
            life: attachment.life,
            serial: attachment.serial,
            presence: attachment.presence.clone(),
            online: attachment.online,
            logged_in: Age::of(now, attachment.logged_in),
            seen: Age::of(now, attachment.seen),
        }
    }

    /// True if `other` is the newer word of the same super node. After a restart it counts from anew, and
    /// what was seen later is newer.
    fn is_older_than(&self, now: Time, other: &Self) -> bool {
        if self.life == other.life {
            self.serial < other.serial
        } else {
            self.seen.get(now) >= other.seen.get(now)
        }
    }
}

/// A user's record.
#[derive(Debug)]
pub(super) struct Held {
    pub certificate: Certificate,
    pub versions: BTreeMap<SocketAddrV4, Version>,
    /// Super nodes that are believed to hold the same.
    pub holders: BTreeSet<SocketAddrV4>,
    /// The user is a client of this super node.
    pub attached: bool,
    /// When somebody last wanted it held here.
    pub entrusted: Time,
}

impl Held {
    /// What super nodes say, as it goes over the wire.
    pub fn attachments(&self, now: Time) -> List<Attachment, MOST_ATTACHMENTS> {
        List::new(self.versions.iter().map(|(&super_node, version)| Attachment {
            super_node,
            life: version.life,
            serial: version.serial,
            presence: version.presence.clone(),
            online: version.online,
            logged_in: version.logged_in.seconds(now),
            seen: version.seen.seconds(now),
        }))
    }

    fn enter(&mut self, now: Time, super_node: SocketAddrV4, version: Version) -> bool {
        if self.versions.get(&super_node).is_some_and(|known| !known.is_older_than(now, &version)) {
            return false;
        }
        self.versions.insert(super_node, version);
        if self.versions.len() > MOST_ATTACHMENTS {
            let worst = self
                .versions
                .iter()
                .max_by_key(|(_, version)| (!version.online, version.seen.get(now)))
                .map(|(&node, _)| node);
            worst.and_then(|node| self.versions.remove(&node));
        }
        true
    }
}

/// All records that this super node holds.
#[derive(Debug)]
pub(super) struct Store {
    records: Recent<UserName, Held>,
    lifetime: Duration,
}

impl Store {
    /// Holds so many records, and each for so long after the user was last seen.
    pub fn new(limit: usize, lifetime: Duration) -> Self {
        Self { records: Recent::new(limit), lifetime }
    }

    pub fn get(&self, user: &UserName) -> Option<&Held> {
        self.records.get(user)
    }

    pub fn get_mut(&mut self, user: &UserName) -> Option<&mut Held> {
        self.records.get_mut(user)
    }

    pub fn remove(&mut self, user: &UserName) {
        self.records.remove(user);
    }

    pub fn users(&self) -> Vec<UserName> {
        self.records.iter().map(|(user, _)| user.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Enters what came over the wire; the certificate is verified. True if anything of it was news.
    pub fn merge(&mut self, now: Time, certificate: Certificate, attachments: &[Attachment]) -> bool {
        let user = certificate.user.clone();
        let lifetime = self.lifetime;
        let fresh = attachments
            .iter()
            .map(|attachment| (attachment.super_node, Version::read(now, attachment)))
            .filter(|(_, version)| version.seen.get(now) < lifetime)
            .collect::<Vec<_>>();
        if fresh.is_empty() {
            return false;
        }
        let held = self.open(now, certificate);
        held.entrusted = now;
        let mut news = false;
        for (super_node, version) in fresh {
            news |= held.enter(now, super_node, version);
        }
        if news {
            self.touch(&user);
        }
        news
    }

    /// Enters this super node's own word.
    pub fn enter(&mut self, now: Time, certificate: Certificate, own: SocketAddrV4, version: Version) {
        let user = certificate.user.clone();
        let held = self.open(now, certificate);
        held.attached = true;
        held.enter(now, own, version);
        self.touch(&user);
    }

    /// The record of a certificate's user, with the newer of two certificates.
    fn open(&mut self, now: Time, certificate: Certificate) -> &mut Held {
        let user = certificate.user.clone();
        if self.records.get(&user).is_none() {
            let held = Held {
                certificate: certificate.clone(),
                versions: BTreeMap::new(),
                holders: BTreeSet::new(),
                attached: false,
                entrusted: now,
            };
            self.records.enter(user.clone(), held);
        }
        let held = self.records.get_mut(&user).expect("it was entered if it was not there");
        let outdated =
            held.certificate.issuer == certificate.issuer && held.certificate.issued > certificate.issued;
        if !outdated {
            held.certificate = certificate;
        }
        held
    }

    /// Makes it the record that is forgotten last.
    fn touch(&mut self, user: &UserName) {
        if let Some(held) = self.records.remove(user) {
            self.records.enter(user.clone(), held);
        }
    }

    /// Removes what expired; true if nothing of the user is left.
    pub fn expire(&mut self, now: Time, user: &UserName) -> bool {
        let Some(held) = self.records.get_mut(user) else {
            return true;
        };
        let lifetime = self.lifetime;
        held.versions.retain(|_, version| version.seen.get(now) < lifetime);
        let gone = held.versions.is_empty();
        if gone {
            self.records.remove(user);
        }
        gone
    }

    /// What a search yields. `is_online` judges of a super node's word that the user is online.
    pub fn record(
        &mut self,
        now: Time,
        user: &UserName,
        is_online: impl Fn(SocketAddrV4, &Version) -> bool,
    ) -> Option<DirectoryRecord> {
        if self.expire(now, user) {
            return None;
        }
        let held = self.records.get(user)?;
        let mut versions: Vec<_> = held
            .versions
            .iter()
            .map(|(&node, version)| (version.online && is_online(node, version), node, version))
            .collect();
        versions.sort_by_key(|(online, node, version)| {
            (Reverse(*online), version.logged_in.get(now), version.seen.get(now), *node)
        });
        let &(online, _, best) = versions.first()?;
        let same = versions.iter().filter(|(other, ..)| *other == online).map(|&(_, node, _)| node);
        Some(DirectoryRecord {
            certificate: held.certificate.clone(),
            presence: best.presence.clone(),
            online,
            logged_in: best.logged_in.seconds(now),
            seen: best.seen.seconds(now),
            super_nodes: List::new(same),
        })
    }

    /// Makes a record older, as if so much time had passed.
    pub fn age(&mut self, user: &UserName, by: Duration) {
        if let Some(held) = self.records.get_mut(user) {
            for version in held.versions.values_mut() {
                version.seen.add(by);
                version.logged_in.add(by);
            }
        }
    }
}
