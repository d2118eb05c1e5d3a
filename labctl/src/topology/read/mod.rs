//! The sections of a topology file, read from its tree. What depends on another part of the file (names,
//! regions, profiles' whereabouts) is left as text, with its place, for [`resolve`](super::resolve).

mod access;
mod experiment;
mod nodes;
mod places;
mod programs;
mod schedule;
mod sites;
mod wan;

use super::document::Tree;
use super::fields::{Fields, Item, Located, Reporter};
use super::units::Share;
use crate::names::LabName;
use crate::profile::Catalogue;

pub(crate) use access::preset_names;
pub(crate) use experiment::RawExperiment;
pub(crate) use nodes::{RawKind, RawNode};
pub(crate) use programs::RawProgram;
pub(crate) use schedule::{RawChange, RawStep};
pub(crate) use sites::RawSite;
pub(crate) use wan::RawWan;

/// A topology file, read but not yet resolved. A value that could not be read was reported and is `None`
/// or left out.
#[derive(Debug)]
pub(crate) struct RawTopology {
    pub(crate) name: Option<Located<LabName>>,
    pub(crate) title: Option<String>,
    pub(crate) published: Option<Located<String>>,
    pub(crate) seed: u64,
    pub(crate) wan: RawWan,
    pub(crate) overlay: RawOverlay,
    pub(crate) nodes: Vec<RawNode>,
    pub(crate) sites: Vec<RawSite>,
    pub(crate) schedule: Vec<RawStep>,
    pub(crate) experiment: RawExperiment,
}

/// The `overlay:` section.
#[derive(Debug, Default)]
pub(crate) struct RawOverlay {
    pub(crate) profile: Option<Located<String>>,
    pub(crate) entries: Option<Located<u32>>,
    pub(crate) stale: Option<Located<Share>>,
}

/// The longest `title:`.
const TITLE_LIMIT: usize = 200;

/// Reads a whole file.
pub(crate) fn topology(tree: &Tree, catalogue: &Catalogue, reporter: &Reporter) -> Option<RawTopology> {
    let mut fields = Item::new(tree, "", reporter).fields("")?;
    let name = fields.need("name", "name the lab: name: expC").and_then(|item| item.word());
    let title = fields.take("title").and_then(|item| title(&item));
    let published = fields
        .take("published")
        .and_then(|item| item.text("a published row such as infocom2006/expC"))
        .map(|text| Located { at: text.at, value: text.value.to_owned() });
    let seed = fields.take("seed").and_then(|item| item.whole(&(0..=u64::MAX)));
    let wan = fields.take("wan").map_or_else(RawWan::default, |item| wan::read(&item));
    let overlay = fields.take("overlay").and_then(|item| overlay(&item)).unwrap_or_default();
    let nodes = fields.take("nodes").map(|item| nodes::read_public(&item)).unwrap_or_default();
    let sites = fields.take("sites").map(|item| sites::read(&item, catalogue)).unwrap_or_default();
    let schedule = fields.take("schedule").map(|item| schedule::read(&item)).unwrap_or_default();
    let experiment = fields.take("experiment").and_then(|item| experiment::read(&item)).unwrap_or_default();
    fields.close();
    let seed = seed.map_or(super::DEFAULT_SEED, |seed| seed.value);
    Some(RawTopology { name, title, published, seed, wan, overlay, nodes, sites, schedule, experiment })
}

fn title(item: &Item<'_>) -> Option<String> {
    let title = item.text("one line of text")?.value;
    if title.chars().any(char::is_control) || title.chars().count() > TITLE_LIMIT {
        item.report(format_args!("expected one line of at most {TITLE_LIMIT} characters"), "shorten it");
        return None;
    }
    Some(title.to_owned())
}

fn overlay(item: &Item<'_>) -> Option<RawOverlay> {
    let mut fields = item.fields("overlay")?;
    let profile = fields
        .take("profile")
        .and_then(|item| item.text("the name of a parameter file such as skype-2006"))
        .map(|text| Located { at: text.at, value: text.value.to_owned() });
    let mut raw = RawOverlay { profile, ..RawOverlay::default() };
    if let Some(mut cache) = fields.take("host_cache").and_then(|item| item.fields("overlay: host_cache")) {
        raw.entries = cache.take("entries").and_then(|item| item.whole(&(1..=super::MOST_ENTRIES)));
        raw.stale = cache.word("stale");
        cache.close();
    }
    fields.close();
    Some(raw)
}

/// How many times a node or site stands in the lab; `None`: once, under its own name.
fn count(fields: &mut Fields<'_>) -> Option<Located<u32>> {
    fields.take("count").and_then(|item| item.whole(&(1..=super::MOST_CONTAINERS)))
}
