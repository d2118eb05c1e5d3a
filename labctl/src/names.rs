//! Names of labs, nodes and gateways, and what they are called on the host.
//!
//! A namespace is `lab-<lab>-<node>`. A lab's name has no `-`, so that the name of the lab can be read
//! back from it: what a crash left is found by name alone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Longer than what is made from it can be.
    #[error("'{name}' has {length} characters; at most {limit} are possible, because {why}")]
    TooLong {
        /// The name.
        name: String,
        /// Its length in characters.
        length: usize,
        /// The most that is possible.
        limit: usize,
        /// What limits it.
        why: &'static str,
    },
    /// A character that a namespace, container or interface cannot have.
    #[error("'{name}' has the character '{found}'; a name has {allowed}")]
    Character {
        /// The name.
        name: String,
        /// The first character that cannot stand there.
        found: char,
        /// What can.
        allowed: &'static str,
    },
    /// A name that means something else already.
    #[error("'{name}' is reserved: {why}")]
    Reserved {
        /// The name.
        name: String,
        /// What it means already.
        why: &'static str,
    },
}

/// Name of a lab: 1 to 20 characters, a letter first, then letters, digits, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

/// Name of a node or gateway: 1 to 15 characters, a letter first, then letters, digits, `-`, `_`.
///
/// It is also the name of its interface in the WAN core or on the gateway, hence the 15 (`IFNAMSIZ`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// The namespace of the WAN core has this name in the place of a node's.
pub const WAN: &str = "wan";

const LAB_LIMIT: usize = 20;
const NODE_LIMIT: usize = 15;

fn check(
    name: &str,
    limit: usize,
    why: &'static str,
    extra: &[char],
    allowed: &'static str,
) -> Result<(), NameError> {
    let Some(first) = name.chars().next() else { return Err(NameError::Empty) };
    let wrong = if first.is_ascii_alphabetic() {
        name.chars().find(|c| !c.is_ascii_alphanumeric() && !extra.contains(c))
    } else {
        Some(first)
    };
    if let Some(found) = wrong {
        return Err(NameError::Character { name: name.to_owned(), found, allowed });
    }
    let length = name.chars().count();
    if length > limit {
        return Err(NameError::TooLong { name: name.to_owned(), length, limit, why });
    }
    Ok(())
}

impl LabName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The network namespace of a node or gateway, or of the WAN core ([`WAN`]).
    #[must_use]
    pub fn namespace(&self, node: &str) -> String {
        format!("lab-{}-{node}", self.0)
    }

    /// The container of a node. The same as its namespace, so that one name finds both.
    #[must_use]
    pub fn container(&self, node: &str) -> String {
        self.namespace(node)
    }

    /// The lab and the node that a namespace or container belongs to; `None` if it is not of a lab.
    #[must_use]
    pub fn parse_namespace(namespace: &str) -> Option<(Self, &str)> {
        let (lab, node) = namespace.strip_prefix("lab-")?.split_once('-')?;
        Some((lab.parse().ok()?, node))
    }
}

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        check(
            name,
            LAB_LIMIT,
            "containers, namespaces and socket paths carry it",
            &['_', '.'],
            "a letter, then letters, digits, '_' and '.'",
        )?;
        Ok(Self(name.to_owned()))
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        check(
            name,
            NODE_LIMIT,
            "it names a network interface, and Linux allows no more",
            &['-', '_'],
            "a letter, then letters, digits, '-' and '_'",
        )?;
        let why = match name {
            WAN => "the WAN core has that name",
            "lan" | "lo" | "all" | "default" => "an interface or a system setting has that name",
            _ => return Ok(Self(name.to_owned())),
        };
        Err(NameError::Reserved { name: name.to_owned(), why })
    }
}

macro_rules! text_form {
    ($name:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

text_form!(LabName);
text_form!(NodeName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_gives_back_the_lab_and_the_node() {
        let lab: LabName = "expC.2".parse().unwrap();
        let namespace = lab.namespace("campus-a");
        assert_eq!(namespace, "lab-expC.2-campus-a");
        assert_eq!(LabName::parse_namespace(&namespace), Some((lab, "campus-a")));
        assert_eq!(LabName::parse_namespace("lab-"), None);
        assert_eq!(LabName::parse_namespace("cni-1234"), None);
    }

    #[test]
    fn names_that_the_host_cannot_carry_are_refused() {
        assert!(matches!("exp-C".parse::<LabName>(), Err(NameError::Character { found: '-', .. })));
        assert!(matches!("".parse::<NodeName>(), Err(NameError::Empty)));
        assert!(matches!("2nd".parse::<NodeName>(), Err(NameError::Character { found: '2', .. })));
        assert!(matches!("sixteen-letters-".parse::<NodeName>(), Err(NameError::TooLong { limit: 15, .. })));
        assert!(matches!("wan".parse::<NodeName>(), Err(NameError::Reserved { .. })));
        assert!("fifteen-letters".parse::<NodeName>().is_ok());
    }
}
