//! Schemas of nodes and of what they run.

use serde_json::{Map, Value, json};

use super::access::place;
use super::forms::{block, described, line, path, some, text, time, whole, words};
use super::refer;
use crate::topology::{MOST_ADDRESSES, MOST_CONTAINERS};

/// The keys that only a node without a role can have.
const OF_PROGRAMS: [&str; 7] = ["command", "image", "environment", "root", "mounts", "restart", "health"];

/// A public node.
pub(super) fn public() -> Value {
    let mut properties = common();
    let roles = ["client", "super-node", "login-server"];
    properties.insert("role".into(), words(roles, "what the node is in the overlay"));
    properties.insert("region".into(), line("its place on the WAN; needed if there are several regions"));
    properties.insert("access".into(), refer("access"));
    properties.extend(place());
    let addresses = "how many addresses; a super node runs so many overlay nodes, each with its own";
    properties.insert("addresses".into(), whole(1, MOST_ADDRESSES.into(), addresses));
    let mut schema = node(properties, "a node straight on the WAN");
    let one_address = json!({
        "if": { "properties": { "role": { "enum": ["client", "login-server"] } }, "required": ["role"] },
        "then": { "properties": { "addresses": { "const": 1 } } },
    });
    if let Some(rules) = schema["allOf"].as_array_mut() {
        rules.push(one_address);
    }
    schema
}

/// A node of a site.
pub(super) fn private() -> Value {
    let mut properties = common();
    properties.insert("role".into(), words(["client"], "what the node is in the overlay"));
    node(properties, "a node behind the site's gateway")
}

fn node(properties: Map<String, Value>, description: &str) -> Value {
    let mut schema = block(properties.into(), &[]);
    schema["description"] = json!(description);
    schema["type"] = json!("object");
    // Exactly one of a role and a program.
    schema["anyOf"] =
        json!([{ "required": ["role"] }, { "required": ["command"] }, { "required": ["image"] }]);
    let programs: Vec<Value> = OF_PROGRAMS.iter().map(|key| json!({ "required": [key] })).collect();
    schema["allOf"] = json!([
        { "if": { "required": ["role"] }, "then": { "not": { "anyOf": programs } } },
        { "if": { "not": { "properties": { "role": { "const": "client" } }, "required": ["role"] } },
          "then": { "not": { "required": ["buddies"] } } },
        { "not": { "required": ["image", "root"] } },
    ]);
    schema
}

/// What public nodes and those of a site can have.
fn common() -> Map<String, Value> {
    let name = json!({ "type": "string" });
    let variable = json!({ "type": ["string", "integer"] });
    let properties = json!({
        "count": whole(1, MOST_CONTAINERS.into(), "makes name-1, name-2 and so on"),
        "buddies": some(&name, "a client's buddy list: names of clients"),
        "command": command("the program and its arguments; with an image: the arguments of its entry point"),
        "image": text(r"^[^\s-]\S*$", "an image that Docker Engine has, such as debian:12"),
        "environment": {
            "type": ["object", "null"],
            "patternProperties": { "^[A-Za-z_][A-Za-z0-9_]*$": variable },
            "additionalProperties": false,
            "description": "environment variables, by name",
        },
        "root": path("a directory of this machine that is the program's root file system"),
        "mounts": some(
            &text("^/[^:]*:/[^:]+(:(ro|rw))?$", "source:target or source:target:ro, absolute paths"),
            "what else of this machine the program sees",
        ),
        "restart": words(["no", "on-failure", "always"], "whether the program starts again when it ends"),
        "health": refer("health"),
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn command(description: &str) -> Value {
    json!({
        "anyOf": [
            { "type": "string", "pattern": r"\S" },
            { "type": "array", "minItems": 1, "items": { "type": ["string", "integer"] } },
        ],
        "description": format!("{description}: a list, or a line that is split into words; no shell runs it"),
    })
}

/// A health check.
pub(super) fn health() -> Value {
    let health = block(
        json!({
            "command": command("ends with 0 while the program works"),
            "interval": time("the pause between two checks, at least 10ms"),
            "timeout": time("how long a check may take, at least 10ms"),
            "retries": whole(1, 1000, "so many failures one after another make the program unhealthy"),
            "start_period": time("how long after the start failures do not count"),
        }),
        &["command"],
    );
    described(health, "how to find out whether the program works; `up` waits for it")
}
