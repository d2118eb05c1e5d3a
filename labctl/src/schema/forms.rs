//! The forms of single values: times, rates, names, ports.

use serde_json::{Map, Value, json};

/// Digits with at most one point, as the reader of times, rates and shares takes them.
const NUMBER: &str = r"([0-9]+\.?[0-9]*|\.[0-9]+)";

/// A block of keys: those that can stand there, and those that must.
pub(super) fn block(properties: Value, required: &[&str]) -> Value {
    let mut block = Map::new();
    block.insert("properties".to_owned(), properties);
    block.insert("additionalProperties".to_owned(), false.into());
    // A key with nothing behind it is an empty block.
    let kind = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    block.insert("type".to_owned(), kind);
    if !required.is_empty() {
        block.insert("required".to_owned(), json!(required));
    }
    block.into()
}

/// The same with a line for people.
pub(super) fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// Text of a form.
pub(super) fn text(pattern: &str, description: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": description })
}

/// Text with something in it.
pub(super) fn line(description: &str) -> Value {
    text(r"\S", description)
}

/// A number with a unit, spaces between the two or not.
pub(super) fn measure(units: &str, description: &str) -> Value {
    text(&format!("^{NUMBER}\\s*({units})$"), description)
}

/// A time of a topology.
pub(super) fn time(description: &str) -> Value {
    measure("us|ms|s", &format!("{description}: 250us, 30ms, 1.5s; at most 60s"))
}

/// A rate of a topology.
pub(super) fn rate(description: &str) -> Value {
    measure("bit|kbit|mbit|gbit", &format!("{description}: 64kbit, 10mbit, 1gbit (bits a second, decimal)"))
}

/// A share of a topology.
pub(super) fn share(description: &str) -> Value {
    measure("%", &format!("{description}: 0% to 100%"))
}

/// One of some words.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>, description: &str) -> Value {
    json!({ "enum": words.into_iter().collect::<Vec<_>>(), "description": description })
}

/// A whole number.
pub(super) fn whole(least: u64, most: u64, description: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most, "description": description })
}

/// A list of values, or one.
pub(super) fn some(of: &Value, description: &str) -> Value {
    json!({ "anyOf": [of, { "type": "array", "items": of }, { "type": "null" }], "description": description })
}

/// An idle time of a profile, as humantime reads it.
pub(super) fn idle(description: &str) -> Value {
    text(
        r"^\s*([0-9]+\s*[A-Za-z]+\s*)+$",
        &format!("{description}: whole seconds from 1s to 60 days, such as 30s, 2m, 2h4m"),
    )
}

/// A port or a range of ports.
pub(super) fn ports(description: &str) -> Value {
    json!({
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 65535 },
            { "type": "string", "pattern": r"^\s*[0-9]+\s*([-:]\s*[0-9]+\s*)?$" },
        ],
        "description": format!("{description}: 80 or 1024-65535"),
    })
}

/// An IPv4 address as text.
pub(super) const ADDRESS: &str = r"([0-9]{1,3}\.){3}[0-9]{1,3}";

/// What a name of a node or site can be.
pub(super) fn node_name() -> Value {
    json!({
        "type": "string",
        "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,14}$",
        "not": { "enum": ["wan", "lan", "lo", "all", "default"] },
    })
}

/// Plain absolute path: no `..` in it.
pub(super) fn path(description: &str) -> Value {
    text(r"^(?!(.*/)?\.\.(/|$))/", description)
}
