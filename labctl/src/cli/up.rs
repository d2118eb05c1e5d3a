//! `labctl up`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use labctl::lab::{self, Programs};
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::profile::Catalogue;
use labctl::runtime::Runtime;
use labctl::runtime::docker::DockerRuntime;
use labctl::topology::{self, Overrides, Setting};

use super::interrupt::interrupted;
use super::progress::Progress;

/// Makes the lab that a topology describes, and returns when every node answers.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// The topology, a YAML file.
    topology: PathBuf,
    /// Name of the lab, in place of the one in the file.
    #[arg(long, value_name = "NAME")]
    name: Option<LabName>,
    /// Seed of everything random, in place of the one in the file.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Another value in place of the one in the file, as 'overlay.host_cache.stale=10%'.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `labctl up`.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let plan = plan_of(&args)?;
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

fn plan_of(args: &UpArgs) -> anyhow::Result<Plan> {
    let overrides = Overrides { name: args.name.clone(), seed: args.seed, set: args.set.clone() };
    let topology = topology::load(&args.topology, &Catalogue::shipped(), &overrides)?;
    Ok(Plan::new(&topology))
}
