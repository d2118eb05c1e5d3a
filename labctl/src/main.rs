//! The `labctl` command.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use cli::runtime::RuntimeArgs;
use labctl::runtime::{RuntimeChoice, RuntimeKind};
use labctl::world;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Says which events `labctl` writes.
const LOG_VARIABLE: &str = "LABCTL_LOG";

/// A containerized testbed for overlay networks behind NATs and firewalls.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(cli::up::UpArgs),
    Ps(cli::ps::PsArgs),
    Exec(cli::exec::ExecArgs),
    Logs(cli::logs::LogsArgs),
    Down(cli::down::DownArgs),
    Repair(cli::repair::RepairArgs),
    Doctor(cli::doctor::DoctorArgs),
    Experiment(Box<cli::experiment::ExperimentArgs>),
    Reproduce(cli::reproduce::ReproduceArgs),
    Report(cli::report::ReportArgs),
    Runs(cli::runs::RunsArgs),
    Validate(cli::validate::ValidateArgs),
    Plan(cli::plan::PlanArgs),
    Graph(cli::graph::GraphArgs),
    Nat(cli::nat::NatArgs),
    Watch(cli::watch::WatchArgs),
    Top(cli::top::TopArgs),
    Link(cli::link::LinkArgs),
    Partition(cli::link::PartitionArgs),
    Heal(cli::link::HealArgs),
    Keys(cli::keys::KeysArgs),
    Lesson(cli::lesson::LessonArgs),
    Udp(cli::udp::UdpArgs),
    Schema(cli::schema::SchemaArgs),
    Completions(cli::completions::CompletionsArgs),
    Man(cli::man::ManArgs),
    /// The background process of a lab.
    #[command(hide = true)]
    Keeper(cli::keeper::Arguments),
}

impl Command {
    /// True if it makes, changes or looks at labs, which for an ordinary user are in that user's world.
    fn concerns_labs(&self) -> bool {
        match self {
            Self::Validate(_)
            | Self::Report(_)
            | Self::Runs(_)
            | Self::Plan(_)
            | Self::Keys(_)
            | Self::Udp(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Keeper(_) => false,
            Self::Nat(args) => args.concerns_labs(),
            Self::Graph(args) => args.concerns_labs(),
            _ => true,
        }
    }

    /// What the command line says of the runtime.
    fn runtime(&self) -> RuntimeArgs {
        match self {
            Self::Up(args) => args.runtime,
            Self::Experiment(args) => args.runtime(),
            Self::Reproduce(args) => args.runtime,
            Self::Lesson(args) => args.runtime,
            _ => RuntimeArgs::default(),
        }
    }

    /// Goes where this user's labs are. With Docker Engine asked for, that is here.
    fn enter_world(&mut self) -> anyhow::Result<()> {
        if !self.concerns_labs() || !world::is_needed() {
            return Ok(());
        }
        if self.runtime().choice()? == RuntimeChoice::This(RuntimeKind::Docker) {
            return Ok(());
        }
        match (self, world::enter()) {
            // It is there to say what is wrong.
            (Self::Doctor(args), Err(error)) => args.refused = Some(error),
            (_, entered) => entered?,
        }
        Ok(())
    }
}

fn run(mut command: Command) -> anyhow::Result<ExitCode> {
    // While there is one thread: the kernel moves no other process into a user namespace.
    command.enter_world()?;
    // The keeper has an event loop of its own, on the process' first thread.
    if let Command::Keeper(args) = &command {
        return cli::keeper::run(args).map(|()| ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    runtime.block_on(async {
        match command {
            Command::Up(args) => cli::up::run(args).await,
            Command::Ps(args) => cli::ps::run(args).await,
            Command::Exec(args) => cli::exec::run(args).await,
            Command::Logs(args) => cli::logs::run(args).await,
            Command::Down(args) => cli::down::run(args).await,
            Command::Repair(args) => cli::repair::run(args).await,
            Command::Doctor(args) => cli::doctor::run(args).await,
            Command::Experiment(args) => cli::experiment::run(*args).await,
            Command::Reproduce(args) => cli::reproduce::run(args).await,
            Command::Report(args) => cli::report::run(&args),
            Command::Runs(args) => cli::runs::run(&args),
            Command::Validate(args) => cli::validate::run(&args),
            Command::Plan(args) => cli::plan::run(&args),
            Command::Graph(args) => cli::graph::run(&args),
            Command::Nat(args) => cli::nat::run(args).await,
            Command::Watch(args) => cli::watch::run(args).await,
            Command::Top(args) => cli::top::run(args).await,
            Command::Link(args) => cli::link::run(args).await,
            Command::Partition(args) => cli::link::partition(args).await,
            Command::Heal(args) => cli::link::heal(args).await,
            Command::Lesson(args) => cli::lesson::run(args).await,
            Command::Udp(args) => cli::udp::run(&args),
            Command::Keys(args) => cli::keys::run(&args),
            Command::Schema(args) => cli::schema::run(&args),
            Command::Completions(args) => cli::completions::run(&args),
            Command::Man(args) => cli::man::run(&args, Arguments::command()),
            Command::Keeper(_) => unreachable!("it ran above"),
        }
    })
}

/// Answers a shell that asks what could come next, and ends; does nothing otherwise.
fn complete() {
    if std::env::var_os(cli::completions::VARIABLE).is_some_and(|shell| !shell.is_empty()) {
        // A user's labs are in that user's world; where there is none, there are none to offer.
        if world::is_needed() {
            drop(world::enter_existing());
        }
        CompleteEnv::with_factory(Arguments::command).var(cli::completions::VARIABLE).complete();
    }
}

/// Writes events to standard error: those that `LABCTL_LOG` asks for (`debug`, `labctl::net=trace`), else errors.
///
/// # Errors
///
/// When `LABCTL_LOG` is neither a level nor a list of targets with levels.
fn log() -> anyhow::Result<()> {
    let wanted = match std::env::var(LOG_VARIABLE) {
        Ok(list) if !list.is_empty() => list.parse::<Targets>().map_err(|error| {
            anyhow::anyhow!("{LOG_VARIABLE}={list}: {error}\nmend: write a level, or TARGET=LEVEL, as in {LOG_VARIABLE}=labctl=debug")
        })?,
        _ => Targets::new().with_default(LevelFilter::ERROR),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(wanted).init();
    Ok(())
}

fn main() -> ExitCode {
    complete();
    log().and_then(|()| run(Arguments::parse().command)).unwrap_or_else(|error| {
        // Standard error may be closed; then there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
