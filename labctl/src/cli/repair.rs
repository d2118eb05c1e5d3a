//! `labctl repair`.

use std::io::Write as _;
use std::process::ExitCode;

use labctl::lab::{self, Programs, Repaired};
use labctl::names::LabName;
use labctl::runtime::Runtimes;

/// Brings the WAN of a lab back whose engine has ended; nodes are left as they are.
#[derive(Debug, clap::Args)]
pub struct RepairArgs {
    /// The lab; not needed if there is only one.
    #[arg(value_name = "LAB")]
    lab: Option<LabName>,
}

/// Runs `labctl repair`.
pub async fn run(args: RepairArgs) -> anyhow::Result<ExitCode> {
    let runtime = Runtimes::find().await;
    let lab = lab::select(&runtime, args.lab.as_ref()).await?.name;
    let said = match lab::repair(&runtime, &lab, &Programs::find()?).await? {
        Repaired::Nothing => "its WAN works; there was nothing to do",
        Repaired::Engine => "its WAN works again, with the links of its plan",
        Repaired::Keeper => "its keeper was started again, and its WAN works with the links of its plan",
    };
    writeln!(std::io::stdout(), "lab {lab}: {said}")?;
    Ok(ExitCode::SUCCESS)
}
