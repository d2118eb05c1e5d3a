//! The `schedule:` section: changes of the WAN at their times. Names are left as text.

use std::time::Duration;

use super::super::document::Value;
use super::super::fields::{Fields, Item, Located, Word};
use super::super::problem::Mark;
use super::super::{LINK_KEYS, link_setting};
use crate::link::{Setting, Ways};

/// The last moment that a schedule can have.
const LATEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A step of the schedule.
#[derive(Debug)]
pub(crate) struct RawStep {
    /// Where it stands.
    pub(crate) place: Mark,
    pub(crate) at: Located<Duration>,
    pub(crate) change: RawChange,
}

/// What happens in a step.
#[derive(Debug)]
pub(crate) enum RawChange {
    Set { link: Located<String>, ways: Ways, settings: Vec<(Mark, &'static str, Setting)> },
    Works { link: Located<String>, works: bool },
    Partition { sides: Vec<Vec<Located<String>>> },
    Heal,
}

/// A moment of a schedule: a sum of times with units, such as `1m 30s`.
struct Moment(Duration);

impl Word for Moment {
    const EXPECTED: &'static str = "a time such as 30s or 1m30s";

    fn read(text: &str) -> Result<Self, String> {
        if text.parse::<f64>().is_ok() {
            return Err(format!("add the unit: {text}s"));
        }
        match humantime::parse_duration(text) {
            Ok(time) if time <= LATEST => Ok(Self(time)),
            Ok(_) => Err("at most 7 days are possible".to_owned()),
            Err(_) => Err("write numbers with the units ms, s, m and h".to_owned()),
        }
    }
}

pub(super) fn read(item: &Item<'_>) -> Vec<RawStep> {
    item.list().iter().zip(1..).filter_map(|(item, number)| step(item, number)).collect()
}

fn step(item: &Item<'_>, number: u32) -> Option<RawStep> {
    let mut fields = item.fields(format!("step {number} of the schedule"))?;
    let place = fields.at();
    let moment = fields.need("at", "say when, from the begin of the schedule on: at: 30s");
    let at = moment.and_then(|item| item.word::<Moment>());
    let change = change(&mut fields);
    fields.close();
    let at = at?;
    Some(RawStep { place, at: Located { at: at.at, value: at.value.0 }, change: change? })
}

fn change(fields: &mut Fields<'_>) -> Option<RawChange> {
    let link = fields.take("link");
    let [set, works, way] = ["set", "works", "way"].map(|key| fields.take(key));
    let [partition, heal] = ["partition", "heal"].map(|key| fields.take(key));
    let forms = "link and set, link and works, partition, or heal";
    let about_link = link.is_some() || set.is_some() || works.is_some() || way.is_some();
    let kinds = u8::from(about_link) + u8::from(partition.is_some()) + u8::from(heal.is_some());
    if kinds == 0 && fields.has_like(&["link", "set", "works", "partition", "heal"]) {
        // It is reported as an unknown key.
        return None;
    }
    if kinds != 1 || (set.is_some() && works.is_some()) {
        let found = if kinds == 0 { "changes nothing" } else { "is several in one" };
        fields.report(
            fields.at(),
            format_args!("it {found}"),
            format!("give each step one change: {forms}; steps can have the same time"),
        );
        return None;
    }
    if let Some(item) = heal {
        if item.tree.value != Value::Bool(true) {
            item.expected("true", "heal: true ends all partitions; without it leave the step out");
            return None;
        }
        return Some(RawChange::Heal);
    }
    if let Some(item) = partition {
        let sides: Option<Vec<_>> = item.list().iter().map(side).collect();
        return sides.map(|sides| RawChange::Partition { sides });
    }
    let Some(link) = link else {
        if fields.has_like(&["link"]) {
            // It is reported as an unknown key.
            return None;
        }
        let mend = "name a node, a gateway or a site: link: alice";
        fields.report(fields.at(), "the key 'link' is missing", mend);
        return None;
    };
    let link = link.text("the name of a node or site").map(|text| owned(&text));
    if let Some(item) = works {
        if let Some(way) = way {
            way.report("a link works both ways or not at all", "leave 'way' out");
        }
        let Value::Bool(works) = item.tree.value else {
            item.expected("true or false", "works: false takes the link down, works: true up again");
            return None;
        };
        return Some(RawChange::Works { link: link?, works });
    }
    let ways = match way {
        None => Some(Ways::Both),
        Some(item) => ways(&item),
    };
    let Some(set) = set else {
        fields.report(fields.at(), "it changes nothing", "say what: set: { loss: 5%, delay: 80ms }");
        return None;
    };
    Some(RawChange::Set { settings: settings(&set)?, link: link?, ways: ways? })
}

fn owned(text: &Located<&str>) -> Located<String> {
    Located { at: text.at, value: text.value.to_owned() }
}

fn side(item: &Item<'_>) -> Option<Vec<Located<String>>> {
    item.list()
        .iter()
        .map(|item| item.text("the name of a region, site or node").map(|text| owned(&text)))
        .collect()
}

fn ways(item: &Item<'_>) -> Option<Ways> {
    match item.text("up or down")?.value {
        "up" => Some(Ways::Up),
        "down" => Some(Ways::Down),
        "both" => Some(Ways::Both),
        _ => {
            item.expected("up, down or both", "");
            None
        }
    }
}

/// `set:`, in the words of `labctl link set`.
fn settings(item: &Item<'_>) -> Option<Vec<(Mark, &'static str, Setting)>> {
    let mut fields = item.fields(item.place())?;
    let mut settings = Vec::new();
    let mut readable = true;
    for key in LINK_KEYS {
        let Some(item) = fields.take(key) else { continue };
        let text = match &item.tree.value {
            Value::Text(text) => text.clone(),
            Value::Whole(number) => number.to_string(),
            Value::Fraction(number) => number.to_string(),
            _ => {
                item.expected("a value such as `labctl link set` takes", "");
                readable = false;
                continue;
            }
        };
        match link_setting(key, &text) {
            Ok(setting) => settings.push((item.at(), key, setting)),
            Err(why) => {
                let (message, mend) =
                    why.split_once("; ").unwrap_or((&why, "write it as `labctl link set` does"));
                item.report(message, mend);
                readable = false;
            }
        }
    }
    if settings.is_empty() && readable && !fields.has_like(&LINK_KEYS) {
        item.report("it changes nothing", "name a property: set: { loss: 5% }");
        readable = false;
    }
    fields.close();
    readable.then_some(settings)
}
