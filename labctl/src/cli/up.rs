//! `labctl up`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use labctl::lab;
use labctl::plan::Plan;
use labctl::runtime::Runtime as _;

use super::interrupt::interrupted;
use super::progress::Progress;
use super::runtime::RuntimeArgs;
use super::topology::TopologyArgs;

/// Makes the lab that a topology describes, and returns when every node answers.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// The topology: a YAML file, or the name of a shipped one such as expC.
    #[arg(add = super::completions::topologies())]
    topology: PathBuf,
    #[command(flatten)]
    changes: TopologyArgs,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `labctl up`.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(&args.changes.load(&args.topology)?);
    // First of all: from here on a signal rolls back what was made.
    let interrupt = interrupted()?;
    let runtime = match args.runtime.connect().await {
        Ok(runtime) => runtime,
        // Say all that is missing at once.
        Err(error) => {
            lab::doctor::examine(Err(&error), &plan).await.require()?;
            return Err(error.into());
        }
    };
    let programs = args.runtime.programs()?;
    let progress = Progress::new(args.quiet);
    let made = lab::up(&runtime, &plan, &programs, &progress, interrupt).await?;
    drop(progress);
    // Its time 0 is when the lab is up.
    lab::Wan::open(&made.lab).await?.start_schedule().await?;
    let found = lab::select(&runtime, Some(&plan.lab)).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", super::ps::table(&[found]))?;
    writeln!(
        out,
        "lab {} ({}): {} nodes and {} gateways up in {:.1} s; {}",
        plan.lab,
        runtime.kind(),
        plan.nodes.len(),
        plan.gateways.len(),
        made.took.as_secs_f64(),
        made.lab.directory().path().display(),
    )?;
    if let (steps @ 1.., Some(last)) = (plan.schedule.len(), plan.schedule.last()) {
        let end = humantime::format_duration(last.at);
        let plural = if steps == 1 { "" } else { "s" };
        writeln!(out, "its schedule has begun: {steps} step{plural}, the last at {end}")?;
    }
    Ok(ExitCode::SUCCESS)
}
