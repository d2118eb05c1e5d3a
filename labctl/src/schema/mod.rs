//! JSON Schema of the files that people write: topologies, NAT profiles and firewall profiles. Editors complete
//! and check with it while a file is written; `labctl validate` has the last word, because what depends on several
//! places of a file (names, regions, room for addresses) is beyond a schema.
//!
//! The words, limits and shipped names in a schema are those that the readers use. Tests hold every shipped file and
//! every broken one against the schemas, and compare their keys with the readers' own.

mod access;
mod firewall;
mod forms;
mod nat;
mod node;
mod schedule;
#[cfg(test)]
mod tests;
mod topology;

use serde_json::{Value, json};

/// The dialect that the schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// A topology.
    Topology,
    /// A NAT profile.
    Profile,
    /// A firewall profile.
    Firewall,
}

impl Document {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Topology, Self::Profile, Self::Firewall];

    /// The word for it, which is also the name of the published file without `.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topology => "topology",
            Self::Profile => "profile",
            Self::Firewall => "firewall",
        }
    }

    /// The schema, as JSON text that ends with a newline.
    ///
    /// # Panics
    ///
    /// Never: a schema is plain data.
    #[must_use]
    pub fn schema(self) -> String {
        let schema = match self {
            Self::Topology => topology::schema(),
            Self::Profile => nat::file(),
            Self::Firewall => firewall::file(),
        };
        let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
        text.push('\n');
        text
    }
}

/// A whole schema: `root` under a title, with the definitions that it refers to.
fn document(title: &str, description: &str, mut root: Value, definitions: &[(&str, Value)]) -> Value {
    let definitions: serde_json::Map<String, Value> =
        definitions.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    root["$schema"] = json!(DIALECT);
    root["title"] = json!(title);
    root["description"] = json!(description);
    root["$defs"] = definitions.into();
    root
}

/// The definition of that name.
fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}
