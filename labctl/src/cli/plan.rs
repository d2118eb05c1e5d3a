//! `labctl plan`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use labctl::plan::Plan;

use super::topology::TopologyArgs;

/// Prints all that `up` would make: names, addresses, links, rules. Changes nothing.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The topology: a YAML file, or the name of a shipped one such as expC.
    #[arg(add = super::completions::topologies())]
    topology: PathBuf,
    #[command(flatten)]
    changes: TopologyArgs,
    /// Print JSON in place of YAML.
    #[arg(long)]
    json: bool,
}

/// Runs `labctl plan`.
///
/// # Errors
///
/// If the topology is not valid, or standard output cannot be written to.
pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(&args.changes.load(&args.topology)?);
    let text = if args.json { serde_json::to_string_pretty(&plan)? } else { serde_yaml::to_string(&plan)? };
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        // `labctl plan FILE | head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(ExitCode::SUCCESS)
}
