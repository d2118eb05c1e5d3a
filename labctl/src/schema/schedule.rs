//! Schema of the changes of the WAN at their times.

use serde_json::{Value, json};

use super::forms::{block, line, measure, rate, share, some, text, time, words};
use crate::link::Distribution;

/// `schedule:`: a list of steps.
pub(super) fn schedule() -> Value {
    let distributions = Distribution::ALL.iter().map(|(name, _)| *name);
    let unlimited = json!({ "anyOf": [rate("a rate"), { "const": "none" }] });
    let loss = text(
        r"^([0-9]+\.?[0-9]*|\.[0-9]+)\s*%(/[0-9]+\.?[0-9]*)?$",
        "lost packets: 5%, or 5%/4 for bursts of 4 packets in the mean",
    );
    let mut set = block(
        json!({
            "rate": unlimited,
            "queue": measure("b|kb|mb|us|ms|s", "what may wait for the link: 200ms, 64kb"),
            "delay": time("one way"),
            "jitter": time("by how much the delay varies"),
            "distribution": words(distributions, "how the delay varies"),
            "correlation": share("how much of a packet's jitter is that of the packet before"),
            "loss": loss,
            "duplicate": share("packets that arrive twice"),
            "reorder": share("packets that are overtaken"),
            "reorder_by": time("how much later these arrive"),
        }),
        &[],
    );
    set["type"] = json!("object");
    set["minProperties"] = json!(1);
    set["description"] = json!("what changes, in the words of `labctl link set`; what is not named stays");
    let name = line("a region, site or node");
    let side = json!({ "anyOf": [name, { "type": "array", "items": name, "minItems": 1 }] });
    let mut step = block(
        json!({
            "at": text(r"^\s*([0-9]+\s*[A-Za-z]+\s*)+$", "from the begin of the schedule on: 500ms, 30s, 1m30s; at most 7 days"),
            "link": line("a node, gateway or site; what is behind a gateway stands for the link that its packets take"),
            "set": set,
            "way": words(["up", "down", "both"], "which way of the link is changed; left out: both"),
            "works": { "type": "boolean", "description": "false takes the link down, true up again" },
            "partition": some(&side, "sides between which no packet passes; with one, between that and all others"),
            "heal": { "const": true, "description": "ends all partitions" },
        }),
        &["at"],
    );
    step["oneOf"] = json!([
        { "required": ["link", "set"], "properties": { "works": false, "partition": false, "heal": false } },
        { "required": ["link", "works"], "properties": { "set": false, "way": false, "partition": false, "heal": false } },
        {
            "required": ["partition"],
            "properties": { "link": false, "set": false, "works": false, "way": false, "heal": false },
        },
        {
            "required": ["heal"],
            "properties": { "link": false, "set": false, "works": false, "way": false, "partition": false },
        },
    ]);
    some(&step, "changes of the WAN while the lab runs, in the order of their times")
}
