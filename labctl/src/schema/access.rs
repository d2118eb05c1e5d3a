//! Schemas of access links, and of places on the Earth.

use serde_json::{Map, Value, json};

use super::forms::{block, described, measure, rate, share, time, words};
use crate::link::Distribution;
use crate::topology::preset_names;

/// `access:`: the name of a preset, or a block.
pub(super) fn access() -> Value {
    let names = preset_names();
    let preset = words(
        names.iter().map(String::as_str),
        "a link by name; what is written beside it is instead of its own",
    );
    let distributions = Distribution::ALL.iter().map(|(name, _)| *name);
    let queue = measure("b|kb|mb|us|ms|s", "what may wait for the link: 200ms, 64kb");
    let block = block(
        json!({
            "preset": preset,
            "down": rate("towards the node or site"),
            "up": rate("from the node or site"),
            "delay": ways(&time("one way, added in each direction")),
            "jitter": ways(&time("by how much the delay varies; if uniform not above the delay")),
            "distribution": ways(&words(distributions, "how the delay varies")),
            "correlation": ways(&share("how much of a packet's jitter is that of the packet before")),
            "loss": ways(&loss()),
            "duplicate": ways(&share("packets that arrive twice")),
            "reorder": ways(&share("packets that are overtaken")),
            "reorder_by": ways(&time("how much later these arrive")),
            "queue": ways(&queue),
        }),
        &[],
    );
    let about = "an access link; what is left out does not limit, delay or lose anything";
    described(json!({ "anyOf": [preset, block] }), about)
}

/// One value for both ways, or one for each.
fn ways(of: &Value) -> Value {
    json!({ "anyOf": [of, block(json!({ "up": of, "down": of }), &[])] })
}

fn loss() -> Value {
    let burst =
        json!({ "type": ["number", "string"], "description": "mean length of a burst in packets: 4" });
    let mut bursts = block(
        json!({
            "share": share("lost packets"),
            "burst": burst,
            "to_bad": share("after a packet in the good state the bad one follows"),
            "to_good": share("after a packet in the bad state the good one follows"),
            "in_good": share("lost in the good state; left out: none"),
            "in_bad": share("lost in the bad state; left out: all"),
        }),
        &[],
    );
    bursts["type"] = json!("object");
    let states = ["to_bad", "to_good", "in_good", "in_bad"].map(|key| json!({ "required": [key] }));
    bursts["oneOf"] = json!([
        { "required": ["share", "burst"], "not": { "anyOf": states } },
        { "required": ["to_bad", "to_good"], "properties": { "share": false, "burst": false } },
    ]);
    json!({
        "anyOf": [share("lost packets, each by itself"), bursts],
        "description": "lost packets: a share, a share in bursts, or the states of Gilbert and Elliott",
    })
}

/// `latitude:` and `longitude:`.
pub(super) fn place() -> Map<String, Value> {
    let degrees = |most: u16, description: &str| {
        let most = i32::from(most);
        json!({ "type": "number", "minimum": -most, "maximum": most, "description": description })
    };
    [
        (
            "latitude".to_owned(),
            degrees(90, "degrees north; with a longitude: the round-trip times follow from distances"),
        ),
        ("longitude".to_owned(), degrees(180, "degrees east")),
    ]
    .into_iter()
    .collect()
}
