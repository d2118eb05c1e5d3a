//! A node's container: what it may do, its start, and its state.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, HealthStatusEnum, HostConfig, HostConfigLogConfig, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, LogsOptionsBuilder};
use futures_util::stream::StreamExt;
use nix::unistd::Pid;
use overlay_control::DIRECTORY_IN_CONTAINER;

use super::super::{Found, Health, Image, NODE_USER, NodeSpec, NodeState, RuntimeError, RuntimeKind};
use super::{LABEL_LAB, LABEL_NODE, LABEL_ROLE, failed, image, program, status};
use crate::names::LabName;

/// Lines of a dead container's output that an error shows.
const LAST_LINES: &str = "20";

/// The labels that a container is found by.
fn labels(lab: &LabName, node: &str, role: &str) -> HashMap<String, String> {
    [(LABEL_LAB, lab.as_str()), (LABEL_NODE, node), (LABEL_ROLE, role)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Creates and starts a node's container.
pub async fn start(docker: &Docker, image: &Image, node: &NodeSpec) -> Result<Pid, RuntimeError> {
    let options = CreateContainerOptionsBuilder::new().name(&node.container).build();
    let body = match &node.program {
        None => body(image, node),
        Some(program) => program::body(body(image, node), image, program)?,
    };
    match docker.create_container(Some(options), body).await {
        Ok(_) => {}
        Err(error) if status(&error) == Some(404) => {
            return Err(RuntimeError::ImageGone { image: image.reference.clone() });
        }
        Err(error) => return Err(failed("creating container", &node.container)(error)),
    }
    docker
        .start_container(&node.container, None)
        .await
        .map_err(failed("starting container", &node.container))?;
    match state(docker, &node.container).await? {
        Some(NodeState::Running { pid: Some(pid), .. }) => Ok(pid),
        state => Err(RuntimeError::Ended {
            container: node.container.clone(),
            state: state.unwrap_or(NodeState::Other { state: "removed by somebody else".to_owned() }),
            output: last_output(docker, &node.container).await,
        }),
    }
}

/// What a node's container is and may do: its program needs its own directory, its network namespace and
/// ports below 1024 (by the namespace's setting, not by a capability), and nothing else.
fn body(image: &Image, node: &NodeSpec) -> ContainerCreateBody {
    let text = str::to_owned;
    let log = [("max-size", "1m"), ("max-file", "2")].map(|(key, value)| (text(key), text(value)));
    let host = HostConfig {
        network_mode: Some(text("none")),
        memory: i64::try_from(node.memory).ok(),
        memory_swap: i64::try_from(node.memory).ok(),
        pids_limit: Some(i64::from(node.pids)),
        binds: Some(vec![format!("{}:{DIRECTORY_IN_CONTAINER}", node.directory.display())]),
        cap_drop: Some(vec![text("ALL")]),
        security_opt: Some(vec![text("no-new-privileges:true")]),
        readonly_rootfs: Some(true),
        sysctls: Some([(text("net.ipv4.ip_unprivileged_port_start"), text("0"))].into()),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig { typ: Some(text("local")), config: Some(log.into()) }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(image.reference.clone()),
        entrypoint: Some(vec![image::program_in_image()]),
        hostname: Some(node.node.to_string()),
        user: Some(format!("{NODE_USER}:{NODE_USER}")),
        labels: Some(labels(&node.lab, node.node.as_str(), node.role)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// What a container is doing; `None` if there is none of that name.
pub async fn state(docker: &Docker, container: &str) -> Result<Option<NodeState>, RuntimeError> {
    match docker.inspect_container(container, None).await {
        Ok(answer) => Ok(Some(
            answer
                .state
                .map_or_else(|| NodeState::Other { state: "unknown".to_owned() }, |state| from_state(&state)),
        )),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(failed("inspecting container", container)(error)),
    }
}

fn from_state(state: &ContainerState) -> NodeState {
    let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0).map(Pid::from_raw);
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => NodeState::Created,
        Some(ContainerStateStatusEnum::RUNNING) => NodeState::Running { pid, health: health(state) },
        Some(ContainerStateStatusEnum::EXITED) => NodeState::Exited { code: state.exit_code },
        other => NodeState::Other { state: other.map_or("unknown".to_owned(), |other| other.to_string()) },
    }
}

fn health(state: &ContainerState) -> Option<Health> {
    match state.health.as_ref()?.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
    }
}

/// The health in the engine's words for a container that runs: `Up 5 seconds (health: starting)`.
fn health_in_words(status: &str) -> Option<Health> {
    match status.rsplit_once('(')?.1.strip_suffix(')')? {
        "health: starting" => Some(Health::Starting),
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        _ => None,
    }
}

/// A line of the engine's list as one of ours; `None` if its labels are not labctl's.
pub fn found(container: ContainerSummary) -> Option<Found> {
    let labels = container.labels?;
    let state = match container.state? {
        ContainerSummaryStateEnum::CREATED => NodeState::Created,
        ContainerSummaryStateEnum::RUNNING => {
            NodeState::Running { pid: None, health: container.status.as_deref().and_then(health_in_words) }
        }
        ContainerSummaryStateEnum::EXITED => {
            NodeState::Exited { code: container.status.as_deref().and_then(exit_code) }
        }
        other => NodeState::Other { state: other.to_string() },
    };
    Some(Found {
        lab: labels.get(LABEL_LAB)?.parse().ok()?,
        node: labels.get(LABEL_NODE)?.clone(),
        role: labels.get(LABEL_ROLE).cloned().unwrap_or_default(),
        container: container.names?.first()?.trim_start_matches('/').to_owned(),
        state,
        runtime: RuntimeKind::Docker,
    })
}

/// The exit code in the engine's words for a container that has ended: `Exited (1) 5 seconds ago`.
fn exit_code(status: &str) -> Option<i64> {
    status.strip_prefix("Exited (")?.split_once(')')?.0.parse().ok()
}

/// The last lines that a container wrote, for an error; what cannot be read is left out, because the error
/// that it belongs to matters more.
async fn last_output(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LAST_LINES).build();
    let pieces: Vec<_> = docker.logs(container, Some(options)).collect().await;
    let text: String = pieces.into_iter().flatten().map(|piece| piece.to_string()).collect();
    if text.trim().is_empty() { "(none)".to_owned() } else { text.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_read_from_the_engines_words() {
        assert_eq!(exit_code("Exited (137) 2 minutes ago"), Some(137));
        assert_eq!(exit_code("Exited (0) Less than a second ago"), Some(0));
        assert_eq!(exit_code("Up 3 seconds"), None);
    }

    #[test]
    fn the_health_is_read_from_the_engines_words() {
        assert_eq!(health_in_words("Up 5 seconds (health: starting)"), Some(Health::Starting));
        assert_eq!(health_in_words("Up About a minute (healthy)"), Some(Health::Healthy));
        assert_eq!(health_in_words("Up 2 hours (unhealthy)"), Some(Health::Unhealthy));
        assert_eq!(health_in_words("Up 2 hours"), None);
    }
}
