//! `labctl doctor`.

use std::io::Write as _;
use std::process::ExitCode;

use labctl::lab::doctor::{self, Verdict};
use labctl::runtime::Runtime;
use labctl::runtime::docker::DockerRuntime;

/// Looks whether this machine has what a lab needs, and says what to do where it has not.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `labctl doctor`. Fails if something that labs need is missing.
pub async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let runtime = DockerRuntime::connect().await;
    let runtime = runtime.as_ref().map(|runtime| -> &dyn Runtime { runtime });
    let report = doctor::examine(runtime, None).await;
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
