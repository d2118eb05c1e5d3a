//! The `wan:` section: regions and the times between them.

use std::time::Duration;

use super::super::document::Key;
use super::super::fields::{Fields, Item, Located};
use super::super::problem::did_you_mean;
use super::super::units::Share;
use super::super::{DEFAULT_REGION, DEFAULT_RTT, Wan};

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
        let wan = Wan { regions: vec![DEFAULT_REGION.to_owned()], rtt: vec![vec![DEFAULT_RTT]], jitter: 0.0 };
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
    let Some(regions) = names.filter(|names| !names.is_empty()) else {
        fields.close();
        return unknown;
    };
    let size = regions.len();
    let mut wan = Wan { regions, rtt: vec![vec![Duration::ZERO; size]; size], jitter: 0.0 };
    let times = rtt.as_ref().map(|item| item.fields("wan: rtt"));
    match times {
        Some(Some(times)) => read_times(times, &mut wan),
        Some(None) => {}
        None => {
            let example = missing_lines(&wan, &vec![vec![false; size]; size]);
            let mend = format!("give the round-trip time of each pair of regions: rtt: {{ {example} }}");
            fields.report(fields.at(), "the key 'rtt' is missing", mend);
        }
    }
    fields.close();
    RawWan { wan, regions_known: true }
}

/// The names that can be read; empty after a problem, so that it does not lead to others.
fn regions(item: &Item<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut clean = true;
    for item in item.list() {
        let Some(Located { value: name, .. }) = item.text("the name of a region such as europe") else {
            clean = false;
            continue;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(plain) {
            item.report(
                format_args!("'{name}' is no name for a region"),
                format!("1 to {NAME_LIMIT} letters, digits, '-' and '_' are possible"),
            );
            clean = false;
        } else if names.iter().any(|known| known == name) {
            item.report(format_args!("the region '{name}' stands there twice"), "keep one of the two");
        } else {
            names.push(name.to_owned());
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

fn read_times(mut times: Fields<'_>, wan: &mut Wan) {
    if let Some(jitter) = times.word::<Share>("jitter") {
        wan.jitter = jitter.value.0;
    }
    let mut seen = vec![vec![false; wan.regions.len()]; wan.regions.len()];
    let mut readable = true;
    for (key, item) in times.rest() {
        let Some((a, b)) = pair(key, &times, &wan.regions) else {
            readable = false;
            continue;
        };
        if seen[a][b] {
            times.report(
                key.at,
                format_args!("the pair '{}' stands there twice", key.name),
                "a time counts both ways: keep one",
            );
        }
        (seen[a][b], seen[b][a]) = (true, true);
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
