//! Why a container could not be started.

use std::io;
use std::path::PathBuf;

/// Why a container could not be started. Each message says what was being done, and the mend where there is
/// one.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// A request that no container can be made from.
    #[error("container {container}: {reason}")]
    Spec {
        /// Host name.
        container: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file of the host.
    #[error("container {container}: {doing} {}: {source}", .path.display())]
    Path {
        /// Host name.
        container: String,
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A system call on the way into the container.
    #[error("container {container}: {step}: {source}; {mend}")]
    Step {
        /// Host name.
        container: String,
        /// What was being done.
        step: String,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
    },
    /// The program is not there, or cannot be run.
    #[error("container {container}: cannot run '{program}': {source}; {mend}")]
    Program {
        /// Host name.
        container: String,
        /// The program as the command names it.
        program: String,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
    },
    /// Something ended the process before it became the program.
    #[error("container {container}: its process was ended while {step}")]
    Ended {
        /// Host name.
        container: String,
        /// What was being done.
        step: String,
    },
}
