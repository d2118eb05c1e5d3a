//! `labctl experiment`.

use std::path::PathBuf;
use std::process::ExitCode;

use labctl::experiment::login::Options;
use labctl::experiment::record::Kind;
use labctl::experiment::session::{Fresh, Measured, Session};
use labctl::lab::{self, Lab, Programs};
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::report::{Row, find_published, json};
use labctl::runtime::docker::DockerRuntime;

use super::interrupt::interrupted;
use super::measure::{Output, Watch, read_topology};
use super::progress::Progress;

/// Measures something in a lab.
#[derive(Debug, clap::Args)]
pub struct ExperimentArgs {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, clap::Subcommand)]
enum Experiment {
    Login(LoginArgs),
}

/// Logs clients in, again and again, and measures time and bytes from outside.
#[derive(Debug, clap::Args)]
struct LoginArgs {
    /// Topology to make a lab from, which is taken down afterwards; without it, a lab that runs is used.
    topology: Option<PathBuf>,
    /// The lab: the one to use, if several run; with a topology, the name of the one to make.
    #[arg(long, value_name = "NAME")]
    lab: Option<LabName>,
    #[command(flatten)]
    trials: TrialArgs,
    /// Measure first-time logins only. The default is both kinds.
    #[arg(long, conflicts_with = "subsequent")]
    first_time: bool,
    /// Measure subsequent logins only.
    #[arg(long)]
    subsequent: bool,
    /// Leave the lab up that was made from the topology.
    #[arg(long, requires = "topology")]
    keep: bool,
}

/// What `experiment login` and `reproduce` have in common.
#[derive(Debug, clap::Args)]
pub struct TrialArgs {
    /// Trials of each kind. `experiment` makes one on each client that the topology measures, `reproduce` 20
    /// in each set-up.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9999))]
    pub trials: Option<u32>,
    /// Log in so many clients side by side at the most. The default is all that the topology measures; on a
    /// machine with few processors, fewer disturb each other less.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: Option<u16>,
    /// Seed of the trials, in place of the topology's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write the report as JSON to this file; with '-', to standard output, and nothing else there.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Where the records go: a new directory in this one for each run.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
}

/// Runs `labctl experiment`.
pub async fn run(args: ExperimentArgs) -> anyhow::Result<ExitCode> {
    match args.experiment {
        Experiment::Login(args) => login(args).await,
    }
}

async fn login(args: LoginArgs) -> anyhow::Result<ExitCode> {
    let topology =
        args.topology.as_deref().map(|path| read_topology(path, args.lab.as_ref(), args.trials.seed));
    let topology = topology.transpose()?;
    let output = Output::open(args.trials.json.as_deref())?;
    // From here on a signal takes down what was made.
    let interrupt = interrupted()?;
    let runtime = DockerRuntime::connect().await?;
    let watch = Watch::new();
    let report = |plan: &Plan, measured: Measured| {
        watch.finish();
        let published = plan.published.as_deref().and_then(find_published);
        let row = Row::new(plan.lab.as_str(), &measured.records, published);
        output.write(json::LOGIN, &[row], &[measured.directory])
    };
    let options = |plan: &Plan, seed| args.trials.options(measured(plan), args.kinds(), seed);
    let runs = &args.trials.runs;
    if let Some((plan, text)) = &topology {
        let options = options(plan, plan.seed);
        let session = Session { options: &options, runs, topology: Some(text) };
        let progress = Progress::new(false);
        let show = |event| watch.show(event);
        let fresh = Fresh { plan, programs: &Programs::find()?, keep: args.keep };
        let measured = session.on_fresh(fresh, &runtime, &progress, &show, interrupt).await?;
        return report(plan, measured);
    }
    let lab = Lab::of(lab::select(&runtime, args.lab.as_ref()).await?)?;
    let options = options(lab.plan(), args.trials.seed.unwrap_or(lab.plan().seed));
    let session = Session { options: &options, runs, topology: None };
    let measured = session.on_running(&lab, &runtime, &|event| watch.show(event), interrupt).await?;
    report(lab.plan(), measured)
}

impl TrialArgs {
    /// What is to be measured, with this seed; `trials` unless the command line says how many.
    pub fn options(&self, trials: u32, kinds: Vec<Kind>, seed: u64) -> Options {
        let trials = self.trials.unwrap_or(trials);
        Options { trials, kinds, seed, parallel: self.parallel.map(usize::from) }
    }
}

/// How many clients a plan measures; 1 if none, so that the experiment says what is wrong.
fn measured(plan: &Plan) -> u32 {
    let clients = plan.overlay.as_ref().map_or(0, |overlay| overlay.measure.len());
    u32::try_from(clients).unwrap_or(u32::MAX).max(1)
}

impl LoginArgs {
    fn kinds(&self) -> Vec<Kind> {
        match (self.first_time, self.subsequent) {
            (true, _) => vec![Kind::FirstTime],
            (_, true) => vec![Kind::Subsequent],
            _ => vec![Kind::FirstTime, Kind::Subsequent],
        }
    }
}
