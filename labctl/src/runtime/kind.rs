//! Which runtimes there are, and which one the user wants.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RuntimeError;
use crate::names::LabName;

/// Environment variable with the runtime that new labs get, where the command line does not say it.
pub const RUNTIME_VARIABLE: &str = "LABCTL_RUNTIME";

/// Where the directories of all labs are. On a file system that a restart of the machine empties, because
/// nothing of a lab survives one.
pub const LABS: &str = "/run/labctl";
/// File in a lab's directory with the word for its runtime.
pub const RUNTIME_FILE: &str = "runtime";

/// The directory of a lab, whether it exists or not.
#[must_use]
pub fn directory_of(lab: &LabName) -> PathBuf {
    Path::new(LABS).join(lab.as_str())
}

/// What runs the nodes of a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeKind {
    /// Docker Engine.
    Docker,
    /// No daemon: labctl makes the containers itself.
    Embedded,
}

impl RuntimeKind {
    /// The word for it on the command line and in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Embedded => "embedded",
        }
    }

    /// The runtime that a lab was made with; `None` if nothing is left of it that says so.
    #[must_use]
    pub fn of_lab(lab: &LabName) -> Option<Self> {
        let word = std::fs::read_to_string(directory_of(lab).join(RUNTIME_FILE)).ok()?;
        match word.trim().parse() {
            Ok(RuntimeChoice::This(kind)) => Some(kind),
            _ => None,
        }
    }
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which runtime a new lab gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// Docker Engine where it answers and the user may use it, else the embedded one.
    #[default]
    Auto,
    /// This one, or none.
    This(RuntimeKind),
}

impl RuntimeChoice {
    /// What [`RUNTIME_VARIABLE`] says; [`RuntimeChoice::Auto`] if nothing.
    pub fn from_environment() -> Result<Self, RuntimeError> {
        match std::env::var_os(RUNTIME_VARIABLE) {
            None => Ok(Self::Auto),
            Some(word) if word.is_empty() => Ok(Self::Auto),
            Some(word) => word.to_string_lossy().parse(),
        }
    }
}

impl FromStr for RuntimeChoice {
    type Err = RuntimeError;

    fn from_str(word: &str) -> Result<Self, RuntimeError> {
        match word {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::This(RuntimeKind::Docker)),
            "embedded" => Ok(Self::This(RuntimeKind::Embedded)),
            _ => Err(RuntimeError::NoSuchRuntime { word: word.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_read_as_they_are_written() {
        for kind in [RuntimeKind::Docker, RuntimeKind::Embedded] {
            assert_eq!(kind.as_str().parse::<RuntimeChoice>().unwrap(), RuntimeChoice::This(kind));
        }
        assert_eq!("auto".parse::<RuntimeChoice>().unwrap(), RuntimeChoice::Auto);
        let error = "podman".parse::<RuntimeChoice>().unwrap_err().to_string();
        assert!(error.contains("podman") && error.contains("embedded"), "{error}");
    }
}
