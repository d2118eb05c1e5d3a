//! The lab's one background process, `labctl keeper`.
//!
//! It delays the packets of the lab's WAN, in a thread of its own ([`wan::engine`](crate::net::wan::engine)),
//! and, where the runtime is the embedded one, it owns the containers: [`run`] starts the parts, the
//! supervisor starts containers, collects them and keeps what they write, the server answers on a Unix socket
//! what a client in [`runtime::embedded`](crate::runtime::embedded) asks. [`spawn`], [`find`] and [`stop`] are
//! about the process.
//!
//! No thread belongs to a node, and nothing in it wakes up by itself.

mod container;
mod desk;
mod events;
mod process;
mod program;
mod run;
mod server;
mod spawning;
mod supervisor;
mod wan;

pub use process::{READY, RunningKeeper, SUBCOMMAND, carries, find, running, spawn, stop};
pub use run::{KeptPlan, run};

use std::io;
use std::path::PathBuf;

use crate::net::NetError;
use crate::runtime::embedded::container::ContainerError;

/// Why the keeper could not be started or ended, or came to an end by itself.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum KeeperError {
    /// The process.
    #[error("the keeper of lab '{lab}': cannot {action}: {reason}")]
    Process { lab: String, action: &'static str, reason: String },
    /// A thread.
    #[error("a thread of the keeper: {0}")]
    Thread(#[source] io::Error),
    /// Its socket.
    #[error("the keeper's socket {}: {source}", .path.display())]
    Socket { path: PathBuf, source: io::Error },
    /// The WAN's engine.
    #[error(transparent)]
    Engine(#[from] NetError),
    /// The engine ended before packets could pass.
    #[error("the WAN's engine ended before it was ready")]
    EngineEnded,
    /// What containers are started from.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A system call that always works, did not.
    #[error("{doing}: {source}")]
    System { doing: &'static str, source: io::Error },
}
