//! `labctl reproduce`.

use std::process::ExitCode;

use futures_util::FutureExt as _;
use labctl::experiment::record::Kind;
use labctl::experiment::session::{Fresh, Session};
use labctl::lab::Programs;
use labctl::report::{Row, find_published, json};
use labctl::runtime::docker::DockerRuntime;

use super::experiment::TrialArgs;
use super::interrupt::interrupted;
use super::measure::{Output, Watch, shipped_topology};
use super::progress::Progress;

/// What is reproduced, in the order of the published table.
const EXPERIMENTS: [&str; 3] = ["expA", "expB", "expC"];

/// Trials in each set-up: enough for a median that another seed does not move out of the range.
const TRIALS: u32 = 20;

/// Measures Exp A, B and C, one lab after another, and prints the table next to the published one.
#[derive(Debug, clap::Args)]
pub struct ReproduceArgs {
    #[command(flatten)]
    trials: TrialArgs,
    /// Exit with a code that is not 0 if a figure is not within the published range.
    #[arg(long)]
    strict: bool,
}

/// Runs `labctl reproduce`.
pub async fn run(args: ReproduceArgs) -> anyhow::Result<ExitCode> {
    let output = Output::open(args.trials.json.as_deref())?;
    let interrupt = interrupted()?.shared();
    let runtime = DockerRuntime::connect().await?;
    let programs = Programs::find()?;
    let (mut rows, mut runs) = (Vec::new(), Vec::new());
    // One after another: side by side, the labs would take processor time from each other.
    for name in EXPERIMENTS {
        let (plan, text) = shipped_topology(name, args.trials.seed)?;
        let options = args.trials.options(TRIALS, vec![Kind::FirstTime, Kind::Subsequent], plan.seed);
        let session = Session { options: &options, runs: &args.trials.runs, topology: Some(text) };
        let (progress, watch) = (Progress::new(false), Watch::new());
        let show = |event| watch.show(event);
        let fresh = Fresh { plan: &plan, programs: &programs, keep: false };
        let measured = session.on_fresh(fresh, &runtime, &progress, &show, interrupt.clone()).await;
        watch.finish();
        let measured = measured?;
        let published = plan.published.as_deref().and_then(find_published);
        rows.push(Row::new(name, &measured.records, published));
        runs.push(measured.directory);
    }
    let code = output.write(json::REPRODUCE, &rows, &runs)?;
    let missed = rows.iter().any(|row| row.verdict().within() != Some(true));
    Ok(if args.strict && missed { ExitCode::FAILURE } else { code })
}
