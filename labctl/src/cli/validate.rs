//! `labctl validate`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use labctl::plan::Plan;
use overlay_control::Role;

use super::topology::TopologyArgs;

/// Checks topologies, and says what they describe. Changes nothing.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// The topologies: YAML files, or names of shipped ones such as expC.
    #[arg(required = true, add = super::completions::topologies())]
    topologies: Vec<PathBuf>,
    #[command(flatten)]
    changes: TopologyArgs,
}

/// Runs `labctl validate`: every file is checked, whatever is wrong with those before it.
///
/// # Errors
///
/// If standard output is closed. What is wrong with a file is printed on standard error.
pub fn run(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in &args.topologies {
        match args.changes.load(path) {
            Ok(topology) => {
                let plan = Plan::new(&topology);
                writeln!(std::io::stdout().lock(), "{}: valid: {}", path.display(), describe(&plan))?;
            }
            Err(error) => {
                writeln!(std::io::stderr().lock(), "error: {error:#}\n")?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn describe(plan: &Plan) -> String {
    let containers = |role: Role| plan.nodes.iter().filter(move |node| node.role() == Some(role));
    let super_nodes = containers(Role::SuperNode).count();
    let addresses: usize = containers(Role::SuperNode).map(|node| node.instances().len()).sum();
    let overlay = format!(
        "lab {}, {}, {}, {}: {}, {super_nodes} with {}, {}",
        plan.lab,
        counted(plan.wan.regions.len(), "region"),
        counted(plan.gateways.len(), "gateway"),
        counted(plan.nodes.len(), "container"),
        counted(containers(Role::LoginServer).count(), "login server"),
        counted(addresses, "super node"),
        counted(containers(Role::Client).count(), "client"),
    );
    match plan.nodes.iter().filter(|node| node.program().is_some()).count() {
        0 => overlay,
        programs => format!("{overlay}, {programs} of other programs"),
    }
}

/// Such as "1 gateway" and "2 gateways".
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
