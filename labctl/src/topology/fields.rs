//! Reads the blocks of a [`Tree`]: known keys are taken one by one, what is left over is unknown. Every
//! mistake is reported and reading goes on.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::document::{Key, Tree, Value};
use super::problem::{Mark, Problem, did_you_mean, nearest};

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Reporter(RefCell<Vec<Problem>>);

impl Reporter {
    pub(crate) fn report(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// A value that was read, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located<T> {
    pub(crate) at: Mark,
    pub(crate) value: T,
}

/// A value that is written as one word, such as `30ms`.
pub(crate) trait Word: Sized {
    /// What it is, with an example: `a time such as 30ms`.
    const EXPECTED: &'static str;

    /// Reads it.
    ///
    /// # Errors
    ///
    /// What mends the word; empty if `EXPECTED` says it.
    fn read(text: &str) -> Result<Self, String>;
}

/// A value that is still to be read.
#[derive(Clone, Debug)]
pub(crate) struct Item<'t> {
    pub(crate) tree: &'t Tree,
    /// Whose value it is, for messages: `site campus-a: 'delay'`.
    place: String,
    reporter: &'t Reporter,
}

/// A block of keys that is being read.
#[derive(Debug)]
pub(crate) struct Fields<'t> {
    entries: Vec<(&'t Key, &'t Tree)>,
    known: Vec<&'static str>,
    at: Mark,
    /// `site campus-a`; empty at the top.
    place: String,
    reporter: &'t Reporter,
}

impl<'t> Item<'t> {
    pub(crate) fn new(tree: &'t Tree, place: impl Into<String>, reporter: &'t Reporter) -> Self {
        Self { tree, place: place.into(), reporter }
    }

    pub(crate) fn at(&self) -> Mark {
        self.tree.at
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Reports what is wrong with this value.
    pub(crate) fn report(&self, message: impl Display, mend: impl Into<String>) {
        let message =
            if self.place.is_empty() { message.to_string() } else { format!("{}: {message}", self.place) };
        self.reporter.report(Problem::new(self.tree.at, message).mend(mend));
    }

    /// Reports that the value is of the wrong kind.
    pub(crate) fn expected(&self, expected: &str, mend: impl Into<String>) {
        let mut mend = mend.into();
        if mend.is_empty() {
            mend = format!("write {expected}");
        }
        self.report(format_args!("expected {expected}, found {}", self.tree.value.describe()), mend);
    }

    /// What another room made of this value, or its problems with it.
    pub(crate) fn accept<T>(&self, read: Result<T, Vec<Problem>>) -> Option<T> {
        read.map_err(|problems| {
            for mut problem in problems {
                problem.add_place(&self.place);
                self.reporter.report(problem);
            }
        })
        .ok()
    }

    /// A word or line of text.
    pub(crate) fn text(&self, expected: &str) -> Option<Located<&'t str>> {
        match &self.tree.value {
            Value::Text(text) => Some(Located { at: self.tree.at, value: text }),
            Value::Bool(_) | Value::Whole(_) | Value::Fraction(_) => {
                self.expected(expected, "put it in quotes if it is meant as text");
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.expected(expected, "");
                None
            }
        }
    }

    /// A value that is written as one word.
    pub(crate) fn word<T: Word>(&self) -> Option<Located<T>> {
        let text = match &self.tree.value {
            Value::Text(text) => text.clone(),
            Value::Whole(number) => number.to_string(),
            Value::Fraction(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
                self.expected(T::EXPECTED, "");
                return None;
            }
        };
        match T::read(&text) {
            Ok(value) => Some(Located { at: self.tree.at, value }),
            Err(mend) => {
                self.expected(T::EXPECTED, mend);
                None
            }
        }
    }

    /// A whole number within a range.
    pub(crate) fn whole<T: TryFrom<i128> + Copy + Into<u64>>(
        &self,
        range: &RangeInclusive<T>,
    ) -> Option<Located<T>> {
        let (least, most): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
        let expected = format!("a whole number from {least} to {most}");
        if let Value::Whole(number) = self.tree.value
            && (i128::from(least)..=i128::from(most)).contains(&number)
            && let Ok(value) = T::try_from(number)
        {
            return Some(Located { at: self.tree.at, value });
        }
        let quoted = matches!(&self.tree.value, Value::Text(text) if text.parse::<u64>().is_ok());
        self.expected(&expected, if quoted { "write it without quotes" } else { "" });
        None
    }

    /// The items of a list; a single value stands for a list of one.
    pub(crate) fn list(&self) -> Vec<Item<'t>> {
        match &self.tree.value {
            Value::Null => Vec::new(),
            Value::List(items) => {
                items.iter().map(|tree| Item::new(tree, self.place.clone(), self.reporter)).collect()
            }
            _ => vec![self.clone()],
        }
    }

    /// The block below this value, as part of `place`; a key with nothing behind it has an empty one.
    pub(crate) fn fields(&self, place: impl Into<String>) -> Option<Fields<'t>> {
        let entries = match &self.tree.value {
            Value::Null => Vec::new(),
            Value::Map(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
            _ => {
                self.expected("a block of keys", "");
                return None;
            }
        };
        let mut fields = Fields {
            entries,
            known: Vec::new(),
            at: self.tree.at,
            place: place.into(),
            reporter: self.reporter,
        };
        fields.refuse_repeated();
        Some(fields)
    }
}

impl<'t> Fields<'t> {
    /// Keys that stand there twice are reported, and all but the first dropped.
    fn refuse_repeated(&mut self) {
        let mut seen = std::collections::HashMap::new();
        let mut repeated = Vec::new();
        self.entries.retain(|(key, _)| match seen.get(key.name.as_str()) {
            None => {
                seen.insert(key.name.as_str(), key.at.line);
                true
            }
            Some(line) => {
                repeated.push((key.at, format!("the key '{}' stands in line {line} already", key.name)));
                false
            }
        });
        for (at, message) in repeated {
            self.report(at, message, "keep one of the two");
        }
    }

    pub(crate) fn at(&self) -> Mark {
        self.at
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn report(&self, at: Mark, message: impl Display, mend: impl Into<String>) {
        let message =
            if self.place.is_empty() { message.to_string() } else { format!("{}: {message}", self.place) };
        self.reporter.report(Problem::new(at, message).mend(mend));
    }

    /// The value of a known key, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.known.push(key);
        let index = self.entries.iter().position(|(found, _)| found.name == key)?;
        let (_, tree) = self.entries.remove(index);
        let place =
            if self.place.is_empty() { format!("'{key}'") } else { format!("{}: '{key}'", self.place) };
        Some(Item::new(tree, place, self.reporter))
    }

    /// The value of a key that must be there.
    pub(crate) fn need(&mut self, key: &'static str, mend: &str) -> Option<Item<'t>> {
        let item = self.take(key);
        if item.is_none() {
            // A misspelt key is reported as an unknown one, with this key as its mend.
            let misspelt = self.entries.iter().any(|(found, _)| nearest(&found.name, [key]).is_some());
            if !misspelt {
                self.report(self.at, format_args!("the key '{key}' is missing"), mend);
            }
        }
        item
    }

    /// True if a key that has not been taken looks like a slip of one of these; it is reported as unknown.
    pub(crate) fn has_like(&self, keys: &[&'static str]) -> bool {
        self.entries.iter().any(|(found, _)| nearest(&found.name, keys.iter().copied()).is_some())
    }

    /// A value written as one word, if its key is there.
    pub(crate) fn word<T: Word>(&mut self, key: &'static str) -> Option<Located<T>> {
        self.take(key)?.word()
    }

    /// A known key that cannot stand here, with the reason and the mend.
    pub(crate) fn refuse(&mut self, key: &'static str, why: &str, mend: &str) {
        if let Some(index) = self.entries.iter().position(|(found, _)| found.name == key) {
            let (key, _) = self.entries.remove(index);
            self.report(key.at, format_args!("'{}' cannot stand here: {why}", key.name), mend);
        }
    }

    /// What has not been taken, in the order of the file: for blocks whose keys are names.
    pub(crate) fn rest(&mut self) -> Vec<(&'t Key, Item<'t>)> {
        let entries = std::mem::take(&mut self.entries);
        let item = |tree, name: &str| Item::new(tree, format!("{}: '{name}'", self.place), self.reporter);
        entries.into_iter().map(|(key, tree)| (key, item(tree, &key.name))).collect()
    }

    /// Ends the block: keys that are left over are unknown.
    pub(crate) fn close(self) {
        #[cfg(test)]
        known::note(&self.known);
        for (key, _) in &self.entries {
            let mend = did_you_mean(&key.name, self.known.iter().copied());
            self.report(key.at, format_args!("unknown key '{}'", key.name), mend);
        }
    }
}

/// Which keys the readers know, for the tests of what is written about them.
#[cfg(test)]
pub(crate) mod known {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static BLOCKS: RefCell<BTreeSet<BTreeSet<&'static str>>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Notes the keys that a block can have.
    pub(crate) fn note(keys: &[&'static str]) {
        BLOCKS.with_borrow_mut(|blocks| blocks.insert(keys.iter().copied().collect()));
    }

    /// What was noted in this thread.
    pub(crate) fn blocks() -> BTreeSet<BTreeSet<&'static str>> {
        BLOCKS.with_borrow(Clone::clone)
    }
}
