//! Access links: presets by name, and every property, for both ways or each by itself.

use std::time::Duration;

use super::super::document::{Tree, Value};
use super::super::fields::{Fields, Item, Located, Reporter, Word};
use super::super::problem::did_you_mean;
use super::super::units::{Burst, Rate, Share};
use crate::link::{AccessLink, Distribution, GilbertElliott, LinkSpec, Loss, Queue};

/// The presets: data, each with its sources.
const PRESETS: &str = include_str!("../../link/presets.yaml");

/// A property of a link, for up and down; `None` where the file says nothing.
type Both<T> = (Option<T>, Option<T>);

/// An `access:` value: the name of a preset, or a block of keys.
pub(super) fn access(item: &Item<'_>, place: &str) -> Option<AccessLink> {
    if let Value::Text(_) = item.tree.value {
        return preset(item);
    }
    let mut fields = item.fields(place)?;
    let base = match fields.take("preset") {
        Some(item) => preset(&item).unwrap_or(AccessLink::UNLIMITED),
        None => AccessLink::UNLIMITED,
    };
    let link = properties(&mut fields, base);
    fields.close();
    Some(link)
}

/// The presets' names, in the order of their file.
pub(crate) fn preset_names() -> Vec<String> {
    with_presets(|presets| presets.iter().map(|(name, _)| (*name).to_owned()).collect())
}

fn preset(item: &Item<'_>) -> Option<AccessLink> {
    let Located { value: name, .. } = item.text("the name of a preset such as dsl-2006")?;
    let found =
        with_presets(|presets| presets.iter().find(|(known, _)| known == &name).map(|(_, link)| *link));
    if found.is_none() {
        let names = preset_names();
        item.report(
            format_args!("unknown access link '{name}'"),
            did_you_mean(name, names.iter().map(String::as_str)),
        );
    }
    found
}

/// Reads the shipped presets. That all of them are right, a test makes sure.
fn with_presets<T>(use_them: impl FnOnce(&[(&str, AccessLink)]) -> T) -> T {
    let tree = Tree::parse(PRESETS, 0)
        .unwrap_or(Tree { at: super::super::problem::Mark::default(), value: Value::Null });
    let reporter = Reporter::default();
    let item = Item::new(&tree, "", &reporter);
    let entries = item.fields("").map(|mut fields| fields.rest()).unwrap_or_default();
    let presets: Vec<_> = entries
        .iter()
        .filter_map(|(key, item)| Some((key.name.as_str(), access(item, &key.name)?)))
        .collect();
    use_them(&presets)
}

fn properties(fields: &mut Fields<'_>, mut link: AccessLink) -> AccessLink {
    if let Some(rate) = fields.word::<Rate>("down") {
        link.down.rate = Some(rate.value.0);
    }
    if let Some(rate) = fields.word::<Rate>("up") {
        link.up.rate = Some(rate.value.0);
    }
    let delay_item = fields.take("delay");
    let delay = delay_item.as_ref().map(both_words::<Duration>);
    let delay_is_known =
        delay_item.is_none() || delay.is_some_and(|(up, down)| up.is_some() || down.is_some());
    let set =
        |link: &mut AccessLink, value: Option<Both<Duration>>, to: fn(&mut LinkSpec) -> &mut Duration| {
            each(link, value, |spec, value| *to(spec) = value);
        };
    set(&mut link, delay, |spec| &mut spec.delay);
    let jitter_item = fields.take("jitter");
    set(&mut link, jitter_item.as_ref().map(both_words), |spec| &mut spec.jitter);
    let distribution = fields.take("distribution").map(|item| both(&item, distribution));
    each(&mut link, distribution, |spec, value| spec.distribution = value);
    if let Some(item) = jitter_item.filter(|_| delay_is_known) {
        check_jitter(fields, &item, &link);
    }
    let mut share = |key, set: fn(&mut LinkSpec, Share)| {
        let value = fields.take(key).map(|item| both_words(&item));
        each(&mut link, value, set);
    };
    share("correlation", |spec, share| spec.correlation = share.0);
    share("duplicate", |spec, share| spec.duplicate = share.0);
    share("reorder", |spec, share| spec.reorder = share.0);
    set(&mut link, fields.take("reorder_by").as_ref().map(both_words), |spec| &mut spec.reorder_by);
    let loss = fields.take("loss").map(|item| both(&item, loss));
    each(&mut link, loss, |spec, value| spec.loss = value);
    let queue = fields.take("queue").map(|item| both_words::<Queue>(&item));
    each(&mut link, queue, |spec, value| spec.queue = value);
    link
}

/// A wire cannot deliver what was not sent yet.
fn check_jitter(fields: &Fields<'_>, item: &Item<'_>, link: &AccessLink) {
    let too_much = [link.up, link.down]
        .iter()
        .any(|spec| spec.distribution == Distribution::Uniform && spec.jitter > spec.delay);
    if too_much {
        fields.report(
            item.at(),
            "the jitter is more than the delay, so that packets would have to arrive before they were sent",
            "it is the most that the delay varies by, up and down",
        );
    }
}

fn each<T: Copy>(link: &mut AccessLink, value: Option<Both<T>>, mut set: impl FnMut(&mut LinkSpec, T)) {
    let (up, down) = value.unwrap_or((None, None));
    if let Some(value) = up {
        set(&mut link.up, value);
    }
    if let Some(value) = down {
        set(&mut link.down, value);
    }
}

fn both_words<T: Word + Copy>(item: &Item<'_>) -> Both<T> {
    both(item, |item| item.word().map(|word| word.value))
}

/// One value for both ways, or a block `{ up: ..., down: ... }`.
fn both<T: Copy>(item: &Item<'_>, read: impl Fn(&Item<'_>) -> Option<T>) -> Both<T> {
    let by_way = match &item.tree.value {
        Value::Map(entries) => entries.iter().any(|(key, _)| matches!(key.name.as_str(), "up" | "down")),
        _ => false,
    };
    if !by_way {
        let value = read(item);
        return (value, value);
    }
    let Some(mut fields) = item.fields(item.place()) else { return (None, None) };
    let up = fields.take("up").and_then(|item| read(&item));
    let down = fields.take("down").and_then(|item| read(&item));
    fields.close();
    (up, down)
}

fn distribution(item: &Item<'_>) -> Option<Distribution> {
    let names = || Distribution::ALL.iter().map(|(name, _)| *name);
    let text = item.text("a distribution: uniform, normal, exponential or pareto")?;
    let known = Distribution::ALL.iter().find(|(name, _)| *name == text.value);
    if known.is_none() {
        item.report(format_args!("unknown distribution '{}'", text.value), did_you_mean(text.value, names()));
    }
    known.map(|(_, distribution)| *distribution)
}

/// A share; or a share and the mean length of its bursts; or all four values of Gilbert and Elliott.
fn loss(item: &Item<'_>) -> Option<Loss> {
    if !matches!(item.tree.value, Value::Map(_)) {
        return item.word::<Share>().map(|share| Loss::Independent(share.value.0));
    }
    let mut fields = item.fields(item.place())?;
    let share = fields.word::<Share>("share").map(|share| share.value.0);
    let burst = fields.word::<Burst>("burst").map(|burst| burst.value.0);
    let values = ["to_bad", "to_good", "in_good", "in_bad"].map(|key| fields.word::<Share>(key));
    let at = fields.at();
    let loss = match (share, burst, values.map(|value| value.map(|value| value.value.0))) {
        (Some(share), Some(burst), [None, None, None, None]) => {
            let bursts = GilbertElliott::with_mean(share, burst);
            if bursts.is_none() {
                fields.report(
                    at,
                    "bursts of this length cannot make up this share",
                    "take a smaller share or longer bursts",
                );
            }
            bursts.map(Loss::Bursts)
        }
        (None, None, [Some(to_bad), Some(to_good), in_good, in_bad]) => Some(Loss::Bursts(GilbertElliott {
            to_bad,
            to_good,
            in_good: in_good.unwrap_or(0.0),
            in_bad: in_bad.unwrap_or(1.0),
        })),
        _ => {
            let unread = fields.has_like(&["share", "burst", "to_bad", "to_good", "in_good", "in_bad"]);
            if !unread {
                fields.report(
                    at,
                    "this is no loss",
                    "write a share, such as loss: 1%; or share and mean length of bursts in packets, such as \
                     loss: { share: 1%, burst: 4 }; or the states of a Gilbert-Elliott wire, such as \
                     loss: { to_bad: 1%, to_good: 25%, in_good: 0%, in_bad: 100% }",
                );
            }
            None
        }
    };
    fields.close();
    loss
}
