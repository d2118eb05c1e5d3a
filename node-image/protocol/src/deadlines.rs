//! Time limits of many connections, with the next one at hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{ConnectionId, Time};

/// At most one time limit for each connection.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    by_time: BTreeSet<(Time, ConnectionId)>,
    by_connection: BTreeMap<ConnectionId, Time>,
}

impl Deadlines {
    /// Sets or moves a connection's limit.
    pub fn set(&mut self, connection: ConnectionId, at: Time) {
        self.clear(connection);
        self.by_time.insert((at, connection));
        self.by_connection.insert(connection, at);
    }

    /// Removes a connection's limit.
    pub fn clear(&mut self, connection: ConnectionId) {
        if let Some(at) = self.by_connection.remove(&connection) {
            self.by_time.remove(&(at, connection));
        }
    }

    /// The next limit.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// Takes out a connection whose limit has passed.
    pub fn take_passed(&mut self, now: Time) -> Option<ConnectionId> {
        let &(at, connection) = self.by_time.first().filter(|&&(at, _)| at <= now)?;
        self.by_time.remove(&(at, connection));
        self.by_connection.remove(&connection);
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_moved_limit_counts_only_at_its_new_moment() {
        let mut deadlines = Deadlines::default();
        deadlines.set(ConnectionId(1), at(1));
        deadlines.set(ConnectionId(3), at(2));
        deadlines.set(ConnectionId(1), at(3));
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.take_passed(at(2)), Some(ConnectionId(3)));
        assert_eq!(deadlines.take_passed(at(2)), None);
        deadlines.clear(ConnectionId(1));
        assert_eq!(deadlines.next(), None);
    }
}
