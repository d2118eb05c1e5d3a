//! A map that holds so many entries, and forgets the one that was longest not entered again.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    entered: u64,
    limit: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    pub fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), entered: 0, limit }
    }

    /// Enters or replaces.
    pub fn enter(&mut self, key: K, value: V) {
        self.entered += 1;
        self.order.insert(self.entered, key.clone());
        if let Some((earlier, _)) = self.entries.insert(key, (self.entered, value)) {
            self.order.remove(&earlier);
        }
        if self.entries.len() > self.limit
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (entered, value) = self.entries.remove(key)?;
        self.order.remove(&entered);
        Some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_entry_that_was_longest_not_entered_again() {
        let mut recent = Recent::new(2);
        recent.enter("a", 1);
        recent.enter("b", 2);
        recent.enter("a", 3);
        recent.enter("c", 4);
        assert_eq!((recent.get(&"a"), recent.get(&"b"), recent.get(&"c")), (Some(&3), None, Some(&4)));
        assert_eq!((recent.len(), recent.order.len()), (2, 2));
        assert_eq!((recent.remove(&"a"), recent.remove(&"a")), (Some(3), None));
        assert_eq!((recent.len(), recent.order.len()), (1, 1));
    }
}
