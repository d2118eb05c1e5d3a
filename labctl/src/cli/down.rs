//! `labctl down`.

use std::io::Write as _;
use std::process::ExitCode;

use labctl::lab::{self, Removed};
use labctl::names::LabName;
use labctl::runtime::Runtimes;

use super::progress::Progress;

/// Takes a lab down: its containers, namespaces, background process and files.
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// The lab; not needed if there is only one.
    #[arg(long, value_name = "NAME", add = super::completions::labs())]
    lab: Option<LabName>,
    /// Take down every lab on this machine, also what is left of broken ones.
    #[arg(long, conflicts_with = "lab")]
    all: bool,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `labctl down`.
pub async fn run(args: DownArgs) -> anyhow::Result<ExitCode> {
    let runtime = Runtimes::find().await;
    let progress = Progress::new(args.quiet);
    let removed = if args.all {
        lab::down_all(&runtime, &progress).await?
    } else {
        let name = match args.lab {
            Some(name) => name,
            None => lab::select(&runtime, None).await?.name,
        };
        vec![lab::down(&runtime, &name, &progress).await?]
    };
    let mut out = std::io::stdout().lock();
    if removed.is_empty() {
        writeln!(out, "no lab is up; nothing to take down")?;
    }
    for Removed { lab, containers, namespaces } in removed {
        writeln!(out, "took down lab {lab} ({containers} containers, {namespaces} namespaces)")?;
    }
    Ok(ExitCode::SUCCESS)
}
