use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use super::Document;
use crate::profile::Catalogue;
use crate::topology::document::{Tree, Value as Yaml};
use crate::topology::fields::known;
use crate::topology::{Overrides, parse, shipped};

/// Broken topologies whose mistake no schema can see: it is in how places of the file fit together, or in how much
/// a number's unit makes of it.
const BEYOND_A_SCHEMA: [&str; 17] = [
    "cache-all-stale",
    "cache-nothing-live",
    "counts-too-many-together",
    "names-twice",
    "networks-overlap",
    "no-nodes",
    "no-translation",
    "nobody-to-log-in-at",
    "overlay-wrong",
    "places-missing",
    "profile-misspelt",
    "programs-no-client",
    "programs-unknown-addresses",
    "rtt-missing",
    "schedule-impossible",
    "schedule-out-of-order",
    "unreachable",
];

fn schema(document: Document) -> Value {
    serde_json::from_str(&document.schema()).unwrap()
}

fn validator(document: Document) -> Validator {
    jsonschema::draft202012::new(&schema(document)).unwrap()
}

/// What an editor's YAML server makes of the text.
fn json(tree: &Tree) -> Value {
    match &tree.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => (*value).into(),
        Yaml::Whole(value) => serde_json::from_str(&value.to_string()).unwrap(),
        Yaml::Fraction(value) => (*value).into(),
        Yaml::Text(text) => text.clone().into(),
        Yaml::List(items) => items.iter().map(json).collect(),
        Yaml::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.name.clone(), json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn read(text: &str) -> Value {
    json(&Tree::parse(text, 0).unwrap_or_else(|_| panic!("no YAML:\n{text}")))
}

fn files(folder: &str) -> Vec<(String, String)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut files: Vec<_> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[track_caller]
fn assert_valid(validator: &Validator, name: &str, value: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}:\n{}", errors.join("\n"));
}

#[test]
fn the_schemas_are_schemas() {
    for document in Document::ALL {
        let schema = schema(document);
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{}", document.name());
    }
}

#[test]
fn every_shipped_file_has_the_form_that_its_schema_says() {
    let topology = validator(Document::Topology);
    for (name, text) in shipped() {
        assert_valid(&topology, name, &read(text));
    }
    for (document, folder) in
        [(Document::Profile, "../nat-profiles/nat"), (Document::Firewall, "../nat-profiles/firewall")]
    {
        let validator = validator(document);
        let files = files(folder);
        assert!(files.len() > 5, "{folder}");
        for (name, text) in files {
            assert_valid(&validator, &name, &read(&text));
        }
    }
}

#[test]
fn every_broken_topology_is_refused_but_those_whose_mistake_is_between_places() {
    let validator = validator(Document::Topology);
    let mut wrong = Vec::new();
    for (name, text) in files("src/topology/testdata") {
        let Ok(tree) = Tree::parse(&text, 0) else { continue };
        if validator.is_valid(&json(&tree)) != BEYOND_A_SCHEMA.contains(&name.as_str()) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "the schema and the list of what it cannot see differ: {wrong:?}");
}

#[test]
fn behaviours_that_use_every_word_are_accepted_and_wrong_ones_refused() {
    let validator = validator(Document::Profile);
    let profile = |behaviour: Value| serde_json::json!({ "title": "x", "behaviour": behaviour });
    assert_valid(
        &validator,
        "every-word",
        &profile(read(include_str!("../profile/testdata/every-word.yaml"))),
    );
    let wrong = [
        "udp: { mapping: endpoint-independant, filtering: cone }",
        "udp: { mapping: EIM }",
        "udp: { mapping: EIM, filtering: EIF }\nhairpining: off",
        "udp: { mapping: EIM, filtering: EIF, timeout: 300 }",
        "udp: { mapping: EIM, filtering: EIF }\ndmz: alice",
        "symmetric",
    ];
    for text in wrong {
        assert!(!validator.is_valid(&profile(read(text))), "{text}");
    }
}

#[test]
fn rules_that_iptables_would_refuse_are_refused() {
    let validator = validator(Document::Firewall);
    let firewall = |rule: &str| read(&format!("title: x\npolicy: {{ FORWARD: DROP }}\nrules:\n  - {rule}\n"));
    let right = "{ chain: FORWARD, protocol: tcp, dport: [80, 1024-2047], state: NEW, action: ACCEPT }";
    assert_valid(&validator, right, &firewall(right));
    let wrong = [
        "{ chain: FORWARD, dport: 80, action: ACCEPT }",
        "{ chain: FORWARDS, action: ACCEPT }",
        "{ chain: INPUT, out: wan, action: ACCEPT }",
        "{ chain: FORWARD, protocol: icmp, icmp-type: echo, action: ACCEPT }",
        "{ chain: FORWARD, protocol: udp, action: REJECT, reject-with: tcp-reset }",
        "{ chain: FORWARD, action: DROP, reject-with: icmp-port-unreachable }",
        "{ chain: FORWARD, state: ESTABLISHD, action: ACCEPT }",
        "{ chain: FORWARD }",
    ];
    for rule in wrong {
        assert!(!validator.is_valid(&firewall(rule)), "{rule}");
    }
}

/// The keys of every block in a schema that knows all of its keys.
fn blocks(schema: &Value, found: &mut BTreeSet<BTreeSet<String>>) {
    if let Some(properties) = schema["properties"].as_object()
        && schema["additionalProperties"] == false
        && schema.get("patternProperties").is_none()
    {
        found.insert(properties.keys().cloned().collect());
    }
    match schema {
        Value::Array(items) => items.iter().for_each(|item| blocks(item, found)),
        Value::Object(entries) => entries.values().for_each(|value| blocks(value, found)),
        _ => {}
    }
}

#[test]
fn the_schemas_and_the_readers_know_the_same_keys() {
    let catalogue = Catalogue::shipped();
    for (name, text) in shipped() {
        parse(text, name, &catalogue, &Overrides::default()).unwrap();
    }
    for (name, text) in files("src/topology/testdata") {
        drop(parse(&text, &name, &catalogue, &Overrides::default()));
    }
    let rules = "name: x\nnodes: { pc: { command: sh } }\nsites: { home: { gateway: { nat: none, firewall: { policy: { FORWARD: DROP } } } } }";
    parse(rules, "rules", &catalogue, &Overrides::default()).unwrap();
    let readers = known::blocks();
    let mut schemas = BTreeSet::new();
    for document in Document::ALL {
        blocks(&schema(document), &mut schemas);
    }
    for keys in &readers {
        let fits = |block: &&BTreeSet<String>| keys.iter().all(|key| block.contains(*key));
        assert!(schemas.iter().any(|block| fits(&block)), "no schema has a block with the keys {keys:?}");
    }
    for block in &schemas {
        let within = readers.iter().filter(|keys| keys.iter().all(|key| block.contains(*key)));
        let known: BTreeSet<String> = within.flatten().map(|key| (*key).to_owned()).collect();
        assert_eq!(*block, known, "no reader knows all keys of this block of a schema");
    }
}

#[test]
fn the_published_schemas_are_those_that_labctl_prints() {
    for document in Document::ALL {
        let file = format!("docs/schema/{}.json", document.name());
        let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&file);
        let published = std::fs::read_to_string(published).unwrap_or_default();
        let mend = format!("labctl schema {} > {file}", document.name());
        assert!(published == document.schema(), "{file} is not up to date; mend: {mend}");
    }
}
