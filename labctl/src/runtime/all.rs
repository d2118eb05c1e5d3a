//! All runtimes of this machine as one: what is there is found whatever runs it, and what is new is made by
//! the one that was chosen.

use std::path::Path;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use nix::unistd::Pid;

use super::docker::DockerRuntime;
use super::embedded::EmbeddedRuntime;
use super::{
    Found, Image, NetworkOrder, NodeSpec, NodeState, Output, Runtime, RuntimeChoice, RuntimeError,
    RuntimeKind,
};
use crate::names::LabName;
use crate::world;

/// Docker Engine, if it can be used, and the embedded runtime.
#[derive(Debug)]
pub struct Runtimes {
    docker: Result<DockerRuntime, RuntimeError>,
    embedded: EmbeddedRuntime,
    chosen: RuntimeKind,
}

/// Docker Engine runs its containers outside of a user's world, where that user may change nothing.
async fn connect_docker() -> Result<DockerRuntime, RuntimeError> {
    if world::has_all_users() { DockerRuntime::connect().await } else { Err(RuntimeError::EngineOutside) }
}

impl Runtimes {
    /// Looks what there is, and chooses. Fails if Docker Engine is asked for and cannot be used.
    pub async fn connect(choice: RuntimeChoice) -> Result<Self, RuntimeError> {
        let docker = connect_docker().await;
        let chosen = match (choice, &docker) {
            (RuntimeChoice::Auto, Ok(_)) => RuntimeKind::Docker,
            (RuntimeChoice::Auto, Err(_)) => RuntimeKind::Embedded,
            (RuntimeChoice::This(kind), _) => kind,
        };
        match docker {
            Err(error) if chosen == RuntimeKind::Docker => Err(error),
            docker => Ok(Self { docker, embedded: EmbeddedRuntime::new(), chosen }),
        }
    }

    /// Looks what there is, to use labs that are there already, or to say what is missing: does not fail.
    pub async fn find() -> Self {
        let docker = connect_docker().await;
        let wanted = RuntimeChoice::from_environment().unwrap_or_default();
        let use_docker = match wanted {
            RuntimeChoice::Auto => docker.is_ok(),
            RuntimeChoice::This(kind) => kind == RuntimeKind::Docker,
        };
        let chosen = if use_docker { RuntimeKind::Docker } else { RuntimeKind::Embedded };
        Self { docker, embedded: EmbeddedRuntime::new(), chosen }
    }

    /// Docker Engine, or why it cannot be used.
    pub fn docker(&self) -> Result<&DockerRuntime, &RuntimeError> {
        self.docker.as_ref()
    }

    /// The embedded runtime.
    #[must_use]
    pub const fn embedded(&self) -> &EmbeddedRuntime {
        &self.embedded
    }

    fn chosen(&self) -> &dyn Runtime {
        match (&self.docker, self.chosen) {
            (Ok(docker), RuntimeKind::Docker) => docker,
            _ => &self.embedded,
        }
    }

    /// Those that can be used.
    fn usable(&self) -> impl Iterator<Item = &dyn Runtime> {
        let docker = self.docker.iter().map(|docker| -> &dyn Runtime { docker });
        docker.chain([&self.embedded as &dyn Runtime])
    }

    /// The one that has the container.
    fn of(&self, container: &str) -> &dyn Runtime {
        let lab = LabName::parse_namespace(container).map(|(lab, _)| lab);
        match (&self.docker, lab.and_then(|lab| RuntimeKind::of_lab(&lab))) {
            (_, Some(RuntimeKind::Embedded)) | (Err(_), _) => &self.embedded,
            (Ok(docker), _) => docker,
        }
    }
}

impl Runtime for Runtimes {
    fn kind(&self) -> RuntimeKind {
        self.chosen
    }

    fn network_order(&self) -> NetworkOrder {
        self.chosen().network_order()
    }

    fn reaches(&self, lab: &LabName) -> Result<(), RuntimeError> {
        match (RuntimeKind::of_lab(lab), &self.docker) {
            (Some(kind @ RuntimeKind::Docker), Err(error)) => {
                Err(RuntimeError::OutOfReach { lab: lab.clone(), kind, reason: error.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn check(&self) -> BoxFuture<'_, Result<String, RuntimeError>> {
        self.chosen().check()
    }

    fn describe<'a>(&'a self, lab: &'a LabName) -> BoxFuture<'a, Result<String, RuntimeError>> {
        match (&self.docker, RuntimeKind::of_lab(lab)) {
            (Ok(docker), Some(RuntimeKind::Docker)) => docker.check(),
            (_, Some(RuntimeKind::Embedded)) => self.embedded.describe(lab),
            _ => self.check(),
        }
    }

    fn prepare<'a>(&'a self, program: &'a Path) -> BoxFuture<'a, Result<Image, RuntimeError>> {
        self.chosen().prepare(program)
    }

    fn require_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.chosen().require_image(image)
    }

    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        program: &'a Path,
    ) -> BoxFuture<'a, Result<Image, RuntimeError>> {
        self.chosen().prepare_image(image, program)
    }

    fn start<'a>(&'a self, image: &'a Image, node: &'a NodeSpec) -> BoxFuture<'a, Result<Pid, RuntimeError>> {
        self.chosen().start(image, node)
    }

    fn state<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<NodeState>, RuntimeError>> {
        self.of(container).state(container)
    }

    fn list<'a>(&'a self, lab: Option<&'a LabName>) -> BoxFuture<'a, Result<Vec<Found>, RuntimeError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for runtime in self.usable() {
                found.extend(runtime.list(lab).await?);
            }
            found.sort_by(|a, b| a.container.cmp(&b.container));
            Ok(found)
        })
    }

    fn remove<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.of(container).remove(container)
    }

    fn sweep<'a>(&'a self, lab: &'a LabName) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            for runtime in self.usable() {
                runtime.sweep(lab).await?;
            }
            Ok(())
        })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for runtime in self.usable() {
                runtime.settle().await;
            }
        })
    }

    fn clean(&self) -> BoxFuture<'_, Result<usize, RuntimeError>> {
        Box::pin(async {
            let mut removed = 0;
            for runtime in self.usable() {
                removed += runtime.clean().await?;
            }
            Ok(removed)
        })
    }

    fn logs<'a>(&'a self, container: &'a str, follow: bool) -> BoxStream<'a, Result<Output, RuntimeError>> {
        self.of(container).logs(container, follow)
    }
}
