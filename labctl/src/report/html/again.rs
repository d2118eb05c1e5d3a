//! The part of the page that says how to measure all of it again: commands, seeds, versions.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::material::{Calls, Material, Origin, Searches, SetUp};
use super::parts;
use crate::experiment::recorded::{Circumstances, Description};
use crate::topology::shipped;

/// A text topology's file where it is none of those that come with labctl.
const OWN: &str = "lab.yaml";

/// Commands, seeds and versions.
pub fn again(material: &Material) -> Markup {
    let versions: BTreeSet<String> = material
        .origins()
        .map(|Origin { description: said, .. }| {
            format!("labctl {}, {}, {}", said.labctl, said.kernel, said.engine)
        })
        .collect();
    let commands: Vec<String> = (material.logins.iter().filter_map(login))
        .chain(material.searches.iter().filter_map(search))
        .chain(material.calls.iter().filter_map(call))
        .collect();
    let rows = html! {
        @for origin in material.origins() {
            @let said = origin.description;
            tr {
                th scope="row" { (origin.set_up) }
                td { (said.experiment) }
                td { code { (origin.directory.file_name().unwrap_or_default().to_string_lossy()) } }
                td { (said.started) }
                td.number { (said.seed) }
                td.number { (said.trials) }
                td.number { (said.parallel.map_or("all".to_owned(), |most| most.to_string())) }
                td { code { (said.plan_sha256) } }
            }
        }
    };
    let columns = [
        "set-up",
        "experiment",
        "run",
        "started",
        "seed",
        "trials",
        "side by side at most",
        "SHA-256 of the plan",
    ];
    html! {
        section aria-labelledby="again" {
            h2 id="again" { "To measure it again" }
            @if !commands.is_empty() {
                pre tabindex="0" { code { (commands.join("\n")) } }
            }
            @if commands.iter().any(|command| command.contains(OWN)) {
                p {
                    code { (OWN) } " is the text at " code { "topology" } " in " code { "run.json" } " of the run's directory: "
                    code { "jq -r .topology run.json > " (OWN) }
                }
            }
            p {
                "Each run's directory holds the topology, the plan and every trial's record in " code { "run.json" } " and files \
                beside it. The same topology and seed give the same plan, byte for byte, and the same choices of every node."
            }
            ul { @for version in versions { li { (version) } } }
            (parts::table("again", "Runs. Times are UTC; trials are of each kind.", &columns, &rows))
        }
    }
}

/// A shipped topology by its name, any other by a file's; `None` if nobody wrote down what the lab was made from.
fn topology(circumstances: &Circumstances) -> Option<&'static str> {
    let text = circumstances.topology.as_deref()?;
    Some(shipped().find(|(_, shipped)| *shipped == text).map_or(OWN, |(name, _)| name))
}

/// The beginning that all commands have. `runs` are those of one set-up.
fn command(experiment: &str, runs: &[&Description], circumstances: &Circumstances) -> Option<String> {
    let (first, topology) = (runs.first()?, topology(circumstances)?);
    // Runs of one seed are shares of one experiment's trials; others are experiments of their own.
    let trials: u32 = runs.iter().filter(|run| run.seed == first.seed).map(|run| run.trials).sum();
    let parallel = first.parallel.map_or_else(String::new, |most| format!(" --parallel {most}"));
    Some(format!(
        "labctl experiment {experiment} {topology} --trials {trials} --seed {}{parallel}",
        first.seed
    ))
}

fn login(set_up: &SetUp) -> Option<String> {
    let runs: Vec<_> = set_up.runs.iter().map(|run| &run.description).collect();
    let circumstances = &set_up.runs.first()?.circumstances;
    let kind = match circumstances.kinds.as_slice() {
        [kind] => format!(" --{kind}"),
        _ => String::new(),
    };
    command("login", &runs, circumstances).map(|command| command + &kind)
}

fn search(searches: &Searches) -> Option<String> {
    let runs: Vec<_> = searches.runs.iter().map(|run| &run.description).collect();
    let circumstances = &searches.runs.first()?.circumstances;
    let users: BTreeSet<_> = searches.records().map(|record| &record.user).collect();
    let cases: Vec<_> = circumstances.kinds.iter().map(String::as_str).collect();
    let cases = match (cases.as_slice(), users.first()) {
        (["unknown"], _) => " --missing".to_owned(),
        (["cold", "warm"], Some(user)) if users.len() == 1 => format!(" --user {user}"),
        (["cold", "warm"], _) => " --mutual".to_owned(),
        _ => String::new(),
    };
    command("search", &runs, circumstances).map(|command| command + &cases)
}

fn call(calls: &Calls) -> Option<String> {
    let runs: Vec<_> = calls.runs.iter().map(|run| &run.description).collect();
    let circumstances = &calls.runs.first()?.circumstances;
    let talk =
        calls.records().find_map(|call| call.talk_s).map_or_else(String::new, |s| format!(" --seconds {s}"));
    command("call", &runs, circumstances)
        .map(|command| format!("{command} --from {} --to {}{talk}", calls.from, calls.to))
}
