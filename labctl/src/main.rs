//! The `labctl` command.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

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
    Doctor(cli::doctor::DoctorArgs),
    Experiment(cli::experiment::ExperimentArgs),
    Reproduce(cli::reproduce::ReproduceArgs),
    Validate(cli::validate::ValidateArgs),
    Plan(cli::plan::PlanArgs),
    Nat(cli::nat::NatArgs),
    /// The background process of a lab.
    #[command(hide = true)]
    Engine(cli::engine::Arguments),
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    // The engine takes the process's signals, which it can only while there is one thread.
    if let Command::Engine(args) = &command {
        return cli::engine::run(args).map(|()| ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    runtime.block_on(async {
        match command {
            Command::Up(args) => cli::up::run(args).await,
            Command::Ps(args) => cli::ps::run(args).await,
            Command::Exec(args) => cli::exec::run(args).await,
            Command::Logs(args) => cli::logs::run(args).await,
            Command::Down(args) => cli::down::run(args).await,
            Command::Doctor(args) => cli::doctor::run(args).await,
            Command::Experiment(args) => cli::experiment::run(args).await,
            Command::Reproduce(args) => cli::reproduce::run(args).await,
            Command::Validate(args) => cli::validate::run(&args),
            Command::Plan(args) => cli::plan::run(&args),
            Command::Nat(args) => cli::nat::run(args).await,
            Command::Engine(_) => unreachable!("it ran above"),
        }
    })
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("LABCTL_LOG"))
        .with_writer(std::io::stderr)
        .init();
    run(Arguments::parse().command).unwrap_or_else(|error| {
        // Standard error may be closed; then there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
