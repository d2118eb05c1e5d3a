//! A super node leaves while it still can speak.

use super::store::Age;
use super::{Directory, homes};
use crate::machine::Time;

impl Directory {
    /// This super node is about to end: its records go to those who are homes without it.
    pub fn leave(&mut self, now: Time) {
        for user in self.store.users() {
            let serial = self.next_serial();
            let homes = homes(&user, self.membership.alive(), self.parameters.directory_replicas.get());
            let Some(held) = self.store.get_mut(&user) else {
                continue;
            };
            // Whoever is connected loses the connection, and will be so at another super node.
            let attached = std::mem::take(&mut held.attached);
            if let Some(version) = held.versions.get_mut(&self.own).filter(|_| attached) {
                (version.serial, version.online, version.seen) = (serial, false, Age::new(now));
            }
            for home in homes.into_iter().filter(|home| attached || !held.holders.contains(home)) {
                self.outbox.push(home, user.clone());
            }
        }
        self.membership.leave(&mut self.random);
        self.advance(now);
    }

    /// True when nothing is under way to another super node.
    pub fn is_settled(&self) -> bool {
        self.outbox.is_empty()
    }
}
