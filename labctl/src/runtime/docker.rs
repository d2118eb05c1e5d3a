//! Docker Engine as the runtime: one container per node, made from an image that needs no registry.

mod container;
mod image;
mod program;
mod root;
mod settle;

use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use nix::unistd::Pid;

use super::{Found, Image, NetworkOrder, NodeSpec, NodeState, Output, Runtime, RuntimeError, RuntimeKind};
use crate::names::LabName;

/// Label of every container of a lab: the lab's name.
pub const LABEL_LAB: &str = "labctl.lab";
/// Label of every container of a lab: the node's name.
pub const LABEL_NODE: &str = "labctl.node";
/// Label of every container of a lab: the node's role.
pub const LABEL_ROLE: &str = "labctl.role";

const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

/// Docker Engine, over its Unix socket.
#[derive(Clone, Debug)]
pub struct DockerRuntime {
    docker: Docker,
    socket: PathBuf,
}

impl DockerRuntime {
    /// Connects to the engine that `DOCKER_HOST` names (`unix://…`), else to the one of this machine, and
    /// agrees on a version of the API.
    pub async fn connect() -> Result<Self, RuntimeError> {
        let place = std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_SOCKET.to_owned());
        let unreachable = |error: &Error| match error {
            error if is_forbidden(error) => RuntimeError::EngineForbidden { place: place.clone() },
            error => RuntimeError::EngineUnreachable { place: place.clone(), reason: root_cause(error) },
        };
        let docker = Docker::connect_with_unix_defaults().map_err(|error| unreachable(&error))?;
        let docker = docker.negotiate_version().await.map_err(|error| unreachable(&error))?;
        let socket = PathBuf::from(place.strip_prefix("unix://").unwrap_or(&place));
        Ok(Self { docker, socket })
    }
}

/// The innermost reason, because the outer ones only say that a request failed.
fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn is_forbidden(error: &Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::PermissionDenied
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The HTTP status that the engine answered with.
const fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// An error of the engine, with what was being done to what.
fn failed<'a>(doing: &'static str, what: &'a str) -> impl FnOnce(Error) -> RuntimeError + use<'a> {
    move |error| {
        let reason = match &error {
            Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
            other => root_cause(other),
        };
        RuntimeError::Engine { doing, what: what.to_owned(), reason }
    }
}

impl Runtime for DockerRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Docker
    }

    fn network_order(&self) -> NetworkOrder {
        NetworkOrder::Last
    }

    fn reaches(&self, _: &LabName) -> Result<(), RuntimeError> {
        Ok(())
    }

    fn check(&self) -> BoxFuture<'_, Result<String, RuntimeError>> {
        Box::pin(async {
            let version = self.docker.version().await.map_err(failed("asking for", "its version"))?;
            let api = self.docker.client_version();
            Ok(format!(
                "Docker Engine {}, API {}.{}",
                version.version.as_deref().unwrap_or("of unknown version"),
                api.major_version,
                api.minor_version
            ))
        })
    }

    fn prepare<'a>(&'a self, program: &'a Path) -> BoxFuture<'a, Result<Image, RuntimeError>> {
        Box::pin(image::prepare(&self.docker, program))
    }

    fn require_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move { program::find(&self.docker, image).await.map(drop) })
    }

    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        program: &'a Path,
    ) -> BoxFuture<'a, Result<Image, RuntimeError>> {
        Box::pin(program::prepare(&self.docker, image, program))
    }

    fn start<'a>(&'a self, image: &'a Image, node: &'a NodeSpec) -> BoxFuture<'a, Result<Pid, RuntimeError>> {
        Box::pin(container::start(&self.docker, image, node))
    }

    fn state<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<NodeState>, RuntimeError>> {
        Box::pin(container::state(&self.docker, container))
    }

    fn list<'a>(&'a self, lab: Option<&'a LabName>) -> BoxFuture<'a, Result<Vec<Found>, RuntimeError>> {
        Box::pin(async move {
            let label = lab.map_or_else(|| LABEL_LAB.to_owned(), |lab| format!("{LABEL_LAB}={lab}"));
            let filters = [("label".to_owned(), vec![label])].into();
            let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
            let containers =
                self.docker.list_containers(Some(options)).await.map_err(failed("listing", "containers"))?;
            let mut found: Vec<Found> = containers.into_iter().filter_map(container::found).collect();
            found.sort_by(|a, b| a.container.cmp(&b.container));
            Ok(found)
        })
    }

    fn remove<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.docker.remove_container(container, Some(options)).await {
                Ok(()) => Ok(()),
                Err(error) if status(&error) == Some(404) => Ok(()),
                // Somebody else is removing it; it is gone when that is done.
                Err(error) if status(&error) == Some(409) => settle::removed(&self.docker, container).await,
                Err(error) => Err(failed("removing container", container)(error)),
            }
        })
    }

    fn sweep<'a>(&'a self, _: &'a LabName) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(settle::settle(&self.socket))
    }

    fn clean(&self) -> BoxFuture<'_, Result<usize, RuntimeError>> {
        Box::pin(image::clean(&self.docker))
    }

    fn logs<'a>(&'a self, container: &'a str, follow: bool) -> BoxStream<'a, Result<Output, RuntimeError>> {
        let options = LogsOptionsBuilder::new().follow(follow).stdout(true).stderr(true).build();
        let logs = self.docker.logs(container, Some(options));
        Box::pin(logs.map(move |piece| match piece {
            Ok(bollard::container::LogOutput::StdErr { message }) => Ok(Output::Err(message)),
            Ok(other) => Ok(Output::Out(other.into_bytes())),
            Err(error) => Err(failed("reading the output of container", container)(error)),
        }))
    }
}
