//! What is in force of an nft table: its counters, sets and maps.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde::Deserialize;

use super::ruleset::{self, Program};
use super::wan::counters::Tally;
use super::{NetError, NetNs};

/// A table, without its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its named counters, in the order in which the table has them.
    pub counters: Vec<(String, Tally)>,
    /// Its sets and maps.
    pub sets: Vec<Set>,
}

/// A set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// An element of a set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The parts of its key.
    pub key: Vec<Part>,
    /// The parts of its value; empty in a set.
    pub value: Vec<Part>,
    /// How long it lives from when it was last written down, and how long from now; `None`: for ever.
    pub life: Option<(Duration, Duration)>,
}

/// One part of a key or a value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// A port, or another number.
    Number(u64),
    /// An address, or another word.
    Text(String),
}

/// The endpoint that the first two parts of a key or a value are.
#[must_use]
pub fn endpoint(parts: &[Part]) -> Option<SocketAddrV4> {
    match parts {
        [Part::Text(address), Part::Number(port), ..] => {
            Some(SocketAddrV4::new(address.parse().ok()?, u16::try_from(*port).ok()?))
        }
        _ => None,
    }
}

impl Table {
    /// Reads the table `ip labctl` of a namespace; empty if there is none.
    pub async fn read(namespace: &NetNs) -> Result<Self, NetError> {
        let text = ruleset::read(namespace, Program::Nft, &["-j", "list", "ruleset", "ip"]).await?;
        Self::parse(&text).map_err(|error| NetError::Listing {
            program: Program::Nft.name(),
            namespace: namespace.name().to_owned(),
            message: error.to_string(),
        })
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let listing: Listing = serde_json::from_str(text)?;
        let mut table = Self::default();
        for object in listing.nftables {
            match object {
                Object::Counter { counter } if counter.table == TABLE => {
                    table
                        .counters
                        .push((counter.name, Tally { packets: counter.packets, bytes: counter.bytes }));
                }
                Object::Map { map: set } | Object::Set { set } if set.table == TABLE => {
                    let elements = set.elements.into_iter().map(Element::from).collect();
                    table.sets.push(Set { name: set.name, elements });
                }
                _ => {}
            }
        }
        Ok(table)
    }

    /// The elements of a set or a map; none if there is no such set.
    pub fn elements(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.sets.iter().filter(move |set| set.name == name).flat_map(|set| &set.elements)
    }
}

/// The table that gateways have.
const TABLE: &str = "labctl";

// The format of `nft -j`: libnftables-json(5).

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Object {
    Counter {
        counter: RawCounter,
    },
    Map {
        map: RawSet,
    },
    Set {
        set: RawSet,
    },
    /// Whatever else there is: tables, chains, rules.
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct RawCounter {
    name: String,
    table: String,
    packets: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct RawSet {
    name: String,
    table: String,
    #[serde(default, rename = "elem")]
    elements: Vec<RawElement>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawElement {
    Pair(RawKey, RawParts),
    Key(RawKey),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawKey {
    Timed { elem: Timed },
    Plain(RawParts),
}

#[derive(Deserialize)]
struct Timed {
    val: RawParts,
    timeout: Option<u64>,
    expires: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawParts {
    Several { concat: Vec<Part> },
    One(Part),
}

impl From<RawParts> for Vec<Part> {
    fn from(parts: RawParts) -> Self {
        match parts {
            RawParts::Several { concat } => concat,
            RawParts::One(part) => vec![part],
        }
    }
}

impl From<RawElement> for Element {
    fn from(element: RawElement) -> Self {
        let (key, value) = match element {
            RawElement::Pair(key, value) => (key, value.into()),
            RawElement::Key(key) => (key, Vec::new()),
        };
        let (key, life) = match key {
            RawKey::Plain(parts) => (parts, None),
            RawKey::Timed { elem: Timed { val, timeout, expires } } => {
                (val, timeout.zip(expires).map(|(all, left)| (seconds(all), seconds(left))))
            }
        };
        Self { key: key.into(), value, life }
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_sets_and_maps_of_the_gateways_table_are_read_and_nothing_else() {
        let table = Table::parse(include_str!("testdata/nft.json")).unwrap();
        assert_eq!(table.counters, [("sent".to_owned(), Tally { packets: 3, bytes: 180 })]);
        let names: Vec<_> = table.sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names, ["udp_outside", "udp_peers", "empty"]);
        let outside: Vec<_> = table.elements("udp_outside").collect();
        assert_eq!(endpoint(&outside[0].key), "198.18.0.2:53".parse().ok());
        assert_eq!(endpoint(&outside[0].value), "10.0.0.2:80".parse().ok());
        assert_eq!(outside[0].life, Some((seconds(30), seconds(29))));
        assert_eq!(outside[1].life, None, "a forwarded port lives for ever");
        let peer = table.elements("udp_peers").next().unwrap();
        assert_eq!(endpoint(&peer.key[2..]), "198.18.0.9:9".parse().ok());
        assert_eq!(table.elements("empty").count(), 0);
    }
}
