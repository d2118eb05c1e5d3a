//! What of a plan the kernel's queueing disciplines can do. Pure.

use std::time::Duration;

use super::table;
use super::tree::Sides;
use crate::link::{Change, Distribution, LinkSpec, Setting, Ways};
use crate::plan::{Plan, WanPlan};

/// The largest jitter, whatever its distribution; that of one with a long tail is at most what netem's table has room
/// for ([`table::most`]).
const MOST_JITTER: Duration = Duration::from_millis(250);

/// What this machine's kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Rates (`tbf`), and rules that are there only as long as their owner is.
    pub rates: bool,
    /// Delay, jitter, loss and duplication (`netem`), with what goes with it (`htb`, `u32`, `fw`, `police`).
    pub netem: bool,
}

/// How well the kernel does a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As the model says, packet by packet.
    Exact,
    /// Within the bounds of `docs/wan.md`.
    Near {
        /// What is not exact.
        why: String,
    },
    /// Not at all.
    Cannot {
        /// What cannot be done, with the key that asks for it.
        why: String,
    },
}

/// How well the kernel does a plan with its schedule.
#[must_use]
pub fn of_plan(plan: &Plan, abilities: Abilities) -> Fit {
    let found = of_wan(&plan.wan, abilities);
    let changes = plan.schedule.iter().filter_map(|step| match &step.change {
        Change::SetLink { link, ways, settings } => Some((link, *ways, settings)),
        _ => None,
    });
    let scheduled = changes.map(|(link, ways, settings)| {
        let mut spec = LinkSpec::UNLIMITED;
        // What a jitter means is the link's, unless it changes.
        if let Some(at) = plan.wan.attachments.iter().find(|at| at.name.as_str() == link) {
            let both = [(ways != Ways::Down, at.access.up), (ways != Ways::Up, at.access.down)];
            let distributions = both.iter().filter(|(changes, _)| *changes).map(|(_, way)| way.distribution);
            spec.distribution = distributions.min_by_key(|it| table::most(*it)).unwrap_or_default();
        }
        for setting in settings {
            spec.set(*setting);
        }
        // What a share of 0 or no limit asks for is nothing; jitter stands for all that correlates.
        if settings.iter().any(|setting| matches!(setting, Setting::Correlation(share) if *share > 0.0)) {
            spec.jitter = spec.jitter.max(Duration::from_nanos(1));
        }
        let place = format!("the schedule's changes of the link '{link}'");
        of_way(&spec, &place, Sides::of(&plan.wan).groups() > 1, abilities)
    });
    scheduled.fold(found, worse)
}

/// How well the kernel does a WAN as planned.
#[must_use]
pub fn of_wan(plan: &WanPlan, abilities: Abilities) -> Fit {
    if !abilities.rates {
        let why = "this kernel lacks tbf, htb, u32 or nftables' tables with an owner (Linux 5.12)";
        return Fit::Cannot { why: why.to_owned() };
    }
    let sides = Sides::of(plan);
    let paths = sides.longest_path(plan).map_or(Fit::Exact, |longest| {
        if longest > Duration::ZERO && !abilities.netem {
            return lacking("'wan: rtt'");
        }
        if plan.jitter > 0.0 && longest.mul_f64(plan.jitter.min(1.0)) > MOST_JITTER {
            return Fit::Cannot { why: format!("'wan: rtt: jitter': at most {MOST_JITTER:?} one way") };
        }
        if plan.jitter > 0.0 && longest > Duration::ZERO {
            return near("'wan: rtt: jitter' draws random numbers, which cannot be repeated");
        }
        Fit::Exact
    });
    let links = plan.attachments.iter().map(|at| {
        let up = of_way(&at.access.up, &format!("the link '{}', up", at.name), false, abilities);
        let several = sides.classes(plan, at).len() > 1;
        worse(up, of_way(&at.access.down, &format!("the link '{}', down", at.name), several, abilities))
    });
    let room = if sides.groups() > Sides::MOST {
        let why = format!(
            "places of their own ('latitude') of {} nodes and sites: at most {} are possible",
            sides.groups(),
            Sides::MOST
        );
        Fit::Cannot { why }
    } else {
        Fit::Exact
    };
    links.fold(worse(paths, room), worse)
}

/// How well the kernel does one way of a link. `several`: packets come to it after ways of several lengths.
#[must_use]
pub fn of_way(spec: &LinkSpec, place: &str, several: bool, abilities: Abilities) -> Fit {
    let asked = [
        ("delay", !spec.delay.is_zero()),
        ("jitter", !spec.jitter.is_zero()),
        ("loss", !spec.loss.is_none()),
        ("duplicate", spec.duplicate > 0.0),
    ];
    let asked: Vec<&str> = asked.iter().filter(|(_, asked)| *asked).map(|(key, _)| *key).collect();
    if spec.reorder > 0.0 {
        return Fit::Cannot { why: format!("{place}: 'reorder': netem holds all others back instead") };
    }
    if spec.correlation > 0.0 && !spec.jitter.is_zero() {
        return Fit::Cannot { why: format!("{place}: 'correlation': netem's changes the distribution") };
    }
    if !spec.jitter.is_zero() {
        let most = table::most(spec.distribution).min(MOST_JITTER);
        if spec.jitter > most {
            let asked = spec.jitter;
            let named = Distribution::ALL.iter().find(|(_, known)| *known == spec.distribution);
            let distribution = named.map_or("", |(name, _)| *name);
            let why = format!(
                "{place}: 'jitter': {asked:?}, but at most {} ms is possible with the distribution '{distribution}'",
                most.as_millis()
            );
            return Fit::Cannot { why };
        }
    }
    if spec.duplicate > 0.0 && several {
        return Fit::Cannot { why: format!("{place}: 'duplicate': there are ways of several lengths to it") };
    }
    match asked[..] {
        [key, ..] if !abilities.netem => lacking(&format!("{place}: '{key}'")),
        [] if spec.rate.is_some() && several => {
            near(&format!("{place}: packets over ways of several lengths do not queue in order of arrival"))
        }
        [] if spec.rate.is_some() && !abilities.netem => {
            near(&format!("{place}: without netem, 'rate' lets a packet go when its first bit is sent"))
        }
        [] | ["delay"] if spec.rate.is_none() || !several => Fit::Exact,
        _ => near(&format!("{place}: what is random ('loss', 'jitter', 'duplicate') cannot be repeated")),
    }
}

fn near(why: &str) -> Fit {
    Fit::Near { why: why.to_owned() }
}

/// What asks for netem where there is none.
fn lacking(what: &str) -> Fit {
    Fit::Cannot { why: format!("{what} needs netem, which this kernel lacks") }
}

/// The worse of two, the first if they are alike.
fn worse(one: Fit, other: Fit) -> Fit {
    let rank = |fit: &Fit| match fit {
        Fit::Exact => 0,
        Fit::Near { .. } => 1,
        Fit::Cannot { .. } => 2,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
