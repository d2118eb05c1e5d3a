//! `labctl completions`, and what a shell is offered where a name of this machine can stand: labs, nodes, gateways,
//! topologies, profiles.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use clap_complete::env::Shells;
use labctl::experiment::sweep::run_directories;
use labctl::lab::{self, StateDirectory};
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::profile::Catalogue;
use labctl::topology;

/// The variable by which a shell asks for completions.
pub const VARIABLE: &str = "COMPLETE";
const PROGRAM: &str = "labctl";

/// Prints what a shell needs to complete labctl's command line, names of labs and nodes included.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
bash: labctl completions bash > ~/.local/share/bash-completion/completions/labctl
zsh:  labctl completions zsh > a folder of $fpath, as _labctl
fish: labctl completions fish > ~/.config/fish/completions/labctl.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

/// Runs `labctl completions`.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).context("no completions for that shell")?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    super::print(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Names of labs.
pub fn labs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        lab_names().into_iter().map(|lab| CompletionCandidate::new(lab.to_string())).collect()
    })
}

/// Names of nodes, in any lab, or in the one that the command line names.
pub fn nodes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| named(|plan| plan.nodes.iter().map(|node| node.name.to_string()).collect()))
}

/// Names of gateways.
pub fn gateways() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        named(|plan| plan.gateways.iter().map(|gateway| gateway.name.to_string()).collect())
    })
}

/// Names of all that has a network namespace.
pub fn namespaces() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        named(|plan| {
            let nodes = plan.nodes.iter().map(|node| node.name.to_string());
            let gateways = plan.gateways.iter().map(|gateway| gateway.name.to_string());
            nodes.chain(gateways).chain(["wan".to_owned()]).collect()
        })
    })
}

/// Names of NAT and firewall profiles.
pub fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let catalogue = Catalogue::shipped();
        catalogue.nat_names().chain(catalogue.firewall_names()).map(CompletionCandidate::new).collect()
    })
}

/// Files, and names of shipped topologies.
pub fn topologies() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let shipped = topology::shipped().map(|(name, _)| name).filter(|name| begins(name, current));
        let mut candidates: Vec<_> = shipped.map(CompletionCandidate::new).collect();
        candidates.extend(PathCompleter::file().complete(current));
        candidates
    })
}

/// Directories of runs and sweeps: those below `runs`, or below the directory that is written; and any other.
pub fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let mut candidates: Vec<_> =
            offered_runs(current).into_iter().map(CompletionCandidate::new).collect();
        candidates.extend(PathCompleter::dir().complete(current));
        candidates
    })
}

fn offered_runs(current: &std::ffi::OsStr) -> Vec<String> {
    let written = Path::new(current).parent().filter(|parent| !parent.as_os_str().is_empty());
    let found = run_directories(written.unwrap_or(Path::new("runs"))).unwrap_or_default();
    let names = found.into_iter().map(|run| run.display().to_string());
    names.filter(|name| begins(name, current)).collect()
}

/// Files, names of shipped topologies, and labs.
pub fn topologies_and_labs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let labs = lab_names().into_iter().map(|lab| lab.to_string()).filter(|name| begins(name, current));
        let mut candidates: Vec<_> = labs.map(CompletionCandidate::new).collect();
        candidates.extend(topologies().complete(current));
        candidates
    })
}

fn begins(name: &str, current: &std::ffi::OsStr) -> bool {
    current.to_str().is_some_and(|current| name.starts_with(current))
}

/// Labs that have a directory: what a shell asks for at every press of a key must not ask an engine.
fn lab_names() -> Vec<LabName> {
    lab::with_directory().unwrap_or_default()
}

/// The lab that the command line has named so far.
fn named_lab(words: impl IntoIterator<Item = OsString>) -> Option<LabName> {
    let mut words = words.into_iter().filter_map(|word| word.into_string().ok());
    while let Some(word) = words.next() {
        if word == "--lab" {
            return words.next()?.parse().ok();
        }
        if let Some(name) = word.strip_prefix("--lab=") {
            return name.parse().ok();
        }
    }
    None
}

fn named(names: impl Fn(&Plan) -> Vec<String>) -> Vec<CompletionCandidate> {
    let labs = named_lab(std::env::args_os()).map_or_else(lab_names, |lab| vec![lab]);
    let plans = labs.iter().filter_map(|lab| StateDirectory::of(lab).plan().ok().flatten());
    let mut all: Vec<String> = plans.flat_map(|plan| names(&plan)).collect();
    all.sort();
    all.dedup();
    all.into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_that_the_command_line_names_is_found() {
        let lab = |words: &[&str]| named_lab(words.iter().map(OsString::from)).map(|lab| lab.to_string());
        assert_eq!(lab(&["labctl", "exec", "--lab", "expC", ""]), Some("expC".to_owned()));
        assert_eq!(lab(&["labctl", "exec", "--lab=expC", "al"]), Some("expC".to_owned()));
        assert_eq!(lab(&["labctl", "exec", "al"]), None);
        assert_eq!(lab(&["labctl", "exec", "--lab"]), None);
    }

    #[test]
    fn directories_of_runs_are_offered_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [("one", "run.json"), ("two", "sweep.json"), ("other", "notes.txt")] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(file), "").unwrap();
        }
        let begun = folder.path().join("o");
        let offered = offered_runs(begun.as_os_str());
        assert_eq!(offered, [folder.path().join("one").display().to_string()]);
    }

    #[test]
    fn shipped_topologies_are_offered_by_their_names() {
        let offered = topologies().complete("expA".as_ref());
        assert!(offered.iter().any(|candidate| candidate.get_value() == "expA"), "{offered:?}");
    }
}
