//! Starts any program once the node's network is there.
//!
//! The first process of such a node's container waits at the gate, a Unix socket in the node's directory,
//! until labctl has given the container its interface, addresses and routes. Then it becomes the program: the
//! program has its process number, its standard output and its signals.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use overlay_control::{GATE_FILE, GATE_OPEN};

/// What a shell answers when there is no such program.
const NOT_FOUND: u8 = 127;
/// What a shell answers when the program cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// What container engines answer when the failure is theirs and not the program's.
const NOT_STARTED: u8 = 125;

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No gate, or none that lets anybody in.
    #[error("waiting at {}: {source}; labctl makes the gate before the container", .path.display())]
    Gate {
        /// The gate.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A system call that always works, did not.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The gate was given up.
    #[error("labctl ended before the node's network was there")]
    Closed,
    /// The program.
    #[error("cannot run '{}': {source}", .program.display())]
    Program {
        /// Its name.
        program: OsString,
        /// What the system says.
        source: io::Error,
    },
}

impl GateError {
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }

    /// The exit code that tells it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Gate { .. } | Self::System { .. } | Self::Closed => NOT_STARTED,
            Self::Program { source, .. } if source.kind() == ErrorKind::NotFound => NOT_FOUND,
            Self::Program { .. } => NOT_EXECUTABLE,
        }
    }
}

/// Waits until the gate of this directory opens, and becomes the program. Returns only if that fails.
///
/// # Panics
///
/// If `program` is empty: the command line requires at least one word.
#[must_use]
pub fn run(directory: &Path, program: &[OsString]) -> GateError {
    let mut gate = match enter(directory) {
        Ok(gate) => gate,
        Err(error) => return error,
    };
    let (name, arguments) = program.split_first().expect("the command line requires a program");
    // The gate's connection is closed by the system when the program is there.
    let source = Command::new(name).args(arguments).exec();
    let error = GateError::Program { program: name.clone(), source };
    // If labctl is gone, nobody wants to know.
    let _ = gate.write_all(error.to_string().as_bytes());
    error
}

/// Waits until the gate of this directory opens. Who waits at its other end takes the program for started
/// when what comes back is closed with nothing said.
pub(crate) fn enter(directory: &Path) -> Result<UnixStream, GateError> {
    let path = directory.join(GATE_FILE);
    match wait(&path) {
        Ok(Some(gate)) => Ok(gate),
        Ok(None) => Err(GateError::Closed),
        Err(source) => Err(GateError::Gate { path, source }),
    }
}

/// `None` if the gate was given up.
fn wait(path: &Path) -> io::Result<Option<UnixStream>> {
    let mut gate = UnixStream::connect(path)?;
    let mut byte = [0];
    match gate.read_exact(&mut byte) {
        Ok(()) if byte == [GATE_OPEN] => Ok(Some(gate)),
        Ok(()) => Err(ErrorKind::InvalidData.into()),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
