//! Where the node program is.

use std::path::PathBuf;

use super::RuntimeError;

/// File name of the node program.
pub const NODE_PROGRAM: &str = "overlay-node";
/// Environment variable that names the node program.
pub const PROGRAM_VARIABLE: &str = "LABCTL_NODE";

/// Finds the node program: the file that `LABCTL_NODE` names, else `overlay-node` beside the labctl
/// executable, else `../lib/labctl/overlay-node` from there.
pub fn find_program() -> Result<PathBuf, RuntimeError> {
    let looked = candidates();
    match looked.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(RuntimeError::ProgramMissing { looked }),
    }
}

fn candidates() -> Vec<PathBuf> {
    // A name that was given and does not hold must not be silently replaced by another program.
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return vec![PathBuf::from(named)];
    }
    let Ok(labctl) = std::env::current_exe() else { return Vec::new() };
    let Some(beside) = labctl.parent() else { return Vec::new() };
    let mut candidates = vec![beside.join(NODE_PROGRAM)];
    if let Some(prefix) = beside.parent() {
        candidates.push(prefix.join("lib/labctl").join(NODE_PROGRAM));
    }
    candidates
}
