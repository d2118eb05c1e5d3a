//! The gate at which a program waits that is not the overlay's, until the node's network is there.
//!
//! A container has a network namespace only from its start on, but many programs look for their addresses at
//! once and end if they find none. So the container's first process is the node program, which connects to
//! the gate (a Unix socket in the node's directory), waits for a byte, and then becomes the user's program.
//! The connection closes at that moment. If it cannot become that program, it says why before.

use overlay_control::{GATE_FILE, GATE_OPEN};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::ready::{self, LONGEST_PAUSE};
use super::stop::Stop;
use super::{LabError, StateDirectory, state};
use crate::plan::NodePlan;
use crate::runtime::Runtime;

/// Any user of the container may connect. On the host nobody but root gets to the socket.
const USED_BY_ALL: u32 = 0o666;
/// Bytes of a reason at most.
const LONGEST_REASON: u64 = 4096;

/// A gate that is still closed. If it is dropped, who waits there ends.
#[derive(Debug)]
pub(super) struct Gate(UnixListener);

impl Gate {
    /// Makes the node's directory with the gate in it.
    pub(super) fn make(directory: &StateDirectory, node: &str) -> Result<Self, LabError> {
        let path = directory.create_program(node)?.join(GATE_FILE);
        let listener = UnixListener::bind(&path).map_err(LabError::file("making the gate", &path))?;
        state::set_mode(&path, USED_BY_ALL)?;
        Ok(Self(listener))
    }

    /// Lets the program start, and returns when it has. Returns early, without an error, if the work stops.
    pub(super) async fn open(
        self,
        runtime: &dyn Runtime,
        node: &NodePlan,
        stop: &Stop,
    ) -> Result<(), LabError> {
        let Some(waiting) = self.who_waits(runtime, node, stop).await? else { return Ok(()) };
        match let_through(waiting).await {
            Ok(reason) if reason.is_empty() => Ok(()),
            Ok(reason) => Err(not_started(node, reason)),
            // It has ended, and its output says why.
            Err(error) => {
                ready::fail_if_ended(runtime, node).await?;
                Err(not_started(node, error.to_string()))
            }
        }
    }

    async fn who_waits(
        &self,
        runtime: &dyn Runtime,
        node: &NodePlan,
        stop: &Stop,
    ) -> Result<Option<UnixStream>, LabError> {
        while !stop.is_set() {
            tokio::select! {
                accepted = self.0.accept() => {
                    let (stream, _) = accepted.map_err(LabError::file("waiting at the gate", GATE_FILE))?;
                    return Ok(Some(stream));
                }
                () = tokio::time::sleep(LONGEST_PAUSE) => ready::look_alive(runtime, node).await?,
            }
        }
        Ok(None)
    }
}

/// Opens the gate. Answers with why the program cannot be started; nothing if it was.
async fn let_through(mut waiting: UnixStream) -> std::io::Result<String> {
    waiting.write_all(&[GATE_OPEN]).await?;
    let mut reason = Vec::new();
    waiting.take(LONGEST_REASON).read_to_end(&mut reason).await?;
    Ok(String::from_utf8_lossy(&reason).into_owned())
}

fn not_started(node: &NodePlan, reason: String) -> LabError {
    let of_image = node.program().is_some_and(|program| program.image.is_some());
    let mend = if of_image {
        "name a program that the image has"
    } else {
        "install it on this machine, below /usr; if it is there, it asks for capabilities, and a node has none"
    };
    LabError::ProgramNotStarted { node: node.name.to_string(), reason, mend }
}
