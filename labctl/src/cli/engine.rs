//! `labctl engine`: the lab's background process. Started by `up`, not by people.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use labctl::names::LabName;
use labctl::net::wan;
use labctl::plan::Plan;

/// Arguments of `labctl engine`. The process is found again by these words in this order
/// ([`wan::find_engine`]).
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The lab.
    #[arg(long)]
    lab: LabName,
    /// File with the lab's plan as JSON.
    #[arg(long)]
    plan: PathBuf,
}

/// Delays the packets of a lab's WAN until SIGTERM. Says [`wan::READY`] on standard output when it does.
/// Writes its counters as a line of JSON to standard error on SIGUSR1 and at the end.
///
/// Must be called before any other thread is started: it takes the process's signals.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // A session of its own, so that closing the terminal of `labctl up` does not end it. A process group
    // leader cannot have one, and is one only if a shell started it by hand.
    let _ = nix::unistd::setsid();
    let path = arguments.plan.display();
    let file = File::open(&arguments.plan).with_context(|| format!("cannot open the plan {path}"))?;
    let plan: Plan = serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{path} is not a plan; `labctl up` writes it"))?;
    if plan.lab != arguments.lab {
        bail!("{path} is the plan of lab '{}', not of '{}'", plan.lab, arguments.lab);
    }
    let ready = || {
        let mut output = io::stdout();
        output.write_all(wan::READY.as_bytes())?;
        output.flush()
    };
    // Into the log, a line each. Nobody reads standard output any more.
    let report = |report: &wan::engine::Report| match serde_json::to_string(report) {
        Ok(line) => eprintln!("{line}"),
        Err(error) => eprintln!("the counters cannot be written: {error}"),
    };
    wan::engine::run(&plan.wan, ready, report)?;
    Ok(())
}
