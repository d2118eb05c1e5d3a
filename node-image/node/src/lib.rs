//! An overlay node: [`overlay_protocol`]'s machines on real sockets, and the control socket of
//! [`overlay_control`] beside them.
//!
//! [`config`] reads what the node is to be, [`node`] starts it (a [`client`] or [`server`]s, each machine
//! in a [`driver`]), [`control`] answers its owner, [`run`] does all of it until a signal comes. [`gate`] has
//! nothing to do with the overlay: it starts any other program once the node's network is
//! there, and [`restarts`] keeps it running.

pub mod client;
pub mod config;
pub mod control;
pub mod driver;
pub mod gate;
pub mod node;
pub mod restarts;
pub mod server;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use self::config::{ConfigError, Setup};
use self::control::SocketError;
use self::driver::BindError;
use self::node::Node;

/// Why a node could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket of the overlay.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A system call that always works, did not.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A defect of this program: a machine's task ended.
    #[error("a server stopped by itself, which is a defect of this program: {0}")]
    Broken(String),
}

/// Runs the node of `directory` until SIGTERM or SIGINT; then it takes its leave of the overlay.
pub async fn run(directory: &Path) -> Result<(), RunError> {
    // First of all: pid 1 of a container gets no signal that it has no handler for.
    let doing = "the signal handlers cannot be set";
    let system = |source| RunError::System { doing, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;

    let (node, mut serving) = Node::start(Setup::read(directory)?)?;
    // Last: who sees the control socket knows that the node serves.
    let listener = control::listen(directory)?;
    info!(role = ?node.role(), version = env!("CARGO_PKG_VERSION"), "ready");

    let node = Arc::new(node);
    let ended = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        Some(task) = serving.join_next() => Err(RunError::Broken(match task {
            Ok(()) => "it had no reason to".to_owned(),
            Err(error) => error.to_string(),
        })),
        never = control::serve(listener, Arc::clone(&node)) => match never {},
    };
    if ended.is_ok() {
        node.leave().await;
    }
    if let Err(error) = control::remove(directory) {
        info!(%error, "the control socket stays behind");
    }
    info!(signal = ended?, "ends");
    Ok(())
}
