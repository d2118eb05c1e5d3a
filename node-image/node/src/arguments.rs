//! What the program is told on its command line. By lexopt, not by clap: a thousand nodes hold the program's pages,
//! and clap would be a tenth of them.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use overlay_control::DIRECTORY_IN_CONTAINER;
use overlay_control::restart::RestartPolicy;

/// What `--help` prints.
pub const HELP: &str = "\
Runs an overlay node: a client, super nodes, or a login server.

DIR/config.json says what it is, DIR/control.sock (HTTP and JSON) drives it. It ends at SIGTERM.
The environment variable OVERLAY_LOG (off, error, warn, info, debug, trace) says what is logged to
stderr; info if it is not set.

Usage: overlay-node [--directory DIR]
       overlay-node run [--directory DIR] [--restart POLICY] -- PROGRAM [ARGUMENT]...

`run` waits at DIR/gate.sock until the node's network is there, and becomes another program.

  --directory DIR   The node's directory; /run/overlay if it is not given.
  --restart POLICY  Whether the program is started again when it ends: no (the default), on-failure or always. This
                    process then stays, hands signals on, and pauses longer from time to time.
  -h, --help        This text.
  -V, --version     The version.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// To be the overlay node of a directory.
    Node(PathBuf),
    /// To wait at the gate of a directory, and become a program.
    Run {
        /// The node's directory.
        directory: PathBuf,
        /// Whether the program is started again when it ends.
        restart: RestartPolicy,
        /// The program and its arguments; never empty.
        program: Vec<OsString>,
    },
    /// To print [`HELP`].
    Help,
    /// To print the version.
    Version,
}

/// Reads a command line without the program's own name.
///
/// # Errors
///
/// A word that it does not know, a value that is missing or wrong, or a program where none is to be run.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut directory = PathBuf::from(DIRECTORY_IN_CONTAINER);
    let mut restart = RestartPolicy::No;
    let mut runs = false;
    let mut parser = Parser::from_args(words);
    loop {
        // What comes after '--' is the program's own, options and all.
        if let Some(raw) = parser.try_raw_args()
            && raw.peek().is_some_and(|word| word == "--")
        {
            let program: Vec<_> = parser.raw_args()?.skip(1).collect();
            return match (runs, program.is_empty()) {
                (true, false) => Ok(Command::Run { directory, restart, program }),
                (true, true) => Err("no program after '--'".into()),
                (false, _) => Err("a program after '--' needs 'run' before it".into()),
            };
        }
        let Some(argument) = parser.next()? else { break };
        match argument {
            Arg::Long("directory") => directory = parser.value()?.into(),
            Arg::Long("restart") if runs => restart = parser.value()?.parse()?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Value(word) if word == "run" && !runs => runs = true,
            other => return Err(other.unexpected()),
        }
    }
    if runs { Err("'run' needs '--' and a program".into()) } else { Ok(Command::Node(directory)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Result<Command, String> {
        read(words.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_directory_may_stand_on_either_side_of_run() {
        assert_eq!(of(""), Ok(Command::Node(DIRECTORY_IN_CONTAINER.into())));
        assert_eq!(of("--directory=/x"), Ok(Command::Node("/x".into())));
        let run = Command::Run {
            directory: "/x".into(),
            restart: RestartPolicy::OnFailure,
            program: vec!["sh".into(), "--directory".into(), "--".into(), "-h".into()],
        };
        let rest = "--restart on-failure -- sh --directory -- -h";
        assert_eq!(of(&format!("--directory /x run {rest}")).as_ref(), Ok(&run));
        assert_eq!(of(&format!("run --directory /x {rest}")).as_ref(), Ok(&run));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, part) in [
            ("--directory", "--directory"),
            ("--restart always", "--restart"),
            ("run", "needs '--' and a program"),
            ("run --", "no program after '--'"),
            ("-- sh", "needs 'run' before it"),
            ("run --restart sometimes -- sh", "sometimes"),
            ("walk", "walk"),
            ("run run -- sh", "run"),
            ("--quick", "--quick"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(part), "{words}: {error}");
        }
    }

    #[test]
    fn the_help_names_the_default_directory() {
        assert!(HELP.contains(DIRECTORY_IN_CONTAINER));
    }
}
