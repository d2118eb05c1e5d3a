//! `labctl up`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use labctl::lab::{self, Programs};
use labctl::plan::Plan;
use labctl::runtime::Runtime;
use labctl::runtime::docker::DockerRuntime;

use super::interrupt::interrupted;
use super::progress::Progress;
use super::topology::TopologyArgs;

/// Makes the lab that a topology describes, and returns when every node answers.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// The topology: a YAML file, or the name of a shipped one such as expC.
    topology: PathBuf,
    #[command(flatten)]
    changes: TopologyArgs,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `labctl up`.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(&args.changes.load(&args.topology)?);
    // First of all: from here on a signal rolls back what was made.
    let interrupt = interrupted()?;
    let runtime = match DockerRuntime::connect().await {
        Ok(runtime) => runtime,
        // Say all that is missing at once.
        Err(error) => {
            lab::doctor::examine(Err::<&dyn Runtime, _>(&error), Some(&plan)).await.require()?;
            return Err(error.into());
        }
    };
    let programs = Programs::find()?;
    let progress = Progress::new(args.quiet);
    let made = lab::up(&runtime, &plan, &programs, &progress, interrupt).await?;
    drop(progress);
    let found = lab::select(&runtime, Some(&plan.lab)).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", super::ps::table(&[found]))?;
    writeln!(
        out,
        "lab {}: {} nodes and {} gateways up in {:.1} s; {}",
        plan.lab,
        plan.nodes.len(),
        plan.gateways.len(),
        made.took.as_secs_f64(),
        made.lab.directory().path().display(),
    )?;
    Ok(ExitCode::SUCCESS)
}
