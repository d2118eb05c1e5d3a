//! The `labctl` command.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

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
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(args) => cli::up::run(args).await,
        Command::Ps(args) => cli::ps::run(args).await,
        Command::Exec(args) => cli::exec::run(args).await,
        Command::Logs(args) => cli::logs::run(args).await,
        Command::Down(args) => cli::down::run(args).await,
        Command::Doctor(args) => cli::doctor::run(args).await,
    };
    outcome.unwrap_or_else(|error| {
        // Standard error may be closed; then there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
