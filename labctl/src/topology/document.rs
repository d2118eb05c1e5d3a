//! YAML text -> a tree in which every key and value knows where it stands.
//!
//! The sections of a topology are read from this tree rather than straight into structs, because a
//! struct's deserializer stops at the first error and loses the place of what is "a name or an inline
//! map". The tree keeps all of it, so that one run reports every mistake of a file.

use std::fmt;

use serde::de::{self, Deserialize, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Location, Spanned};

use super::problem::{Mark, Problem};

/// Bytes of a topology file at most. The largest sensible one is a hundredth of this.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Depth of nesting at most. A topology needs 6.
const MAX_DEPTH: usize = 24;
/// Keys and values at most, after aliases are expanded.
const MAX_VALUES: usize = 100_000;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) at: Mark,
    pub(crate) value: Value,
}

/// A value of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number without a fraction.
    Whole(i128),
    /// Any other number.
    Fraction(f64),
    Text(String),
    List(Vec<Tree>),
    /// Keys in the order of the file; the same key can stand there twice.
    Map(Vec<(Key, Tree)>),
}

/// A key and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) at: Mark,
    pub(crate) name: String,
}

impl Value {
    /// What it is, for a message: `the number 1`, `'full-cone'`, `a list`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Whole(value) => format!("the number {value}"),
            Self::Fraction(value) => format!("the number {value}"),
            Self::Text(text) => format!("'{text}'"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a block of keys".to_owned(),
        }
    }
}

impl Tree {
    /// Parses one YAML document.
    ///
    /// # Errors
    ///
    /// The first place at which the text is no YAML, or more than the limits above allow.
    pub(crate) fn parse(text: &str, source: usize) -> Result<Self, Problem> {
        let options = serde_yaml::options! {
            budget: serde_yaml::budget! {
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_nodes: MAX_VALUES,
                max_documents: 1,
                enforce_alias_anchor_ratio: false,
            },
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            with_snippet: false,
            alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_VALUES },
        };
        let node = serde_yaml::from_str_with_options::<Spanned<Node>>(text, options);
        match node {
            Ok(node) => Ok(Node::tree(node, source)),
            Err(error) => {
                let at = error.location().map(|location| mark(location, source));
                // The location stands before the message already.
                let message = error.to_string();
                let message = message.split_once(" at line ").map_or(message.as_str(), |(text, _)| text);
                let at = at.unwrap_or(Mark { source, ..Mark::default() });
                Err(Problem::new(at, format!("this is not YAML that labctl can read: {message}")).mend(
                    "mind the indentation, the brackets and the quotes in this line and the one before",
                ))
            }
        }
    }
}

/// A value as it comes from the deserializer: places are added by [`Spanned`] around it.
enum Node {
    Plain(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<KeyText>, Spanned<Node>)>),
}

impl Node {
    fn tree(node: Spanned<Self>, source: usize) -> Tree {
        // Where an alias stands for a value, its definition is the text that is right or wrong.
        let at = mark(node.defined, source);
        let value = match node.value {
            Self::Plain(value) => value,
            Self::List(items) => {
                Value::List(items.into_iter().map(|item| Self::tree(item, source)).collect())
            }
            Self::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let key = Key { at: mark(key.defined, source), name: key.value.0 };
                        (key, Self::tree(value, source))
                    })
                    .collect(),
            ),
        };
        Tree { at, value }
    }
}

fn mark(location: Location, source: usize) -> Mark {
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Mark {
        source,
        line: place(location.line()),
        column: place(location.column()),
        width: place(location.span().len()),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(Value::Whole(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(Value::Whole(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Plain(Value::Whole(value)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Plain(i128::try_from(value).map_or(Value::Fraction(value as f64), Value::Whole)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(Value::Fraction(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Plain(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// A key: anything that is one piece of text. `1:` and `true:` are keys `1` and `true`, which no section
/// knows, so that the message is that of an unknown key.
struct KeyText(String);

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Node::deserialize(deserializer)? {
            Node::Plain(Value::Text(text)) => Ok(Self(text)),
            Node::Plain(Value::Bool(value)) => Ok(Self(value.to_string())),
            Node::Plain(Value::Whole(value)) => Ok(Self(value.to_string())),
            Node::Plain(Value::Fraction(value)) => Ok(Self(value.to_string())),
            Node::Plain(_) | Node::List(_) | Node::Map(_) => Err(de::Error::custom("a key must be a word")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(tree: &Tree) -> &[(Key, Tree)] {
        let Value::Map(entries) = &tree.value else { panic!("no map: {tree:?}") };
        entries
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let tree = Tree::parse("a: 1\nsite:\n  nat: { b: full-cone }\n", 0).unwrap();
        let (a, one) = &map(&tree)[0];
        assert_eq!((a.at.line, a.at.column, a.at.width), (1, 1, 1));
        assert_eq!((one.at.line, one.at.column, &one.value), (1, 4, &Value::Whole(1)));
        let nat = &map(&map(&tree)[1].1)[0];
        assert_eq!((nat.0.at.line, nat.0.at.column), (3, 3));
        let inner = &map(&nat.1)[0];
        assert_eq!((inner.0.at.column, inner.1.at.column, inner.1.at.width), (10, 13, 9));
    }

    #[test]
    fn the_same_key_twice_is_kept_for_the_message() {
        let tree = Tree::parse("a: 1\na: 2\n", 0).unwrap();
        assert_eq!(map(&tree).len(), 2);
    }

    #[test]
    fn a_merge_gives_its_keys_once_and_the_own_value_wins() {
        let tree = Tree::parse("base: &base { x: 1, y: 2 }\nmore:\n  <<: *base\n  y: 3\n", 0).unwrap();
        let more = map(&map(&tree)[1].1);
        let mut found: Vec<_> = more.iter().map(|(key, value)| (key.name.as_str(), &value.value)).collect();
        found.sort_by_key(|(key, _)| *key);
        assert_eq!(found, [("x", &Value::Whole(1)), ("y", &Value::Whole(3))]);
    }

    #[test]
    fn words_that_yaml_1_1_took_for_truth_values_are_words() {
        let tree = Tree::parse("[no, on, yes, true, '1', 1e3, ~, 1_000]", 0).unwrap();
        let Value::List(items) = tree.value else { panic!() };
        let values: Vec<_> = items.into_iter().map(|item| item.value).collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            values[..7],
            [
                text("no"),
                text("on"),
                text("yes"),
                Value::Bool(true),
                text("1"),
                Value::Fraction(1000.0),
                Value::Null
            ]
        );
    }

    #[test]
    fn what_is_no_yaml_or_too_much_of_it_is_refused_with_its_place() {
        let problem = Tree::parse("a: 1\nb: [1, 2\nc: 3\n", 0).unwrap_err();
        assert!(problem.at.line >= 2, "{problem:?}");
        assert!(Tree::parse(&"[".repeat(5000), 0).is_err());
        assert!(Tree::parse("a: 1\n---\nb: 2\n", 0).is_err());
        let bomb = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
        });
        assert!(Tree::parse(&bomb, 0).is_err());
    }
}
