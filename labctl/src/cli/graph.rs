//! `labctl graph`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use labctl::graph::{Picture, dot, mermaid, svg};
use labctl::lab::StateDirectory;
use labctl::names::LabName;
use labctl::plan::Plan;

use super::topology::TopologyArgs;

/// Draws a topology or a running lab: who is where, behind which NAT and firewall.
#[derive(Debug, clap::Args)]
pub struct GraphArgs {
    /// The topology: a YAML file, or the name of a shipped one such as expC; or the name of a running lab.
    #[arg(add = super::completions::topologies_and_labs())]
    what: PathBuf,
    /// The form of the picture.
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,
    /// Write to this file in place of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    changes: TopologyArgs,
}

impl GraphArgs {
    /// True if it may be a running lab that is to be drawn.
    #[must_use]
    pub fn concerns_labs(&self) -> bool {
        !self.what.exists()
    }
}

/// The forms of a picture.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// A picture of its own.
    Svg,
    /// For Markdown pages.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// Runs `labctl graph`.
///
/// # Errors
///
/// If there is neither such a topology nor such a lab, or the picture cannot be written.
pub fn run(args: &GraphArgs) -> anyhow::Result<ExitCode> {
    let picture = Picture::of(&plan(args)?);
    let text = match args.format {
        Format::Svg => svg(&picture),
        Format::Mermaid => mermaid(&picture),
        Format::Dot => dot(&picture),
    };
    match &args.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?,
        None => match std::io::stdout().lock().write_all(text.as_bytes()) {
            // `labctl graph FILE | head` has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan of a running lab if there is one of that name and no such file, else that of the topology.
fn plan(args: &GraphArgs) -> anyhow::Result<Plan> {
    match running(&args.what) {
        Some(plan) => Ok(plan),
        None => Ok(Plan::new(&args.changes.load(&args.what)?)),
    }
}

fn running(what: &Path) -> Option<Plan> {
    if what.exists() {
        return None;
    }
    let name: LabName = what.to_str()?.parse().ok()?;
    // Another user's labs cannot be looked at; then it may still be the name of a topology.
    StateDirectory::of(&name).plan().ok().flatten()
}
