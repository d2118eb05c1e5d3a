//! What is wrong with a topology, where, and what mends it.

use std::fmt;
use std::path::PathBuf;

/// A place in one of the texts that a topology comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Index into the texts: 0 is the file, others are values given by `--set`.
    pub(crate) source: usize,
    /// Line, from 1; 0 where there is no place (the whole text).
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// Width in characters.
    pub(crate) width: usize,
}

/// One mistake in a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(crate) at: Mark,
    message: String,
    mend: String,
}

/// Texts that a topology comes from, for the offending lines in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the user gave it: a path, or `--set overlay.profile=x`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Why a file did not become a topology.
#[derive(Debug, thiserror::Error)]
pub enum TopologyErrors {
    /// The file cannot be read.
    #[error("cannot read the topology {}: {error}\nmend: give the path of a topology file, or the name of a shipped one: {shipped}", path.display())]
    Read {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
        /// The shipped topologies.
        shipped: String,
    },
    /// The file is too large to be a topology.
    #[error("{} has more than {limit} bytes, so it is no topology\nmend: give the path of a topology file", path.display())]
    TooLarge {
        /// The path as given.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is no valid topology.
    #[error("{0}")]
    Invalid(Problems),
}

/// All the mistakes of a topology, in the order of the file; at least one.
///
/// The text form is meant to stand behind `error: `; from the second mistake on it brings that word along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    sources: Vec<Source>,
    list: Vec<Problem>,
}

impl Problem {
    pub(crate) fn new(at: Mark, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), mend: String::new() }
    }

    /// Adds what mends it.
    #[must_use]
    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }

    /// Says whose value it is: `site campus-a`.
    pub(crate) fn add_place(&mut self, place: &str) {
        self.message = format!("{place}: {}", self.message);
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What mends it; empty if the message says it.
    #[must_use]
    pub fn mend_text(&self) -> &str {
        &self.mend
    }

    /// Line, from 1; 0 where the problem is the file as a whole.
    #[must_use]
    pub fn line(&self) -> usize {
        self.at.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.at.column
    }
}

impl Problems {
    pub(crate) fn new(sources: Vec<Source>, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| (problem.at.source, problem.at.line, problem.at.column));
        list.dedup();
        Self { sources, list }
    }

    /// The problems, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\nerror: ")?;
            }
            self.write(problem, f)?;
        }
        Ok(())
    }
}

/// Characters of an offending line that are shown at most.
const SHOWN: usize = 120;

impl Problems {
    fn write(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark { source, line, column, width } = problem.at;
        let source = self.sources.get(source);
        let name = source.map_or("topology", |source| source.name.as_str());
        let text = source
            .filter(|_| column > 0)
            .and_then(|source| line.checked_sub(1).and_then(|index| source.text.lines().nth(index)));
        if let Some(text) = text {
            writeln!(f, "{name}:{line}:{column}: {}", problem.message)?;
            write_line(text, line, column, width, f)?;
        } else {
            write!(f, "{name}: {}", problem.message)?;
        }
        if !problem.mend.is_empty() {
            write!(f, "\nmend: {}", problem.mend)?;
        }
        Ok(())
    }
}

/// The offending line with carets below what is meant. A long line is cut to the part around it.
fn write_line(
    text: &str,
    line: usize,
    column: usize,
    width: usize,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    // Control characters, which a terminal would obey, are shown as spaces.
    let characters: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = (column - 1).min(characters.len());
    let first = if characters.len() <= SHOWN { 0 } else { start.saturating_sub(SHOWN / 2) };
    let last = characters.len().min(first + SHOWN);
    let shown: String = characters[first..last].iter().collect();
    let carets = width.min(last.saturating_sub(start)).max(1);
    // Three dots stand for what is cut off on the left; they move the carets.
    let dots = if first > 0 { "..." } else { "" };
    writeln!(f, "{line:>5} | {dots}{shown}")?;
    let indent = start - first + dots.len();
    write!(f, "{:>5} | {:indent$}{:^<carets$}", "", "", "")
}

/// The word of `known` that `found` was probably meant to be.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    // A third of the letters wrong is another word; two letters swapped count once.
    let limit = (found.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&found, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The mend for a word that is none of `known`: the nearest one, or all of them.
pub(crate) fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(word) = nearest(found, known.clone()) {
        return format!("did you mean '{word}'?");
    }
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable();
    if known.is_empty() { "there is none".to_owned() } else { format!("one of: {}", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_far_one_is_not() {
        let known = ["port-restricted", "full-cone", "none"];
        assert_eq!(nearest("port-restrictd", known), Some("port-restricted"));
        assert_eq!(nearest("Full-Cone", known), Some("full-cone"));
        assert_eq!(nearest("carrier", known), None);
        assert_eq!(did_you_mean("carrier", known), "one of: full-cone, none, port-restricted");
    }

    #[test]
    fn a_problem_shows_place_line_and_mend() {
        let text = "name: x\nsites:\n  a: { nat: cone }\n";
        let source = Source { name: "t.yaml".to_owned(), text: text.to_owned() };
        let at = Mark { source: 0, line: 3, column: 13, width: 4 };
        let problem = Problem::new(at, "site a: unknown nat 'cone'").mend("did you mean 'full-cone'?");
        let shown = Problems::new(vec![source], vec![problem]).to_string();
        assert_eq!(
            shown,
            "t.yaml:3:13: site a: unknown nat 'cone'\n    3 |   a: { nat: cone }\n      |             ^^^^\nmend: did you mean 'full-cone'?"
        );
    }

    #[test]
    fn a_long_line_and_control_characters_do_no_harm() {
        let text = format!("{}\u{1b}[31mx", "y".repeat(5000));
        let source = Source { name: "t.yaml".to_owned(), text };
        let at = Mark { source: 0, line: 1, column: 5006, width: 900 };
        let shown = Problems::new(vec![source], vec![Problem::new(at, "bad")]).to_string();
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.len() < 400, "{shown}");
    }
}
