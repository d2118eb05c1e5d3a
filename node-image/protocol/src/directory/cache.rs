//! Results of searches, kept for a while where they passed.

use std::time::Duration;

use super::store::Age;
use crate::machine::Time;
use crate::recent::Recent;
use crate::user::UserName;
use crate::wire::directory::DirectoryRecord;

#[derive(Debug)]
struct Cached {
    record: DirectoryRecord,
    kept: Age,
    logged_in: Age,
    seen: Age,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    results: Recent<UserName, Cached>,
    limit: usize,
    lifetime: Duration,
    record_lifetime: Duration,
}

impl Cache {
    /// Keeps so many results, each for `lifetime`, and none of a record that is older than `record_lifetime`.
    pub fn new(limit: usize, lifetime: Duration, record_lifetime: Duration) -> Self {
        Self { results: Recent::new(limit), limit, lifetime, record_lifetime }
    }

    pub fn keep(&mut self, now: Time, record: DirectoryRecord) {
        let cached = Cached {
            kept: Age::new(now),
            logged_in: Age::of(now, record.logged_in),
            seen: Age::of(now, record.seen),
            record,
        };
        self.results.enter(cached.record.certificate.user.clone(), cached);
    }

    /// The result, if it is still good.
    pub fn get(&mut self, now: Time, user: &UserName) -> Option<DirectoryRecord> {
        let cached = self.results.get(user)?;
        if cached.kept.get(now) >= self.lifetime || cached.seen.get(now) >= self.record_lifetime {
            self.results.remove(user);
            return None;
        }
        let mut record = cached.record.clone();
        (record.logged_in, record.seen) = (cached.logged_in.seconds(now), cached.seen.seconds(now));
        Some(record)
    }

    /// The user's record is here itself, or the result did not hold.
    pub fn remove(&mut self, user: &UserName) {
        self.results.remove(user);
    }

    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.results = Recent::new(self.limit);
    }
}
