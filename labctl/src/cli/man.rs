//! `labctl man`: manual pages, and the command reference in Markdown, both from the command line itself.

mod markdown;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

/// Writes the manual pages of labctl and its subcommands into a folder.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder; it is made if need be.
    #[arg(required_unless_present = "markdown")]
    folder: Option<PathBuf>,
    /// Print the command reference as one page of Markdown instead.
    #[arg(long, conflicts_with = "folder")]
    markdown: bool,
}

/// Runs `labctl man`, for this command line.
pub fn run(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    match &args.folder {
        Some(folder) => write_pages(command, folder)?,
        None => super::print(markdown::reference(command).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: Command, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for command in visible(command) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let page = Man::new(command).manual("labctl manual");
        page.generate_to(folder)
            .with_context(|| format!("cannot write the page of {name} into {}", folder.display()))?;
    }
    Ok(())
}

/// The command and all that is below it, in order, without what is hidden.
fn visible(command: Command) -> Vec<Command> {
    fn gather(command: &Command, all: &mut Vec<Command>) {
        all.push(command.clone());
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            gather(below, all);
        }
    }
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut all = Vec::new();
    gather(&command, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Arguments;

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let folder = tempfile::tempdir().unwrap();
        write_pages(Arguments::command(), folder.path()).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.path().join(format!("{name}.1")));
        for name in ["labctl", "labctl-up", "labctl-nat-mappings", "labctl-experiment-login"] {
            assert!(page(name).unwrap().contains(".TH"), "{name}");
        }
        assert!(page("labctl-keeper").is_err());
    }

    #[test]
    fn the_published_reference_is_what_the_command_line_says() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
        let published = std::fs::read_to_string(file).unwrap_or_default();
        let mend = "labctl man --markdown > docs/commands.md";
        assert!(
            published == markdown::reference(Arguments::command()),
            "docs/commands.md is not up to date; mend: {mend}"
        );
    }
}
