//! The keys of one block of a profile, read one by one; what is left over is an unknown key.

use std::time::Duration;

use crate::profile::behaviour::{PortRange, Timeout};
use crate::topology::document::{Key, Tree, Value};
use crate::topology::problem::{Problem, did_you_mean};

/// A block of keys. Whatever is wrong goes to `problems`, and reading goes on.
pub(super) struct Fields<'t, 'p> {
    block: &'t Tree,
    what: &'static str,
    entries: Vec<(&'t Key, &'t Tree)>,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'t, 'p> Fields<'t, 'p> {
    /// The keys of `block`, which is meant to be `what` (`a NAT profile`).
    pub(super) fn of(block: &'t Tree, what: &'static str, problems: &'p mut Vec<Problem>) -> Self {
        let mut entries: Vec<(&Key, &Tree)> = Vec::new();
        if let Value::Map(map) = &block.value {
            for (key, value) in map {
                if let Some((first, _)) = entries.iter().find(|(known, _)| known.name == key.name) {
                    problems.push(
                        Problem::new(key.at, format!("{what}: the key '{}' stands there twice", key.name))
                            .mend(format!("remove one of them; the first is in line {}", first.at.line)),
                    );
                } else {
                    entries.push((key, value));
                }
            }
        } else {
            problems.push(
                Problem::new(block.at, format!("found {}, expected {what}", block.value.describe()))
                    .mend("write a block of keys, one a line, each with its value"),
            );
        }
        Self { block, what, entries, known: Vec::new(), problems }
    }

    /// Where problems go.
    pub(super) fn problems(&mut self) -> &mut Vec<Problem> {
        self.problems
    }

    /// The value of a key that may be absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'t Tree> {
        self.known.push(key);
        let index = self.entries.iter().position(|(found, _)| found.name == key)?;
        Some(self.entries.swap_remove(index).1)
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Option<&'t Tree> {
        let found = self.take(key);
        if found.is_none() && matches!(self.block.value, Value::Map(_)) {
            self.problems.push(
                Problem::new(self.block.at, format!("{} has no '{key}'", self.what))
                    .mend(format!("add '{key}: ...'")),
            );
        }
        found
    }

    /// The value of a key that may be absent, read by `read`.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&mut Self, &'t Tree, &str) -> Option<T>,
    ) -> Option<T> {
        self.take(key).and_then(|tree| read(self, tree, expected))
    }

    /// Reports a value that is not what was expected.
    pub(super) fn wrong<T>(&mut self, tree: &Tree, expected: &str, mend: impl Into<String>) -> Option<T> {
        self.problems.push(
            Problem::new(
                tree.at,
                format!("{}: found {}, expected {expected}", self.what, tree.value.describe()),
            )
            .mend(mend),
        );
        None
    }

    /// Text.
    pub(super) fn text(&mut self, tree: &'t Tree, expected: &str) -> Option<String> {
        match &tree.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            _ => self.wrong(tree, expected, format!("write {expected}")),
        }
    }

    /// A list of texts, or one.
    pub(super) fn texts(&mut self, tree: &'t Tree, expected: &str) -> Option<Vec<String>> {
        match &tree.value {
            Value::List(items) => items.iter().map(|item| self.text(item, expected)).collect(),
            _ => self.text(tree, expected).map(|text| vec![text]),
        }
    }

    /// One of the words of `words`, whatever its case.
    pub(super) fn word<T: Copy>(
        &mut self,
        tree: &Tree,
        expected: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let Value::Text(found) = &tree.value else {
            return self.wrong(tree, expected, format!("one of: {}", list(words)));
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(found)) {
            return Some(*value);
        }
        let mend = did_you_mean(found, words.iter().map(|(word, _)| *word).collect::<Vec<_>>());
        self.wrong(tree, expected, mend)
    }

    /// The word of a key, or `default` where the key is absent.
    pub(super) fn word_or<T: Copy>(
        &mut self,
        key: &'static str,
        expected: &str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        self.take(key).and_then(|tree| self.word(tree, expected, words)).unwrap_or(default)
    }

    /// Port or range: `80`, `'1024-2047'`.
    pub(super) fn ports(&mut self, tree: &Tree) -> Option<PortRange> {
        const EXPECTED: &str = "a port or a range of ports, 1 to 65535";
        let (first, last) = match &tree.value {
            Value::Whole(port) => {
                let port = u16::try_from(*port).ok();
                (port, port)
            }
            Value::Text(text) => {
                let (first, last) = text.split_once(['-', ':']).unwrap_or((text, text));
                (first.trim().parse().ok(), last.trim().parse().ok())
            }
            _ => (None, None),
        };
        let (Some(first), Some(last)) = (first, last) else {
            return self.wrong(tree, EXPECTED, "write one port (80) or the first and the last (1024-65535)");
        };
        match PortRange::new(first, last) {
            Some(range) => Some(range),
            None if first > last => {
                self.wrong(tree, EXPECTED, format!("the first port comes first: {last}-{first}"))
            }
            None => self.wrong(tree, EXPECTED, "0 is no port; begin with 1"),
        }
    }

    /// The timeout of a key, or `default` where the key is absent.
    pub(super) fn timeout_or(&mut self, key: &'static str, default: Timeout) -> Timeout {
        self.take(key).and_then(|tree| self.timeout(tree)).unwrap_or(default)
    }

    fn timeout(&mut self, tree: &Tree) -> Option<Timeout> {
        const EXPECTED: &str = "an idle time of 1s to 60 days in whole seconds";
        let idle = match &tree.value {
            Value::Text(text) => humantime::parse_duration(text).ok(),
            Value::Whole(0) => Some(Duration::ZERO),
            _ => None,
        };
        match idle {
            None => self.wrong(tree, EXPECTED, "write a number with its unit: 30s, 2m, 2h4m"),
            Some(idle) if idle.is_zero() => {
                self.wrong(tree, EXPECTED, "a mapping that lives for no time cannot be used; the least is 1s")
            }
            Some(idle) => match Timeout::new(idle) {
                Some(timeout) => Some(timeout),
                None if idle > Timeout::MAX => self.wrong(tree, EXPECTED, "the most is 60 days"),
                None => self.wrong(tree, EXPECTED, "connection tracking counts in whole seconds"),
            },
        }
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        #[cfg(test)]
        crate::topology::fields::known::note(&self.known);
        let known = self.known;
        for (key, _) in self.entries {
            self.problems.push(
                Problem::new(key.at, format!("{}: unknown key '{}'", self.what, key.name))
                    .mend(did_you_mean(&key.name, known.iter().copied())),
            );
        }
    }
}

fn list<T>(words: &[(&'static str, T)]) -> String {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}
