//! The host cache: the list of super nodes that a client keeps.

use std::net::SocketAddrV4;

/// How much an entry is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Was tried and did not answer.
    Silent,
    /// From an earlier login; not tried yet.
    Unknown,
    /// Told by a super node in this login.
    Told,
    /// Answered in this login.
    Answered,
}

/// Super nodes' addresses in the order in which they are tried, at most so many.
#[derive(Clone, Debug)]
pub struct HostCache {
    entries: Vec<(SocketAddrV4, Standing)>,
    limit: usize,
}

impl HostCache {
    /// A cache that holds the first `limit` of `entries`, each once.
    #[must_use]
    pub fn new(entries: &[SocketAddrV4], limit: usize) -> Self {
        let mut cache = Self { entries: Vec::new(), limit };
        for &entry in entries {
            cache.enter(entry, Standing::Unknown);
        }
        cache
    }

    /// Entries that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<SocketAddrV4> {
        self.entries.iter().map(|&(address, _)| address).collect()
    }

    /// The entries of which a super node told, or which answered, in this login.
    #[must_use]
    pub fn trusted(&self) -> Vec<SocketAddrV4> {
        self.entries
            .iter()
            .filter(|(_, standing)| *standing >= Standing::Told)
            .map(|&(address, _)| address)
            .collect()
    }

    /// A super node told of this one. Takes the place of a worse entry where the cache is full.
    pub fn told(&mut self, address: SocketAddrV4) {
        self.enter(address, Standing::Told);
    }

    /// The entry answered.
    pub fn answered(&mut self, address: SocketAddrV4) {
        self.enter(address, Standing::Answered);
    }

    /// The entry was tried in vain.
    pub fn silent(&mut self, address: SocketAddrV4) {
        if let Some((_, standing)) = self.entries.iter_mut().find(|(known, _)| *known == address) {
            *standing = Standing::Silent;
        }
    }

    fn enter(&mut self, address: SocketAddrV4, standing: Standing) {
        if let Some((_, known)) = self.entries.iter_mut().find(|(known, _)| *known == address) {
            *known = standing.max(*known);
        } else if self.entries.len() < self.limit {
            self.entries.push((address, standing));
        } else if let Some(worst) = self.entries.iter_mut().min_by_key(|(_, standing)| *standing)
            && worst.1 < standing
        {
            *worst = (address, standing);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 33_033)
    }

    #[test]
    fn holds_each_entry_once_and_no_more_than_the_limit() {
        let cache = HostCache::new(&[address(1), address(1), address(2), address(3)], 2);
        assert_eq!(cache.entries(), [address(1), address(2)]);
    }

    #[test]
    fn a_told_entry_takes_the_place_of_a_silent_one_but_not_of_one_that_answered() {
        let mut cache = HostCache::new(&[address(1), address(2)], 2);
        cache.answered(address(1));
        cache.silent(address(2));
        cache.told(address(3));
        cache.told(address(4));
        assert_eq!(cache.entries(), [address(1), address(3)]);
        assert_eq!(cache.trusted(), [address(1), address(3)]);
    }

    #[test]
    fn an_entry_that_answers_after_all_is_trusted() {
        let mut cache = HostCache::new(&[address(1)], 2);
        cache.silent(address(1));
        assert!(cache.trusted().is_empty());
        cache.answered(address(1));
        assert_eq!(cache.trusted(), [address(1)]);
    }
}
