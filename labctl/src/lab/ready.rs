//! Waits until a node answers on its control socket.

use std::time::{Duration, Instant};

use futures_util::stream::StreamExt;

use super::stop::Stop;
use super::{ControlError, LabError, StateDirectory, control};
use crate::plan::NodePlan;
use crate::runtime::{Health, NodeState, Output, Runtime};

/// How long a node may take before something is wrong with it. It needs some milliseconds; this is for a
/// machine that starts hundreds of them at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the engine may take to know that a process has ended.
const ENGINE_KNOWS: Duration = Duration::from_secs(5);
/// First pause between two tries; it doubles each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Lines of a node's output that an error shows.
const LAST_LINES: usize = 20;

/// Waits until the node answers. Returns early, without an error, if the work stops.
pub(super) async fn wait(
    runtime: &dyn Runtime,
    directory: &StateDirectory,
    node: &NodePlan,
    stop: &Stop,
) -> Result<(), LabError> {
    let socket = directory.control_socket(node.name.as_str());
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    while !stop.is_set() {
        match control::get_status(&socket).await {
            Ok(_) => return Ok(()),
            // Not yet: see whether it can still come.
            Err(ControlError::Unreachable(error)) => {
                if pause >= LONGEST_PAUSE {
                    look_alive(runtime, node).await?;
                }
                if begin.elapsed() > PATIENCE {
                    let reason = format!("no answer after {} s: {error}", PATIENCE.as_secs());
                    return Err(not_ready(runtime, node, reason).await);
                }
            }
            Err(error) => return Err(not_ready(runtime, node, error.to_string()).await),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

/// Waits until a node is healthy, if it has a health check. Returns early, without an error, if the work stops.
pub(super) async fn wait_healthy(
    runtime: &dyn Runtime,
    node: &NodePlan,
    stop: &Stop,
) -> Result<(), LabError> {
    if node.program().is_none_or(|program| program.health.is_none()) {
        return Ok(());
    }
    let mut pause = FIRST_PAUSE;
    while !stop.is_set() {
        let reason = match runtime.state(&node.container).await? {
            // What is unhealthy stays so until a check succeeds, and nobody knows whether one ever will.
            Some(NodeState::Running { health: Some(Health::Unhealthy), .. }) => {
                "its health check fails".to_owned()
            }
            Some(NodeState::Running { health: Some(Health::Healthy) | None, .. }) => return Ok(()),
            Some(NodeState::Running { .. }) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Some(state) => format!("it ended before its health check succeeded ({state})"),
            None => "its container is gone".to_owned(),
        };
        return Err(not_ready(runtime, node, reason).await);
    }
    Ok(())
}

/// Fails if the container has ended.
pub(super) async fn look_alive(runtime: &dyn Runtime, node: &NodePlan) -> Result<(), LabError> {
    let reason = match runtime.state(&node.container).await? {
        Some(state) if state.is_running() => return Ok(()),
        Some(state) => format!("its container has ended ({state})"),
        None => "its container is gone".to_owned(),
    };
    Err(not_ready(runtime, node, reason).await)
}

/// Fails if the container's process has ended, which explains why it could not be used. The engine comes to
/// know of it a little later than the kernel.
pub(super) async fn fail_if_ended(runtime: &dyn Runtime, node: &NodePlan) -> Result<(), LabError> {
    let begin = Instant::now();
    while begin.elapsed() < ENGINE_KNOWS {
        look_alive(runtime, node).await?;
        tokio::time::sleep(LONGEST_PAUSE).await;
    }
    Ok(())
}

async fn not_ready(runtime: &dyn Runtime, node: &NodePlan, reason: String) -> LabError {
    let output = last_lines(runtime, &node.container).await;
    LabError::NodeNotReady { node: node.name.to_string(), reason, output }
}

/// The end of a container's output. What cannot be read is left out: the error that this is shown with
/// matters more.
async fn last_lines(runtime: &dyn Runtime, container: &str) -> String {
    let mut bytes = Vec::new();
    let mut pieces = runtime.logs(container, false);
    while let Some(Ok(Output::Out(piece) | Output::Err(piece))) = pieces.next().await {
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    match lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => "(none)".to_owned(),
        ref lines => lines.join("\n"),
    }
}
