//! The `labctl` command.

mod cli;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Labctl {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The background process of a lab.
    #[command(hide = true)]
    Engine(cli::engine::Arguments),
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Labctl::parse().command {
        Command::Engine(arguments) => cli::engine::run(&arguments),
    }
}
