//! What all experiments have in common on the command line: a lab, options, a report, sweeps.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use labctl::experiment::recorded::RecordedRun;
use labctl::experiment::session::{Fresh, Session, Task};
use labctl::experiment::sweep::{self, Points, RecordedSweep, Sweep, SweepSession};
use labctl::lab::{self, Lab};
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::report::runs::{render, render_sweep};
use labctl::runtime::Runtimes;
use labctl::topology::Setting;

use super::interrupt::interrupted;
use super::measure::{Output, Watch, load_plan, open_page, read_topology, style};
use super::progress;
use super::runtime::RuntimeArgs;

/// The lab that an experiment is made in.
#[derive(Debug, clap::Args)]
pub struct LabArgs {
    /// Topology to make a lab from, which is taken down afterwards; without it, a lab that runs is used.
    #[arg(add = super::completions::topologies())]
    pub topology: Option<PathBuf>,
    /// The lab: the one to use, if several run; with a topology, the name of the one to make.
    #[arg(long, value_name = "NAME", add = super::completions::labs())]
    pub lab: Option<LabName>,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Leave the lab up that was made from the topology.
    #[arg(long)]
    pub keep: bool,
}

/// Where the report and the records go.
#[derive(Debug, clap::Args)]
pub struct OutputArgs {
    /// Write the report as JSON to this file; with '-', to standard output, and nothing else there.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Write every trial as a row of CSV to this file, too.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Show no progress; failures are shown.
    #[arg(short, long)]
    pub quiet: bool,
    /// Where the records go: a new directory in this one for each run.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
}

/// The experiment at several values of one parameter.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "it is shown in a terminal as it is")]
pub struct SweepArgs {
    /// Measure at several values of one parameter, with the same seeds at each: 'loss=0,1,2,5,10%',
    /// 'alice.delay=0..200ms/50ms', 'stale=0,45,60%', 'overlay.host_cache.entries=20,50,200'. It is a property of access
    /// links (those that 'labctl link set' has): of the clients that are measured, or of the one that is named; or a value
    /// of the topology, by the keys that lead to it.
    #[arg(long, value_name = "WHAT=VALUES", verbatim_doc_comment)]
    pub sweep: Option<Sweep>,
    /// Write the report as a page of HTML to this file, too; of a sweep with its curves.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// An experiment as the command line asks for it.
pub trait Experiment {
    /// What it does on a lab.
    type Task: Task;

    /// The lab.
    fn lab(&self) -> &LabArgs;
    /// Where everything goes.
    fn output(&self) -> &OutputArgs;
    /// The sweep, if it is one.
    fn sweep(&self) -> &SweepArgs;
    /// The seed that the command line gives.
    fn seed(&self) -> Option<u64>;
    /// What to do on a lab with this plan, with this seed.
    fn task(&self, plan: &Plan, seed: u64) -> anyhow::Result<Self::Task>;
    /// Shows what goes on.
    fn show(watch: &Watch, event: <Self::Task as Task>::Progress);
}

/// Runs an experiment from the command line to the report.
pub async fn run<E: Experiment>(args: &E) -> anyhow::Result<ExitCode> {
    let LabArgs { topology, lab, runtime, keep } = args.lab();
    if *keep && topology.is_none() {
        bail!("--keep is for a lab that is made, and there is none to make; name a topology");
    }
    let made = topology.as_deref().map(|path| read_topology(path, lab.as_ref(), args.seed()));
    let made = made.transpose()?;
    // What is wrong with the options is told before a lab is made.
    let planned = match (&made, topology) {
        (Some((plan, _)), Some(path)) => {
            let task = args.task(plan, plan.seed)?;
            let replan =
                |setting: &Setting| load_plan(path, lab.as_ref(), args.seed(), vec![setting.clone()]);
            let points = args
                .sweep()
                .sweep
                .as_ref()
                .map(|sweep| Points::new(sweep, plan.clone(), &task.measured(plan), Some(&replan)));
            Some((task, points.transpose()?))
        }
        _ => None,
    };
    let output = Output::open(args.output())?;
    let page = open_page(args.sweep().html.as_deref())?;
    // From here on a signal takes down what was made.
    let interrupt = interrupted()?;
    let chosen = *runtime;
    let runtime = match made {
        Some(_) => runtime.connect().await?,
        None => Runtimes::find().await,
    };
    let watch = Watch::new(args.output().quiet);
    let show = |event| E::show(&watch, event);
    let show_sweep = |event| show_sweep::<E>(&watch, event);
    let runs = args.output().runs.as_path();
    let topology = made.as_ref().map(|(_, text)| text.as_str());
    if let (Some((plan, _)), Some((task, points))) = (&made, planned) {
        let progress = progress::Progress::new(args.output().quiet);
        let programs = &chosen.programs()?;
        let directory = if let Some(points) = &points {
            let session = SweepSession { options: &task, runs, topology, points };
            session.on_fresh(programs, *keep, &runtime, &progress, &show_sweep, interrupt).await?
        } else {
            let session = Session { options: &task, runs, topology };
            let fresh = Fresh { plan, programs, keep: *keep };
            session.on_fresh(fresh, &runtime, &progress, &show, interrupt).await?.directory
        };
        watch.finish();
        return report(&output, page, &directory);
    }
    let lab = Lab::of(lab::select(&runtime, lab.as_ref()).await?)?;
    let task = args.task(lab.plan(), args.seed().unwrap_or(lab.plan().seed))?;
    let directory = if let Some(sweep) = &args.sweep().sweep {
        let base = sweep::plan_now(&lab).await?;
        let points = Points::new(sweep, base, &task.measured(lab.plan()), None)?;
        let session = SweepSession { options: &task, runs, topology, points: &points };
        session.on_running(&lab, &runtime, &show_sweep, interrupt).await?
    } else {
        let session = Session { options: &task, runs, topology };
        session.on_running(&lab, &runtime, &show, interrupt).await?.directory
    };
    watch.finish();
    report(&output, page, &directory)
}

/// The report of a run or of a sweep, made from its records.
fn report(output: &Output, page: Option<PathBuf>, directory: &Path) -> anyhow::Result<ExitCode> {
    if let Some(path) = page {
        super::report::write(&[directory.to_owned()], &path)?;
    }
    if RecordedSweep::is_at(directory) {
        let sweep = RecordedSweep::read(directory)?;
        return output.write_sweep(&render_sweep(&sweep, style()), &sweep);
    }
    let run = RecordedRun::read(directory)?;
    output.write_report(&render(&run, style()), std::slice::from_ref(&run))
}

fn show_sweep<E: Experiment>(watch: &Watch, event: sweep::Progress<<E::Task as Task>::Progress>) {
    match event {
        sweep::Progress::Point { number, points, what } => {
            watch.note(&format!("point {number} of {points}: {what}"));
        }
        sweep::Progress::Failed(why) => watch.line(&format!("FAILED: {why}")),
        sweep::Progress::Of(event) => E::show(watch, event),
    }
}
