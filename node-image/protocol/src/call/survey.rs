//! Round trips to relays by TCP, for a client before which UDP is blocked.
//!
//! By UDP a client measures its relay candidates when it logs in. Without, it has their addresses only, and the first of
//! the list may be half the world away: all that is said would go there and back. So when a call begins it opens a
//! connection to each candidate, all at once, and closes it as soon as it is there: no payload, and one round trip,
//! while signalling needs three. What is not answered by the time the list is sent comes last.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::login::Core;
use crate::machine::{ConnectionId, Time};

/// Candidates that are measured at the most.
const MOST: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Attempts under way.
    open: BTreeMap<ConnectionId, SocketAddrV4>,
    begun: Time,
    deadline: Time,
    /// Round trips that were measured; `None` where the attempt failed.
    found: BTreeMap<SocketAddrV4, Option<Duration>>,
}

impl Survey {
    /// Begins to measure; what was known of earlier calls is forgotten, since nodes come and go. Strangers who knock can
    /// have it begun, so it is not before the last one's time is over. `known_port` is the port that let this client
    /// through to its super node, if it was not that node's own.
    pub fn start(&mut self, core: &mut Core, candidates: &[SocketAddrV4], known_port: Option<u16>) {
        if core.now < self.deadline {
            return;
        }
        self.found.clear();
        self.begun = core.now;
        self.deadline = core.now + core.parameters.call_dial_timeout.duration();
        for &node in candidates.iter().take(MOST) {
            let port = known_port.unwrap_or(node.port());
            self.open.insert(core.connect(SocketAddrV4::new(*node.ip(), port)), node);
        }
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.open.contains_key(&connection)
    }

    /// An attempt succeeded.
    pub fn connected(&mut self, core: &mut Core, connection: ConnectionId) {
        if let Some(node) = self.open.remove(&connection) {
            core.close(connection);
            self.found.insert(node, Some(core.now - self.begun));
        }
    }

    /// An attempt failed.
    pub fn ended(&mut self, connection: ConnectionId) {
        if let Some(node) = self.open.remove(&connection) {
            self.found.insert(node, None);
        }
    }

    /// Gives up what was not answered.
    pub fn advance(&mut self, core: &mut Core) {
        if core.now >= self.deadline {
            self.close(core);
        }
    }

    pub fn next_timeout(&self) -> Option<Time> {
        (!self.open.is_empty()).then_some(self.deadline)
    }

    /// Closes all attempts.
    pub fn close(&mut self, core: &mut Core) {
        for (connection, node) in std::mem::take(&mut self.open) {
            core.close(connection);
            self.found.insert(node, None);
        }
    }

    /// Brings relays into order: the nearest first, then those that were not measured as they were, then those that
    /// could not be reached.
    pub fn sort(&self, relays: &mut [SocketAddrV4]) {
        relays.sort_by_key(|relay| match self.found.get(relay) {
            Some(Some(round_trip)) => (0, *round_trip),
            None => (1, Duration::ZERO),
            Some(None) => (2, Duration::ZERO),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_nearest_come_first_and_the_unreachable_last() {
        let nodes: Vec<_> =
            (1..=5).map(|host| SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), 33_033)).collect();
        let found = [(0, None), (2, Some(90)), (4, Some(30))];
        let found =
            found.map(|(place, ms): (usize, Option<u64>)| (nodes[place], ms.map(Duration::from_millis)));
        let survey = Survey { found: found.into(), ..Survey::default() };
        let mut relays = nodes.clone();
        survey.sort(&mut relays);
        assert_eq!(relays, [nodes[4], nodes[2], nodes[1], nodes[3], nodes[0]]);
    }
}
