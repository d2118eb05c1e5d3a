//! A program that a node runs: its command, and the placeholders in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use overlay_control::restart::RestartPolicy;
use serde::{Deserialize, Serialize};

use crate::names::NodeName;

/// A program that is not the overlay's: one of the host, or an image's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The image that it is in, by the name that the runtime knows it by; `None`: the host's file system.
    pub image: Option<String>,
    /// The program and its arguments. In an image: the arguments of its entry point, and if there are none
    /// those that the image has itself.
    pub command: Vec<Template>,
    /// Environment variables.
    pub environment: BTreeMap<String, Template>,
    /// A directory of the host that is its root file system in the place of the host's own.
    pub root: Option<PathBuf>,
    /// What else of the host it sees.
    pub mounts: Vec<Mount>,
    /// Whether it is started again when it has ended.
    pub restart: RestartPolicy,
    /// How to find out whether it works.
    pub health: Option<HealthCheck>,
}

/// A directory or file of the host that is seen in a node's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Whether the container may not write there.
    pub read_only: bool,
}

/// A command that ends with 0 while the program works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// The command, run in the node's container.
    pub command: Vec<Template>,
    /// From the end of one check to the begin of the next.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// So many failures one after another make the program unhealthy.
    pub retries: u32,
    /// Failures do not count for so long after the program's start, until a check has succeeded.
    pub start_period: Duration,
}

/// Text with placeholders: `{address}` is the node's own first address, `{address.2}` its second,
/// `{address:stun}` the first one of the node or gateway `stun`, `{address.2:stun}` its second, `{name}`
/// the node's own name. Other braces stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template(pub Vec<Part>);

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// The node's own name.
    Name,
    /// An address.
    Address {
        /// Whose: a node or, by the site's name, a gateway with its outside; `None`: the node's own.
        of: Option<NodeName>,
        /// Which, counted from 0.
        index: usize,
    },
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is no placeholder")]
pub(crate) struct TemplateError {
    found: String,
}

impl TemplateError {
    /// What there is instead.
    pub(crate) const MEND: &'static str =
        "write {address}, {address.2}, {address:NODE}, {address.2:NODE} or {name}";
}

/// What a placeholder of an address begins with.
const ADDRESS: &str = "{address";
/// The placeholder of the name.
const NAME: &str = "{name}";

impl Template {
    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = next(rest) {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            rest = &rest[start..];
            let length = rest.find('}').map_or(rest.len(), |end| end + 1);
            let (placeholder, after) = rest.split_at(length);
            let part = if placeholder == NAME { Some(Part::Name) } else { address(placeholder) };
            parts.push(part.ok_or_else(|| TemplateError { found: placeholder.to_owned() })?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The addresses that it asks for: whose, and which, counted from 0.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (Option<&NodeName>, usize)> {
        self.0.iter().filter_map(|part| match part {
            Part::Address { of, index } => Some((of.as_ref(), *index)),
            Part::Text(_) | Part::Name => None,
        })
    }

    /// The text for the node `name`, with the addresses that `address` tells.
    pub(crate) fn fill(
        &self,
        name: &NodeName,
        address: impl Fn(Option<&NodeName>, usize) -> Ipv4Addr,
    ) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name => name.to_string(),
            Part::Address { of, index } => address(of.as_ref(), *index).to_string(),
        };
        self.0.iter().map(part).collect()
    }
}

/// Where the next placeholder begins. `{address` alone is one only if what follows can belong to it, so that
/// `{addresses}` stands for itself.
fn next(text: &str) -> Option<usize> {
    let begins = |at: &usize| {
        let rest = &text[*at..];
        let after = rest.strip_prefix(ADDRESS);
        rest.starts_with(NAME) || after.is_some_and(|after| after.starts_with(['}', '.', ':']))
    };
    text.match_indices('{').map(|(at, _)| at).find(begins)
}

fn address(placeholder: &str) -> Option<Part> {
    let inner = placeholder.strip_prefix(ADDRESS)?.strip_suffix('}')?;
    let (number, of) = match inner.split_once(':') {
        Some((number, of)) => (number, Some(of.parse().ok()?)),
        None => (inner, None),
    };
    let index = match number.strip_prefix('.') {
        Some(number) => number.parse::<usize>().ok()?.checked_sub(1)?,
        None if number.is_empty() => 0,
        None => return None,
    };
    Some(Part::Address { of, index })
}

/// Why a text cannot be split into a program and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitError {
    /// A quotation mark that nothing closes.
    OpenQuote(char),
    /// A backslash with nothing behind it.
    LoneBackslash,
    /// What only a shell can do.
    ShellOnly(char),
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote(quote) => write!(f, "the quotation mark {quote} is not closed"),
            Self::LoneBackslash => f.write_str("nothing follows the backslash at the end"),
            Self::ShellOnly(found) => write!(f, "'{found}' means something to a shell, and none runs this"),
        }
    }
}

impl SplitError {
    /// What to do about it.
    pub(crate) const fn mend(self) -> &'static str {
        match self {
            Self::OpenQuote(_) => "close it, or write the command as a list: [program, argument]",
            Self::LoneBackslash => "write it twice if it is meant, or write the command as a list",
            Self::ShellOnly(_) => "put single quotes around it, or call a shell: [sh, -c, 'a | b']",
        }
    }
}

/// Splits a command into words as a POSIX shell does: at white space, with quotes and backslashes. What a
/// shell would do more than that (expansion, pipes, redirection) is refused, because nothing here does it.
pub(crate) fn split(command: &str) -> Result<Vec<String>, SplitError> {
    const SHELL_ONLY: &str = "|&;<>()$`";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(found) = chars.next() {
        match found {
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => {
                word.get_or_insert_default().push(chars.next().ok_or(SplitError::LoneBackslash)?);
            }
            space if space.is_whitespace() => words.extend(word.take()),
            other if SHELL_ONLY.contains(other) => return Err(SplitError::ShellOnly(other)),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), SplitError> {
    for found in chars {
        if found == '\'' {
            return Ok(());
        }
        word.push(found);
    }
    Err(SplitError::OpenQuote('\''))
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), SplitError> {
    while let Some(found) = chars.next() {
        match found {
            '"' => return Ok(()),
            '$' | '`' => return Err(SplitError::ShellOnly(found)),
            '\\' => {
                let next = chars.next().ok_or(SplitError::OpenQuote('"'))?;
                // Before anything else the backslash stands for itself.
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            other => word.push(other),
        }
    }
    Err(SplitError::OpenQuote('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_splits_it() {
        for (command, words) in [
            ("stun -v  {address:stun}", &["stun", "-v", "{address:stun}"][..]),
            (" a 'b c' \"d 'e' \\\" \\n\" f\\ g", &["a", "b c", "d 'e' \" \\n", "f g"]),
            ("x '' \"\" a'b'\"c\"", &["x", "", "", "abc"]),
            ("sh -c 'a | b > $c'", &["sh", "-c", "a | b > $c"]),
            (" \t\n", &[]),
        ] {
            assert_eq!(split(command).unwrap(), words, "{command}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_refused() {
        assert_eq!(split("a | b"), Err(SplitError::ShellOnly('|')));
        assert_eq!(split("a $HOME"), Err(SplitError::ShellOnly('$')));
        assert_eq!(split("a \"$HOME\""), Err(SplitError::ShellOnly('$')));
        assert_eq!(split("a 'b"), Err(SplitError::OpenQuote('\'')));
        assert_eq!(split("a \"b\\"), Err(SplitError::OpenQuote('"')));
        assert_eq!(split("a \\"), Err(SplitError::LoneBackslash));
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        let fill = |text: &str| {
            Template::parse(text).unwrap().fill(&"me".parse().unwrap(), |of, index| {
                Ipv4Addr::new(10, 0, u8::from(of.is_some()), u8::try_from(index).unwrap())
            })
        };
        assert_eq!(fill("{address}:80"), "10.0.0.0:80");
        assert_eq!(fill("{address.2},{address:a},{address.3:a}"), "10.0.0.1,10.0.1.0,10.0.1.2");
        assert_eq!(fill("{name} {print $1} {} {addresses} {{name}}"), "me {print $1} {} {addresses} {me}");
        assert_eq!(fill(""), "");
    }

    #[test]
    fn a_placeholder_that_is_none_is_refused() {
        for text in
            ["{address.0}", "{address.x}", "{address:}", "{address:a b}", "a {address:stun", "{address.}"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
