//! `labctl experiment call`.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use labctl::experiment::RunningLab;
use labctl::experiment::call::{self, CallOptions, Calls, Progress};
use labctl::experiment::session::{Fresh, with_fresh_lab};
use labctl::names::{LabName, NodeName};
use labctl::plan::Plan;
use labctl::profile::Catalogue;
use labctl::report::call as report;
use labctl::report::runs::Rendered;
use labctl::topology::{self, Overrides};

use super::interrupt::interrupted;
use super::measure::{Output, Watch};
use super::progress;
use super::task::{self, LabArgs, OutputArgs, SweepArgs};

/// Name of the lab that the matrix is measured in.
const MATRIX: &str = "callmatrix";

/// Measures a call: which way signalling and media take, and how well it is heard.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    #[command(flatten)]
    pub lab: LabArgs,
    /// Who calls.
    #[arg(long, value_name = "NODE", default_value = "alice")]
    from: NodeName,
    /// Who is called.
    #[arg(long, value_name = "NODE", default_value = "bob")]
    to: NodeName,
    /// How long they talk.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How many calls are made, one after another, between the same two; in a sweep, at each value. More than one gives medians and spread.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000),
          conflicts_with = "matrix")]
    trials: u32,
    /// A WAV file that both say (16 kHz, one channel, 16 bits), in place of the built-in sample.
    #[arg(long, value_name = "WAV")]
    said: Option<PathBuf>,
    /// A call between every pair of the NAT and firewall profiles, in a lab of its own.
    #[arg(long, conflicts_with_all = ["topology", "csv", "sweep", "html"])]
    matrix: bool,
    /// Seed of the logins, in place of the topology's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    sweep: SweepArgs,
}

/// Runs it.
pub async fn run(args: CallArgs) -> anyhow::Result<ExitCode> {
    if args.matrix { matrix(args).await } else { task::run(&args).await }
}

impl task::Experiment for CallArgs {
    type Task = Calls;

    fn lab(&self) -> &LabArgs {
        &self.lab
    }

    fn output(&self) -> &OutputArgs {
        &self.output
    }

    fn sweep(&self) -> &SweepArgs {
        &self.sweep
    }

    fn seed(&self) -> Option<u64> {
        self.seed
    }

    fn task(&self, plan: &Plan, seed: u64) -> anyhow::Result<Calls> {
        let options = CallOptions {
            from: self.from.clone(),
            to: self.to.clone(),
            talk: Duration::from_secs(self.seconds),
            said: self.said.clone(),
            seed,
        };
        call::ends(plan, &options)?;
        Ok(Calls { options, trials: self.trials })
    }

    fn show(watch: &Watch, event: Progress) {
        match event {
            Progress::LoggingIn(clients) => watch.begin("clients log in", clients),
            Progress::Calling(calls) if watch.is_live() => watch.begin("calls", calls),
            Progress::Calling(calls) => watch.note(&format!("{calls} calls, one after another ...")),
            Progress::Client(client, doing) => {
                watch.clients().call(client.as_str(), doing);
                watch.summarise();
            }
            Progress::Ended(number, record) => {
                for client in [&record.from, &record.to] {
                    watch.clients().end(client.as_str(), record.failure.is_some());
                }
                watch.advance();
                match &record.failure {
                    Some(failure) => watch.line(&format!("call {number}: FAILED: {failure}")),
                    None if !watch.is_live() => watch.note(&format!("call {number}: done")),
                    None => {}
                }
            }
        }
    }
}

async fn matrix(args: CallArgs) -> anyhow::Result<ExitCode> {
    let catalogue = Catalogue::shipped();
    let name = args.lab.lab.as_ref().map_or(MATRIX, LabName::as_str);
    let (text, behind) = call::matrix_topology(name, &catalogue);
    let overrides = Overrides { seed: args.seed, ..Overrides::default() };
    let plan = Plan::new(&topology::parse(&text, "matrix.yaml", &catalogue, &overrides)?);
    let output = Output::open(&args.output)?;
    let interrupt = pin!(interrupted()?);
    let runtime = args.lab.runtime.connect().await?;
    let watch = Watch::new(args.output.quiet);
    let begun = std::sync::Once::new();
    let fresh = Fresh { plan: &plan, programs: &args.lab.runtime.programs()?, keep: args.lab.keep };
    let steps = progress::Progress::new(args.output.quiet);
    let calls = with_fresh_lab(fresh, &runtime, &steps, interrupt, async |lab, interrupt| {
        let ground = RunningLab::new(lab, &runtime);
        let progress = |done, all| {
            begun.call_once(|| watch.begin("calls between all pairs", all));
            watch.advance();
            if !watch.is_live() {
                watch.note(&format!("{done} of {all} calls ..."));
            }
        };
        tokio::select! {
            calls = call::run_matrix(&ground, &behind, plan.seed, &progress) => Ok(calls?),
            signal = interrupt => Err(labctl::experiment::session::SessionError::Interrupted(signal)),
        }
    })
    .await?;
    watch.finish();
    let failed = !calls.iter().all(call::Cell::is_right);
    let (json, table) = (report::matrix_json(&behind, &calls), report::matrix_text(&behind, &calls));
    output.write_report(&Rendered { json, table, failed }, &[])
}
