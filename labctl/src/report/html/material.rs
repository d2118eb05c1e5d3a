//! What a page is made from: runs, put together by set-up.

mod calls;
mod logins;
mod searches;

use std::path::Path;

pub use calls::{CallExample, Calls};
pub use logins::{Example, SetUp};
pub use searches::{SearchExample, Searches};

use crate::experiment::recorded::{Circumstances, Description};
use crate::plan::Plan;
use crate::report::find_published;

/// Everything that a page is about.
#[derive(Debug, Default)]
pub struct Material {
    /// Logins, by set-up.
    pub logins: Vec<SetUp>,
    /// Searches, by set-up.
    pub searches: Vec<Searches>,
    /// Calls, by set-up and the two who talk.
    pub calls: Vec<Calls>,
}

/// Where figures come from: a run.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The set-up.
    pub set_up: &'a str,
    /// The run's directory.
    pub directory: &'a Path,
    /// What it was made from.
    pub description: &'a Description,
    /// The rest of what it says of itself.
    pub circumstances: &'a Circumstances,
    /// The lab's plan.
    pub plan: &'a Plan,
}

impl Material {
    /// All runs, in the order of the page.
    pub fn origins(&self) -> impl Iterator<Item = Origin<'_>> {
        let logins = self.logins.iter().flat_map(|one| {
            one.runs
                .iter()
                .map(|run| origin(&one.name, &run.directory, &run.description, &run.circumstances, &run.plan))
        });
        let searches = self.searches.iter().flat_map(|one| {
            one.runs
                .iter()
                .map(|run| origin(&one.name, &run.directory, &run.description, &run.circumstances, &run.plan))
        });
        let calls = self.calls.iter().flat_map(|one| {
            one.runs.iter().map(|run| {
                origin(&one.set_up, &run.directory, &run.description, &run.circumstances, &run.plan)
            })
        });
        logins.chain(searches).chain(calls)
    }
}

fn origin<'a>(
    set_up: &'a str,
    directory: &'a Path,
    description: &'a Description,
    circumstances: &'a Circumstances,
    plan: &'a Plan,
) -> Origin<'a> {
    Origin { set_up, directory, description, circumstances, plan }
}

/// What a lab's set-up is called: as the published one that it is compared with, or else as the lab.
fn set_up_of(plan: &Plan) -> &str {
    let published = plan.published.as_deref().filter(|key| find_published(key).is_some());
    published.and_then(|key| key.rsplit('/').next()).unwrap_or(plan.lab.as_str())
}

/// The trial whose figure is nearest to the median of all, by its place.
fn nearest_to_median(figures: &[Option<f64>]) -> Option<usize> {
    let mut sorted: Vec<f64> = figures.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let median = crate::report::statistics::quantile(&sorted, 0.5)?;
    let off = |figure: f64| (figure - median).abs();
    let known = figures.iter().enumerate().filter_map(|(place, figure)| Some((place, off((*figure)?))));
    known.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_trial_in_the_middle() {
        assert_eq!(nearest_to_median(&[Some(9.0), None, Some(3.0), Some(1.0)]), Some(2));
        assert_eq!(nearest_to_median(&[None]), None);
    }
}
