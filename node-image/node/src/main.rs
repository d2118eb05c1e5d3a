//! What runs in an overlay node's container.

use std::ffi::OsString;
use std::io::{IsTerminal, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use overlay_control::DIRECTORY_IN_CONTAINER;
use overlay_control::restart::RestartPolicy;
use tracing::level_filters::LevelFilter;

/// Runs an overlay node: a client, super nodes, or a login server.
///
/// DIR/config.json says what it is, DIR/control.sock (HTTP and JSON) drives it. It ends at SIGTERM.
/// The environment variable `OVERLAY_LOG` (off, error, warn, info, debug, trace) says what is logged to
/// stderr; info if it is not set.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The node's directory.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY_IN_CONTAINER, global = true)]
    directory: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Waits at DIR/gate.sock until the node's network is there, and becomes another program.
    Run {
        /// Whether the program is started again when it ends: no, on-failure or always. This process then
        /// stays, hands signals on, and pauses longer from time to time.
        #[arg(long, value_name = "POLICY", default_value = "no")]
        restart: RestartPolicy,
        /// The program and its arguments, after '--'.
        #[arg(required = true, last = true, value_name = "PROGRAM")]
        program: Vec<OsString>,
    },
}

/// The variable that says what is logged to stderr.
const LOG_VARIABLE: &str = "OVERLAY_LOG";

fn log_level() -> anyhow::Result<LevelFilter> {
    let Some(level) = std::env::var_os(LOG_VARIABLE) else { return Ok(LevelFilter::INFO) };
    level.to_str().and_then(|level| level.parse().ok()).with_context(|| {
        format!("{LOG_VARIABLE} is {}; it can be off, error, warn, info, debug or trace", level.display())
    })
}

fn main() -> ExitCode {
    let Arguments { directory, command } = Arguments::parse();
    if let Some(Command::Run { restart, program }) = command {
        // Without a log of its own: what is written from here on is the program's.
        let ended = match restart {
            RestartPolicy::No => Err(overlay_node::gate::run(&directory, &program)),
            policy => overlay_node::restarts::run(&directory, policy, &program),
        };
        let error = match ended {
            Ok(code) => return ExitCode::from(code),
            Err(error) => error,
        };
        let _ = writeln!(stderr(), "error: {error}");
        return ExitCode::from(error.code());
    }
    let level = log_level();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .with_max_level(*level.as_ref().unwrap_or(&LevelFilter::INFO))
        .init();
    match level.and_then(|_| run(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> anyhow::Result<()> {
    // One thread: a node waits nearly all the time, and a lab has a thousand of them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime can be made")?;
    Ok(runtime.block_on(overlay_node::run(directory))?)
}
