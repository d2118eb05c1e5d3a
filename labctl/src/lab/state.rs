//! The directory of a lab: its plan, and a directory per node with the node's configuration and control
//! socket. Only root can enter it; a node sees nothing but its own directory, which belongs to it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use overlay_control::{CONFIG_FILE, NodeConfig, SOCKET_FILE};

use super::LabError;
use crate::names::LabName;
use crate::plan::Plan;
use crate::runtime::{self, NODE_USER, RUNTIME_FILE, RuntimeKind};
use crate::world;

pub(super) use crate::runtime::LABS as ROOT;

const PLAN_FILE: &str = "plan.json";
const READY_FILE: &str = "ready";
const KEEPER_LOG: &str = "keeper.log";
const NODES: &str = "nodes";

const OWNER_ONLY: u32 = 0o700;
const OWNER_FILE: u32 = 0o600;
const ENTERED_BY_ALL: u32 = 0o755;

/// The directory of a lab.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// The directory of this lab, whether it exists or not.
    #[must_use]
    pub fn of(lab: &LabName) -> Self {
        Self { path: runtime::directory_of(lab) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds the plan as JSON.
    #[must_use]
    pub fn plan_file(&self) -> PathBuf {
        self.path.join(PLAN_FILE)
    }

    /// Where the background process writes what goes wrong.
    #[must_use]
    pub fn keeper_log(&self) -> PathBuf {
        self.path.join(KEEPER_LOG)
    }

    /// The directory of a node.
    #[must_use]
    pub fn node(&self, node: &str) -> PathBuf {
        self.path.join(NODES).join(node)
    }

    /// A node's control socket.
    #[must_use]
    pub fn control_socket(&self, node: &str) -> PathBuf {
        self.node(node).join(SOCKET_FILE)
    }

    /// True if the lab has a directory.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Makes the directory with the plan in it, and notes the lab's runtime.
    pub(super) fn create(&self, plan: &Plan, runtime: RuntimeKind) -> Result<(), LabError> {
        make_directory(&self.path)?;
        self.write(RUNTIME_FILE, runtime.as_str().as_bytes())?;
        self.replace_plan(plan)
    }

    /// Puts another plan in the place of the one that is there.
    pub(super) fn replace_plan(&self, plan: &Plan) -> Result<(), LabError> {
        let plan_text = serde_json::to_vec_pretty(plan).expect("a plan is plain data with text keys");
        self.write(PLAN_FILE, &plan_text)
    }

    /// Makes a directory per overlay node, with its configuration; `configs` are in the order of the plan.
    pub(super) fn create_nodes(&self, plan: &Plan, configs: &[NodeConfig]) -> Result<(), LabError> {
        make_directory(&self.path.join(NODES))?;
        let overlay = plan.nodes.iter().filter(|node| node.overlay().is_some());
        for (node, config) in overlay.zip(configs) {
            self.create_node(node.name.as_str(), config)?;
        }
        Ok(())
    }

    /// Makes the directory of a node that is none of the overlay's. Whichever user runs there may enter it:
    /// on the host nobody gets here but root.
    pub(super) fn create_program(&self, node: &str) -> Result<PathBuf, LabError> {
        let directory = self.node(node);
        make_directory(&directory)?;
        set_mode(&directory, ENTERED_BY_ALL)?;
        Ok(directory)
    }

    fn create_node(&self, node: &str, config: &NodeConfig) -> Result<(), LabError> {
        let directory = self.node(node);
        make_directory(&directory)?;
        let file = directory.join(CONFIG_FILE);
        let text = serde_json::to_vec_pretty(config).expect("a configuration is plain data with text keys");
        write_new(&file, &text)?;
        // Where there is only one user, nodes run as that one.
        if !world::has_user(NODE_USER) {
            return Ok(());
        }
        for path in [file, directory] {
            chown(&path, Some(NODE_USER), Some(NODE_USER))
                .map_err(LabError::file("giving to the node", &path))?;
        }
        Ok(())
    }

    /// Notes that `up` came to its end.
    pub(super) fn set_ready(&self) -> Result<(), LabError> {
        self.write(READY_FILE, b"")
    }

    /// True if `up` came to its end.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.path.join(READY_FILE).exists()
    }

    /// The plan; `None` if the lab has no directory, or one without a plan.
    pub fn plan(&self) -> Result<Option<Plan>, LabError> {
        let path = self.plan_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LabError::file("reading", path)(error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| LabError::BadPlan { path, reason: error.to_string() })
    }

    /// Removes the directory with all that is in it. No error if there is none.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(LabError::file("removing", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// A file is there whole or not at all.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), LabError> {
        let (new, file) = (self.path.join(format!("{name}.new")), self.path.join(name));
        write_new(&new, content)?;
        fs::rename(&new, &file).map_err(LabError::file("writing", file))
    }
}

fn make_directory(path: &Path) -> Result<(), LabError> {
    DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY)
        .create(path)
        .map_err(LabError::file("making directory", path))
}

/// Sets what who may do, whatever the process' umask.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), LabError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(LabError::file("setting the permissions of", path))
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), LabError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(OWNER_FILE);
    options.open(path).and_then(|mut file| file.write_all(content)).map_err(LabError::file("writing", path))
}

/// The labs that have a directory, sorted: found without asking a runtime.
///
/// # Errors
///
/// If this user may not look.
pub fn with_directory() -> Result<Vec<LabName>, LabError> {
    let mut labs = labs_in(Path::new(ROOT))?;
    labs.sort();
    Ok(labs)
}

/// The names below [`ROOT`], or a directory in it, that are names of labs.
pub(super) fn labs_in(directory: &Path) -> Result<Vec<LabName>, LabError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LabError::file("looking into", directory)(error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}
