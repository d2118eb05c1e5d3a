//! `labctl keeper`: the lab's background process. Started by `up`, not by people.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use labctl::keeper::{self, KeptPlan};
use labctl::names::LabName;
use labctl::net::wan::Report;

/// Arguments of `labctl keeper`. The process is found again by these words in this order
/// ([`keeper::find`]).
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The lab.
    #[arg(long)]
    lab: LabName,
    /// File with the lab's plan as JSON, in the lab's directory.
    #[arg(long)]
    plan: PathBuf,
}

/// Keeps a lab until SIGTERM. Says [`keeper::READY`] on standard output when packets pass. Writes the WAN's
/// counters as a line of JSON to standard error on SIGUSR1 and at the end.
///
/// Must be called before any other thread is started: containers end with the thread that started them, and
/// this one stays.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // A session of its own, so that closing the terminal of `labctl up` does not end it. A process group
    // leader cannot have one, and is one only if a shell started it by hand.
    let _ = nix::unistd::setsid();
    let path = arguments.plan.display();
    let file = File::open(&arguments.plan).with_context(|| format!("cannot open the plan {path}"))?;
    let plan: KeptPlan = serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{path} is not a plan; `labctl up` writes it"))?;
    if plan.lab != arguments.lab {
        bail!("{path} is the plan of lab '{}', not of '{}'", plan.lab, arguments.lab);
    }
    let directory = arguments.plan.parent().unwrap_or(Path::new("."));
    Ok(keeper::run(plan, directory, say_ready, write_down)?)
}

fn say_ready() -> io::Result<()> {
    let mut output = io::stdout();
    output.write_all(keeper::READY.as_bytes())?;
    output.flush()
}

/// Into the log, a line each. Nobody reads standard output any more.
fn write_down(report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => eprintln!("{line}"),
        Err(error) => eprintln!("the counters cannot be written: {error}"),
    }
}
