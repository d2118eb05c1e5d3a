//! `labctl logs`.

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Context as _;
use futures_util::stream::StreamExt as _;
use labctl::lab;
use labctl::names::LabName;
use labctl::runtime::{Output, Runtime as _, Runtimes};

/// Shows what a node has written to its standard output and standard error.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// The lab; not needed if there is only one.
    #[arg(long, value_name = "NAME", add = super::completions::labs())]
    lab: Option<LabName>,
    /// The node.
    #[arg(add = super::completions::nodes())]
    node: String,
    /// Go on with what the node writes from now on, until it ends.
    #[arg(short, long)]
    follow: bool,
}

/// Runs `labctl logs`.
pub async fn run(args: LogsArgs) -> anyhow::Result<ExitCode> {
    let runtime = Runtimes::find().await;
    let found = lab::select(&runtime, args.lab.as_ref()).await?;
    let container = if let Some(container) = found.container(&args.node) {
        container.container.clone()
    } else {
        let plan = found.plan.as_ref();
        let plan =
            plan.with_context(|| format!("lab '{}' has no container of a node '{}'", found.name, args.node))?;
        lab::node_of(plan, &args.node)?.container.clone()
    };
    let mut pieces = runtime.logs(&container, args.follow);
    while let Some(piece) = pieces.next().await {
        let written = match piece? {
            Output::Out(bytes) => write_all(std::io::stdout().lock(), &bytes),
            Output::Err(bytes) => write_all(std::io::stderr().lock(), &bytes),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_all(mut to: impl std::io::Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
