//! `labctl keys`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use labctl::session_keys;

/// Writes the session keys of a run's captures, with which Wireshark decrypts them (docs/wireshark).
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// The directory of a run: what an experiment prints behind 'records:'.
    run: PathBuf,
    /// Write to this file in place of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `labctl keys`.
pub fn run(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    let keys = session_keys::of_run(&args.run)?;
    match &args.output {
        Some(path) => {
            std::fs::write(path, &keys.text).with_context(|| format!("cannot write {}", path.display()))?;
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "{}: keys of {} requests in {} captures",
                path.display(),
                keys.requests,
                keys.captures
            )?;
        }
        None => super::print(keys.text.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
