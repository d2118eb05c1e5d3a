//! `labctl doctor`.

use std::io::Write as _;
use std::process::ExitCode;

use labctl::lab::doctor::{self, Verdict};
use labctl::runtime::Runtimes;
use labctl::world::WorldError;

/// Looks whether this machine has what a lab needs, and says what to do where it has not.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Why this user's namespaces could not be entered, if so.
    #[arg(skip)]
    pub refused: Option<WorldError>,
}

/// Runs `labctl doctor`. Fails if something that labs need is missing.
pub async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = doctor::examine_machine(&Runtimes::find().await, args.refused.as_ref()).await;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        for check in &report.checks {
            let mark = match check.verdict {
                Verdict::Good { .. } => "ok     ",
                Verdict::Warning { .. } => "warning",
                Verdict::Missing { .. } => "MISSING",
            };
            writeln!(out, "{mark}  {check}")?;
        }
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
