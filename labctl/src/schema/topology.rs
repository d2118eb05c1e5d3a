//! Schema of a topology.

use serde_json::{Value, json};

use super::access::{access, place};
use super::forms::{ADDRESS, block, described, line, node_name, share, some, text, time, whole, words};
use super::schedule::schedule;
use super::{document, firewall, nat, node, refer};
use crate::profile::Catalogue;
use crate::topology::{MOST_CONTAINERS, MOST_ENTRIES, MOST_OUTSIDE_ADDRESSES, PUBLISHED_ROWS};

pub(super) fn schema() -> Value {
    let catalogue = Catalogue::shipped();
    let name = json!({ "type": "string" });
    let root = block(
        json!({
            "name": text(
                "^[A-Za-z][A-Za-z0-9_.]{0,19}$",
                "name of the lab: a letter, then letters, digits, '_' and '.'; at most 20",
            ),
            "title": {
                "type": "string", "maxLength": 200, "pattern": r"^[^\u0000-\u001f\u007f]*$",
                "description": "one line for people",
            },
            "published": words(PUBLISHED_ROWS.iter().copied(), "the published row to compare with"),
            "seed": whole(0, u64::MAX, "seed of everything random"),
            "wan": wan(),
            "overlay": overlay(),
            "nodes": named(&refer("node"), "public nodes, straight on the WAN, by name"),
            "sites": named(&refer("site"), "private networks, each behind a gateway, by name"),
            "schedule": schedule(),
            "experiment": described(
                block(
                    json!({
                        "measure": some(&name, "clients that are measured; left out: all that are not online"),
                        "online": some(&name, "clients that are logged in before the first trial"),
                        "notes": {
                            "type": ["object", "null"],
                            "additionalProperties": { "type": ["string", "number", "boolean"] },
                            "description": "notes for the report, by key",
                        },
                    }),
                    &[],
                ),
                "what experiments do by default in this topology",
            ),
        }),
        &["name"],
    );
    let definitions = [
        ("node", node::public()),
        ("site", site(&catalogue)),
        ("site-node", node::private()),
        ("health", node::health()),
        ("access", access()),
        ("behaviour", nat::behaviour()),
        ("inside-host", nat::inside_host()),
        ("rules", firewall::rules()),
    ];
    let about = "A lab: the emulated Internet, nodes on it, and private networks behind NATs and firewalls. \
                 `labctl validate` checks what a schema cannot.";
    document("labctl topology", about, root, &definitions)
}

fn named(of: &Value, description: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "propertyNames": node_name(),
        "additionalProperties": of,
        "description": description,
    })
}

fn wan() -> Value {
    let region = "[A-Za-z0-9_-]{1,32}";
    let times = json!({
        "type": "object",
        "properties": { "jitter": share("how much the times vary, as a share of them") },
        "patternProperties": { (format!("^{region}/{region}$")): time("round trip, both ways") },
        "additionalProperties": false,
        "description": "round-trip time of each pair of regions (a/b), also of each with itself (a/a)",
    });
    let placed = block(place().into(), &["latitude", "longitude"]);
    let regions = json!({
        "anyOf": [
            some(&text(&format!("^{region}$"), "a place on the WAN"), "the places on the WAN"),
            {
                "type": "object",
                "propertyNames": { "pattern": format!("^{region}$") },
                "additionalProperties": { "anyOf": [placed, { "type": "null" }] },
                "description": "the places on the WAN by name; of those with coordinates the times follow from the distance",
            },
        ],
    });
    let wan = block(json!({ "regions": regions, "rtt": times }), &["regions"]);
    described(wan, "the emulated Internet; left out: one region with a round trip of 50 ms")
}

fn overlay() -> Value {
    let cache = block(
        json!({
            "entries": whole(1, MOST_ENTRIES.into(), "entries of the host cache of a client that has logged in before"),
            "stale": share("the part of them behind which nobody is any more"),
        }),
        &[],
    );
    let profile = line("parameter file: a name, or a path relative to the topology");
    described(block(json!({ "profile": profile, "host_cache": cache }), &[]), "the overlay's parameters")
}

fn site(catalogue: &Catalogue) -> Value {
    // Names of a user's own profiles are not known here, so any name will do; editors offer the shipped ones.
    let profile = |names: Vec<&str>| json!([{ "enum": names }, { "type": "string" }]);
    let mut nat = profile(catalogue.nat_names().collect());
    let mut firewall = profile(catalogue.firewall_names().collect());
    for (forms, block) in [(&mut nat, "behaviour"), (&mut firewall, "rules")] {
        if let Some(forms) = forms.as_array_mut() {
            forms.push(json!({ "$ref": format!("#/$defs/{block}"), "type": "object" }));
        }
    }
    let gateway = block(
        json!({
            "nat": { "anyOf": nat, "description": "a NAT profile (`labctl nat list`), or a block of behaviours" },
            "firewall": { "anyOf": firewall, "description": "a firewall profile, or a block of rules; left out: open" },
        }),
        &["nat"],
    );
    let network = format!("^{ADDRESS}/([89]|[12][0-9]|30)$");
    let outside = whole(1, MOST_OUTSIDE_ADDRESSES.into(), "addresses of the gateway's outside");
    let mut site = block(
        json!({
            "latitude": place()["latitude"],
            "longitude": place()["longitude"],
            "count": whole(1, MOST_CONTAINERS.into(), "makes name-1, name-2 and so on, and the nodes of each"),
            "region": line("its place on the WAN; needed if there are several regions"),
            "uplink": line("in place of a region: the site that it is behind"),
            "gateway": described(gateway, "what the site's router does"),
            "access": refer("access"),
            "subnet": text(&network, "its private network, such as 192.168.1.0/24"),
            "outside_addresses": outside,
            "nodes": named(&refer("site-node"), "the nodes inside, by name"),
        }),
        &["gateway"],
    );
    // What is behind another site is where that one is.
    site["dependentSchemas"] = json!({
        "uplink": { "properties": { "region": false, "access": false, "latitude": false, "longitude": false } },
    });
    described(site, "a private network behind one gateway")
}
