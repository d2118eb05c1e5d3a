//! `labctl experiment`.

use std::process::ExitCode;

use labctl::experiment::login::{Options, Progress};
use labctl::experiment::record::Kind;
use labctl::plan::Plan;

use super::call::CallArgs;
use super::measure::Watch;
use super::runtime::RuntimeArgs;
use super::search::SearchArgs;
use super::task::{self, LabArgs, OutputArgs, SweepArgs};

/// Measures something in a lab.
#[derive(Debug, clap::Args)]
pub struct ExperimentArgs {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, clap::Subcommand)]
enum Experiment {
    Login(LoginArgs),
    Search(SearchArgs),
    Call(CallArgs),
}

/// Logs clients in, again and again, and measures time and bytes from outside.
#[derive(Debug, clap::Args)]
struct LoginArgs {
    #[command(flatten)]
    lab: LabArgs,
    #[command(flatten)]
    trials: TrialArgs,
    #[command(flatten)]
    sweep: SweepArgs,
    /// Measure first-time logins only. The default is both kinds.
    #[arg(long, conflicts_with = "subsequent")]
    first_time: bool,
    /// Measure subsequent logins only.
    #[arg(long)]
    subsequent: bool,
}

/// What logins, searches and `reproduce` have in common.
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
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ExperimentArgs {
    /// The runtime that is asked for.
    pub fn runtime(&self) -> RuntimeArgs {
        match &self.experiment {
            Experiment::Login(args) => args.lab.runtime,
            Experiment::Search(args) => args.lab.runtime,
            Experiment::Call(args) => args.lab.runtime,
        }
    }
}

/// Runs `labctl experiment`.
pub async fn run(args: ExperimentArgs) -> anyhow::Result<ExitCode> {
    match args.experiment {
        Experiment::Login(args) => task::run(&args).await,
        Experiment::Search(args) => task::run(&args).await,
        Experiment::Call(args) => super::call::run(args).await,
    }
}

impl task::Experiment for LoginArgs {
    type Task = Options;

    fn lab(&self) -> &LabArgs {
        &self.lab
    }

    fn output(&self) -> &OutputArgs {
        &self.trials.output
    }

    fn sweep(&self) -> &SweepArgs {
        &self.sweep
    }

    fn seed(&self) -> Option<u64> {
        self.trials.seed
    }

    fn task(&self, plan: &Plan, seed: u64) -> anyhow::Result<Options> {
        Ok(self.trials.options(measured(plan), self.kinds(), seed))
    }

    fn show(watch: &Watch, event: Progress) {
        watch.show(event);
    }
}

impl TrialArgs {
    /// What is to be measured, with this seed; `trials` unless the command line says how many.
    pub fn options(&self, trials: u32, kinds: Vec<Kind>, seed: u64) -> Options {
        let trials = self.trials.unwrap_or(trials);
        Options { first: 1, trials, kinds, seed, parallel: self.parallel.map(usize::from) }
    }
}

/// How many clients a plan measures; 1 if none, so that the experiment says what is wrong.
pub fn measured(plan: &Plan) -> u32 {
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
