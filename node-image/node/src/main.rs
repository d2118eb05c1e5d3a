//! What runs in an overlay node's container.

mod arguments;

use std::ffi::OsString;
use std::io::{IsTerminal, Write as _, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use overlay_control::restart::RestartPolicy;
use tracing::level_filters::LevelFilter;

use self::arguments::Command;

/// What the program ends with if its command line is wrong.
const USAGE: u8 = 2;

/// The variable that says what is logged to stderr.
const LOG_VARIABLE: &str = "OVERLAY_LOG";

fn log_level() -> anyhow::Result<LevelFilter> {
    let Some(level) = std::env::var_os(LOG_VARIABLE) else { return Ok(LevelFilter::INFO) };
    level.to_str().and_then(|level| level.parse().ok()).with_context(|| {
        format!("{LOG_VARIABLE} is {}; it can be off, error, warn, info, debug or trace", level.display())
    })
}

fn main() -> ExitCode {
    let directory = match arguments::read(std::env::args_os().skip(1)) {
        Ok(Command::Node(directory)) => directory,
        Ok(Command::Run { directory, restart, program }) => {
            return run_program(&directory, restart, &program);
        }
        Ok(Command::Help) => return print(arguments::HELP),
        Ok(Command::Version) => return print(concat!("overlay-node ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => {
            let _ = writeln!(stderr(), "error: {error}\nmend: see 'overlay-node --help'");
            return ExitCode::from(USAGE);
        }
    };
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

/// Without a log of its own: what is written from here on is the program's.
fn run_program(directory: &Path, restart: RestartPolicy, program: &[OsString]) -> ExitCode {
    let ended = match restart {
        RestartPolicy::No => Err(overlay_node::gate::run(directory, program)),
        policy => overlay_node::restarts::run(directory, policy, program),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(stderr(), "error: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that has gone away wants no more of it.
    let _ = stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn run(directory: &Path) -> anyhow::Result<()> {
    // One thread: a node waits nearly all the time, and a lab has a thousand of them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime can be made")?;
    Ok(runtime.block_on(overlay_node::run(directory))?)
}
