//! The `wan:` section: regions and the times between them.

use std::time::Duration;

use super::super::document::{Key, Value};
use super::super::fields::{Fields, Item, Located};
use super::super::problem::did_you_mean;
use super::super::units::Share;
use super::super::{DEFAULT_REGION, DEFAULT_RTT, Wan};
use super::places;
use crate::link::Coordinates;

/// Regions at most.
const MOST_REGIONS: usize = 64;
/// Characters of a region's name at most.
const NAME_LIMIT: usize = 32;

/// The `wan:` section.
#[derive(Debug)]
pub(crate) struct RawWan {
    /// The emulated Internet; the times that were not readable are zero.
    pub(crate) wan: Wan,
    /// False if the regions could not be read, so that nobody can tell what a region's name means.
    pub(crate) regions_known: bool,
}

impl Default for RawWan {
    /// One region.
    fn default() -> Self {
        let wan = Wan {
            regions: vec![DEFAULT_REGION.to_owned()],
            places: vec![None],
            rtt: vec![vec![DEFAULT_RTT]],
            jitter: 0.0,
        };
        Self { wan, regions_known: true }
    }
}

pub(super) fn read(item: &Item<'_>) -> RawWan {
    let unknown = RawWan { regions_known: false, ..RawWan::default() };
    let Some(mut fields) = item.fields("wan") else { return unknown };
    let names = fields
        .need("regions", "name the places on the WAN: regions: [us-east, europe]")
        .map(|item| regions(&item));
    let rtt = fields.take("rtt");
    let Some(listed) = names.filter(|names| !names.is_empty()) else {
        fields.close();
        return unknown;
    };
    let size = listed.len();
    let (regions, places) = listed.into_iter().unzip();
    let mut wan = Wan { regions, places, rtt: vec![vec![Duration::ZERO; size]; size], jitter: 0.0 };
    let seen = measure(&mut wan);
    let all_placed = seen.iter().flatten().all(|seen| *seen);
    let times = rtt.as_ref().map(|item| item.fields("wan: rtt"));
    match times {
        Some(Some(times)) => read_times(times, &mut wan, seen),
        Some(None) => {}
        None if all_placed => {}
        None => {
            let example = missing_lines(&wan, &vec![vec![false; size]; size]);
            let mend = format!("give the round-trip time of each pair of regions: rtt: {{ {example} }}");
            fields.report(fields.at(), "the key 'rtt' is missing", mend);
        }
    }
    fields.close();
    RawWan { wan, regions_known: true }
}

/// Sets the times between regions that have places; which these are.
fn measure(wan: &mut Wan) -> Vec<Vec<bool>> {
    let mut seen = vec![vec![false; wan.regions.len()]; wan.regions.len()];
    for (a, from) in wan.places.iter().enumerate() {
        for (b, to) in wan.places.iter().enumerate() {
            if let (Some(from), Some(to)) = (from, to) {
                wan.rtt[a][b] = 2 * from.delay_to(*to);
                seen[a][b] = true;
            }
        }
    }
    seen
}

/// The names that can be read, each with the place of the region if it has one; empty after a problem, so that it
/// does not lead to others. They are a list, or the keys of a block.
fn regions(item: &Item<'_>) -> Vec<(String, Option<Coordinates>)> {
    let mut names: Vec<(String, Option<Coordinates>)> = Vec::new();
    let mut clean = true;
    let mut listed: Vec<(String, Option<Coordinates>, Item<'_>)> = Vec::new();
    if let Value::Map(_) = item.tree.value {
        for (key, item) in item.fields("wan: regions").map(|mut block| block.rest()).unwrap_or_default() {
            let place = item.fields(format!("region {}", key.name)).map(|mut fields| {
                let place = places::place(&mut fields);
                fields.close();
                place
            });
            // A block that says something, but no place, has been reported.
            clean &= matches!(place, Some(Some(_))) || item.tree.value == Value::Null;
            listed.push((key.name.clone(), place.flatten(), item));
        }
    } else {
        for item in item.list() {
            match item.text("the name of a region such as europe") {
                Some(Located { value: name, .. }) => listed.push((name.to_owned(), None, item)),
                None => clean = false,
            }
        }
    }
    for (name, place, item) in listed {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(plain) {
            item.report(
                format_args!("'{name}' is no name for a region"),
                format!("1 to {NAME_LIMIT} letters, digits, '-' and '_' are possible"),
            );
            clean = false;
        } else if names.iter().any(|(known, _)| *known == name) {
            item.report(format_args!("the region '{name}' stands there twice"), "keep one of the two");
        } else {
            names.push((name, place));
        }
    }
    if names.is_empty() && clean {
        item.report("there is no region", "name at least one: regions: [europe]");
    }
    if names.len() > MOST_REGIONS {
        item.report(
            format_args!("{} regions are too many", names.len()),
            format!("at most {MOST_REGIONS} are possible"),
        );
        clean = false;
    }
    if clean { names } else { Vec::new() }
}

/// `seen` are the pairs that have a time without one in the file.
fn read_times(mut times: Fields<'_>, wan: &mut Wan, mut seen: Vec<Vec<bool>>) {
    if let Some(jitter) = times.word::<Share>("jitter") {
        wan.jitter = jitter.value.0;
    }
    let mut written = vec![vec![false; wan.regions.len()]; wan.regions.len()];
    let mut readable = true;
    for (key, item) in times.rest() {
        let Some((a, b)) = pair(key, &times, &wan.regions) else {
            readable = false;
            continue;
        };
        if written[a][b] {
            times.report(
                key.at,
                format_args!("the pair '{}' stands there twice", key.name),
                "a time counts both ways: keep one",
            );
        }
        for table in [&mut written, &mut seen] {
            (table[a][b], table[b][a]) = (true, true);
        }
        if let Some(time) = item.word::<Duration>() {
            (wan.rtt[a][b], wan.rtt[b][a]) = (time.value, time.value);
        }
    }
    let missing = missing_lines(wan, &seen);
    if readable && !missing.is_empty() {
        times.report(
            times.at(),
            "not every pair of regions has a round-trip time",
            format!("add: {missing}"),
        );
    }
}

/// The regions of a key `us-east/europe`.
fn pair(key: &Key, times: &Fields<'_>, regions: &[String]) -> Option<(usize, usize)> {
    let Some((a, b)) = key.name.split_once('/') else {
        let mend =
            "write the two regions with '/' between them, or the share by which all times vary as 'jitter'";
        times.report(key.at, format_args!("'{}' is no pair of regions", key.name), mend);
        return None;
    };
    let index = |name: &str| {
        let index = regions.iter().position(|region| region == name);
        if index.is_none() {
            let mend = did_you_mean(name, regions.iter().map(String::as_str));
            times.report(key.at, format_args!("unknown region '{name}'"), mend);
        }
        index
    };
    let (a, b) = (index(a), index(b));
    Some((a?, b?))
}

/// The lines to add for the pairs that have no time; the first few of many.
fn missing_lines(wan: &Wan, seen: &[Vec<bool>]) -> String {
    const SHOWN: usize = 6;
    let mut lines = Vec::new();
    for (a, first) in wan.regions.iter().enumerate() {
        for (b, second) in wan.regions.iter().enumerate().skip(a) {
            if !seen[a][b] {
                lines.push(format!("{first}/{second}: 50ms"));
            }
        }
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join(", ")
}
