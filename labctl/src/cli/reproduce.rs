//! `labctl reproduce`.

use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use labctl::experiment::login::{Options, Progress as Event};
use labctl::experiment::record::{Kind, TrialRecord};
use labctl::experiment::session::{Fresh, Measured, Session, SessionError};
use labctl::experiment::shares::shares;
use labctl::lab::Programs;
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::report::{Row, find_published, json};
use labctl::runtime::{Runtime as _, RuntimeKind, Runtimes};

use super::experiment::{TrialArgs, measured};
use super::interrupt::interrupted;
use super::measure::{Output, Watch, open_page, shipped_topology};
use super::progress::Progress;
use super::runtime::RuntimeArgs;

/// What is reproduced, in the order of the published table.
const EXPERIMENTS: [&str; 3] = ["expA", "expB", "expC"];

/// Trials in each set-up: enough for a median that another seed does not move out of the range.
const TRIALS: u32 = 20;

/// Labs of a set-up at most where the command line does not say how many. More of them would make their keys at
/// the same moments, on few processors.
const MOST_LABS: u32 = 3;

/// Measures Exp A, B and C, and prints the table next to the published one.
///
/// With Docker Engine one lab after another. Without a daemon labs cost little: all set-ups run side by side, each in
/// as many labs as it takes for every client to be measured once.
#[derive(Debug, clap::Args)]
pub struct ReproduceArgs {
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    #[command(flatten)]
    trials: TrialArgs,
    /// Labs of each set-up, side by side, which the trials are divided among.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    labs: Option<u32>,
    /// Write the report as a page of HTML to this file, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Exit with a code that is not 0 if a figure is not within the published range.
    #[arg(long)]
    strict: bool,
}

type Logins = Measured<Vec<TrialRecord>>;

/// The part of the work that is done in one lab.
struct Job {
    experiment: &'static str,
    plan: Plan,
    text: &'static str,
    options: Options,
}

/// What is the same for all of it.
struct Work<'a> {
    args: &'a ReproduceArgs,
    runtime: &'a Runtimes,
    programs: &'a Programs,
}

/// Runs `labctl reproduce`.
pub async fn run(args: ReproduceArgs) -> anyhow::Result<ExitCode> {
    let output = Output::open(&args.trials.output)?;
    let page = open_page(args.html.as_deref())?;
    let interrupt = interrupted()?.shared();
    let runtime = args.runtime.connect().await?;
    let work = Work { args: &args, runtime: &runtime, programs: &args.runtime.programs()? };
    let set_ups = EXPERIMENTS.into_iter().map(|name| work.jobs(name)).collect::<Result<Vec<_>, _>>()?;
    let waves = if side_by_side(&runtime) { vec![set_ups.into_iter().flatten().collect()] } else { set_ups };
    let mut results = Vec::new();
    for wave in waves {
        results.extend(work.wave(wave, &interrupt).await?);
    }
    let rows: Vec<Row> = EXPERIMENTS.into_iter().map(|name| row(name, &results)).collect::<Result<_, _>>()?;
    let runs: Vec<_> = results.into_iter().map(|(_, measured)| measured.directory).collect();
    let code = output.write(json::REPRODUCE, &rows, &runs)?;
    if let Some(path) = &page {
        super::report::write(&runs, path)?;
    }
    let missed = rows.iter().any(|row| row.verdict().within() != Some(true));
    Ok(if args.strict && missed { ExitCode::FAILURE } else { code })
}

/// Containers of Docker's take seconds of processor time at their start, those of labctl's own do not.
fn side_by_side(runtime: &Runtimes) -> bool {
    runtime.kind() == RuntimeKind::Embedded
}

fn row(name: &'static str, results: &[(&'static str, Logins)]) -> anyhow::Result<Row> {
    let of_it = results.iter().filter(|(experiment, _)| *experiment == name);
    let records: Vec<_> = of_it.flat_map(|(_, measured)| measured.records.iter().cloned()).collect();
    let (plan, _) = shipped_topology(name, None)?;
    Ok(Row::new(name, &records, plan.published.as_deref().and_then(find_published)))
}

impl Work<'_> {
    /// The labs of a set-up, each with its share of the trials.
    fn jobs(&self, experiment: &'static str) -> anyhow::Result<Vec<Job>> {
        let (plan, text) = shipped_topology(experiment, self.args.trials.seed)?;
        let kinds = vec![Kind::FirstTime, Kind::Subsequent];
        let all = self.args.trials.options(TRIALS, kinds, plan.seed);
        let enough = || {
            let several = side_by_side(self.runtime);
            if several { all.trials.div_ceil(measured(&plan)).min(MOST_LABS) } else { 1 }
        };
        let labs = (1..).zip(shares(all.trials, self.args.labs.unwrap_or_else(enough)));
        labs.map(|(number, share)| {
            let name: Option<LabName> =
                (number > 1).then(|| format!("{experiment}n{number}").parse()).transpose()?;
            let (plan, text) = match &name {
                Some(name) => super::measure::shipped_topology_as(experiment, name, self.args.trials.seed)?,
                None => (plan.clone(), text),
            };
            let options = Options { first: share.first, trials: share.trials, ..all.clone() };
            Ok(Job { experiment, plan, text, options })
        })
        .collect()
    }

    fn session<'a>(&'a self, job: &'a Job) -> (Session<'a, Options>, Fresh<'a>) {
        let session =
            Session { options: &job.options, runs: &self.args.trials.output.runs, topology: Some(job.text) };
        (session, Fresh { plan: &job.plan, programs: self.programs, keep: false })
    }

    /// One lab with all that it does, or several side by side with what comes of them.
    async fn wave(
        &self,
        jobs: Vec<Job>,
        interrupt: &(impl Future<Output = &'static str> + Clone),
    ) -> Result<Vec<(&'static str, Logins)>, SessionError> {
        match &jobs[..] {
            [job] => Ok(vec![(job.experiment, self.alone(job, interrupt.clone()).await?)]),
            _ => self.at_once(&jobs, interrupt).await,
        }
    }

    async fn alone(
        &self,
        job: &Job,
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<Logins, SessionError> {
        let quiet = self.args.trials.output.quiet;
        let (progress, watch) = (Progress::new(quiet), Watch::new(quiet));
        let show = |event| watch.show(event);
        let (session, fresh) = self.session(job);
        let measured = session.on_fresh(fresh, self.runtime, &progress, &show, interrupt).await;
        watch.finish();
        measured
    }

    /// Every job in a lab of its own, at the same time. All come to their end, with their labs taken down, before
    /// the first error is told.
    async fn at_once(
        &self,
        jobs: &[Job],
        interrupt: &(impl Future<Output = &'static str> + Clone),
    ) -> Result<Vec<(&'static str, Logins)>, SessionError> {
        let watch = Watch::new(self.args.trials.output.quiet);
        let trials: u32 = jobs.iter().map(|job| job.options.trials * 2).sum();
        watch.begin(&format!("trials in {} labs", jobs.len()), trials as usize);
        let measured = join_all(jobs.iter().map(|job| async {
            let show = |event| show(&watch, job.experiment, event);
            let (session, fresh) = self.session(job);
            let quiet = Progress::new(true);
            let measured = session.on_fresh(fresh, self.runtime, &quiet, &show, interrupt.clone()).await;
            measured.map(|measured| (job.experiment, measured))
        }))
        .await;
        watch.finish();
        measured.into_iter().collect()
    }
}

/// Shows what happens in one of several labs.
fn show(watch: &Watch, experiment: &str, event: Event) {
    let record = match event {
        Event::Ended(record) => record,
        Event::Client(client, doing) => {
            watch.clients().login(&format!("{experiment}: {client}"), doing);
            return watch.summarise();
        }
        _ => return,
    };
    watch.clients().end(&format!("{experiment}: {}", record.client), record.failure.is_some());
    watch.advance();
    let name = format!("{experiment}: {} {}", record.kind.as_str(), record.trial);
    match (&record.failure, record.login_s) {
        (Some(failure), _) => watch.line(&format!("{name}: FAILED: {}", failure.detail)),
        (None, Some(seconds)) if !watch.is_live() => {
            watch.note(&format!("{name}: logged in after {seconds:.2} s"));
        }
        _ => {}
    }
}
