//! Links that are put back as they were, and what is told if that is not possible.

use std::fmt::Write as _;

use super::SweepError;
use super::points::Point;
use crate::lab::{Lab, LabError, Wan};
use crate::link::{Distribution, Loss, Queue, Setting, Ways};
use crate::names::LabName;
use crate::plan::Plan;
use crate::topology::link_setting;

/// What one way of a link is told to be as it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Back {
    link: String,
    ways: Ways,
    settings: Vec<Setting>,
}

impl Back {
    /// What makes the links of a lab as in the plan that it was made from, whichever of the points that are measured
    /// in it they are at.
    pub(super) fn of(points: &[Point], made: &Plan) -> Vec<Self> {
        let mut all = Vec::new();
        for (place, at) in made.wan.attachments.iter().enumerate() {
            let specs = points.iter().filter_map(|point| point.plan.wan.attachments.get(place));
            let (mut up, mut down) = (Vec::new(), Vec::new());
            for swept in specs.map(|at| at.access) {
                add(&mut up, at.access.up.changes_from(&swept.up));
                add(&mut down, at.access.down.changes_from(&swept.down));
            }
            let link = || at.name.to_string();
            let ways =
                if up == down { vec![(Ways::Both, up)] } else { vec![(Ways::Up, up), (Ways::Down, down)] };
            let ways = ways.into_iter().filter(|(_, settings)| !settings.is_empty());
            all.extend(ways.map(|(ways, settings)| Self { link: link(), ways, settings }));
        }
        all
    }

    /// The command that does it; what has no words on a command line is left out.
    fn command(&self, lab: &LabName) -> String {
        let way = match self.ways {
            Ways::Up => " --way up",
            Ways::Down => " --way down",
            Ways::Both => "",
        };
        let mut command = format!("labctl link set {} --lab {lab}{way}", self.link);
        for (key, text) in self.settings.iter().filter_map(|setting| words(*setting)) {
            let _ = write!(command, " --{key} {text}");
        }
        command
    }
}

fn add(to: &mut Vec<Setting>, settings: Vec<Setting>) {
    for setting in settings {
        if !to.contains(&setting) {
            to.push(setting);
        }
    }
}

/// Does all of it. What is not possible does not keep the rest from being done.
///
/// # Errors
///
/// Which links are still changed, why, and how they are put back.
pub(super) async fn restore(
    lab: &Lab,
    parameter: &str,
    points: &[Point],
    made: &Plan,
) -> Result<(), SweepError> {
    let mut failed: Vec<(Back, LabError)> = Vec::new();
    let all = Back::of(points, made);
    if all.is_empty() {
        return Ok(());
    }
    for back in all {
        let set = async { Wan::open(lab).await?.set(&back.link, back.ways, back.settings.clone()).await };
        if let Err(error) = set.await {
            failed.push((back, error));
        }
    }
    let commands: Vec<String> = failed.iter().map(|(back, _)| back.command(lab.name())).collect();
    let mut links: Vec<String> = failed.iter().map(|(back, _)| back.link.clone()).collect();
    links.dedup();
    let Some((_, error)) = failed.into_iter().next() else { return Ok(()) };
    Err(SweepError::NotRestored {
        parameter: parameter.to_owned(),
        links: links.join(", "),
        error: Box::new(error),
        commands: commands.join("\n  "),
    })
}

/// A property as an option of `labctl link set`; `None` if no words mean exactly this.
fn words(setting: Setting) -> Option<(&'static str, String)> {
    let time = |time: std::time::Duration| format!("{}us", time.as_nanos() as f64 / 1e3);
    // 7 % is 7.000000000000001 without it.
    let percent = |share: f64| format!("{}%", (share * 1e11).round() / 1e9);
    let (key, text) = match setting {
        Setting::Rate(None) => ("rate", "none".to_owned()),
        Setting::Rate(Some(rate)) => ("rate", format!("{rate}bit")),
        Setting::Queue(Queue::Usual) => return None,
        Setting::Queue(Queue::Time(most)) => ("queue", time(most)),
        Setting::Queue(Queue::Bytes(most)) => ("queue", format!("{most}b")),
        Setting::Delay(delay) => ("delay", time(delay)),
        Setting::Jitter(jitter) => ("jitter", time(jitter)),
        Setting::Distribution(distribution) => {
            let (name, _) = Distribution::ALL.iter().find(|(_, known)| *known == distribution)?;
            ("distribution", (*name).to_owned())
        }
        Setting::Correlation(share) => ("correlation", percent(share)),
        Setting::Loss(Loss::Independent(share)) => ("loss", percent(share)),
        Setting::Loss(Loss::Bursts(bursts)) => {
            ("loss", format!("{}/{}", percent(bursts.mean()), 1.0 / bursts.to_good))
        }
        Setting::Duplicate(share) => ("duplicate", percent(share)),
        Setting::Reorder(share) => ("reorder", percent(share)),
        Setting::ReorderBy(late) => ("reorder-by", time(late)),
    };
    link_setting(key, &text).is_ok_and(|read| read == setting).then_some((key, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::points::Points;
    use crate::profile::Catalogue;
    use crate::topology::{Overrides, parse, shipped};

    #[test]
    fn both_ways_and_every_link_of_a_sweep_are_put_back_and_nothing_else() {
        let (_, text) = shipped().find(|(name, _)| *name == "quickstart").unwrap();
        let made = Plan::new(&parse(text, "t", &Catalogue::shipped(), &Overrides::default()).unwrap());
        let link = made.wan.attachments[0].name.clone();
        let sweep = "delay=111,222,333ms".parse().unwrap();
        let points = Points::new(&sweep, made.clone(), std::slice::from_ref(&link), None).unwrap();
        let back = Back::of(&points.all, &made);
        let mut plan = points.all[2].plan.clone();
        assert_ne!(plan, made);
        for Back { link: name, ways, settings } in &back {
            assert_eq!(*name, link.to_string());
            for setting in settings {
                plan.wan.attachments[0].access.set(*ways, *setting);
            }
        }
        assert_eq!(plan, made);
        assert!(Back::of(&[], &made).is_empty());
        let command = back[0].command(&made.lab);
        assert!(command.starts_with(&format!("labctl link set {link} --lab ")), "{command}");
        assert!(command.contains(" --delay "), "{command}");
    }

    #[test]
    fn words_of_a_link_mean_the_same_when_they_are_read() {
        for (key, text) in [
            ("rate", "none"),
            ("rate", "128kbit"),
            ("queue", "2s"),
            ("queue", "64kb"),
            ("delay", "7ms"),
            ("jitter", "0.5ms"),
            ("distribution", "pareto"),
            ("correlation", "25%"),
            ("loss", "7%"),
            ("loss", "0.1%"),
            ("duplicate", "1%"),
            ("reorder", "3%"),
            ("reorder-by", "10ms"),
        ] {
            let setting = link_setting(key, text).unwrap();
            let (same, written) = words(setting).unwrap();
            assert_eq!((same, link_setting(key, &written).unwrap()), (key, setting), "{text}: {written}");
        }
        assert_eq!(words(Setting::Queue(Queue::Usual)), None);
    }
}
