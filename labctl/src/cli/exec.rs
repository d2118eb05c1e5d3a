//! `labctl exec`.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use labctl::lab;
use labctl::names::LabName;
use labctl::runtime::Runtimes;

/// What a shell answers when there is no such command.
const NOT_FOUND: u8 = 127;
/// What a shell answers when the command cannot be run.
const NOT_EXECUTABLE: u8 = 126;

/// Runs a command of the host in the network namespace of a node, a gateway, or the WAN core ('wan').
#[derive(Debug, clap::Args)]
pub struct ExecArgs {
    /// The lab; not needed if there is only one.
    #[arg(long, value_name = "NAME", add = super::completions::labs())]
    lab: Option<LabName>,
    /// The node or gateway, or 'wan'.
    #[arg(add = super::completions::namespaces())]
    node: String,
    /// The command, after '--'.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `labctl exec`. The command takes this process' place, and so its exit code is the command's own.
pub async fn run(args: ExecArgs) -> anyhow::Result<ExitCode> {
    let runtime = Runtimes::find().await;
    let found = lab::select(&runtime, args.lab.as_ref()).await?;
    // Also in a lab that is not whole: looking into it is how one finds out why.
    let plan = found.plan.with_context(|| {
        format!(
            "lab '{}' has no plan any more; take it down with 'labctl down --lab {}'",
            found.name, found.name
        )
    })?;
    lab::enter(lab::namespace_of(&plan, &args.node)?)?;
    let [program, arguments @ ..] = &args.command[..] else { unreachable!("the command line requires one") };
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    writeln!(std::io::stderr(), "error: cannot run '{}': {error}", program.display())?;
    Ok(ExitCode::from(code))
}
