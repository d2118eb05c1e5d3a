//! Waiting for what the engine still does on behalf of a labctl that is dead.
//!
//! The engine finishes a request whose sender is gone. A container that is being created is not yet in the
//! engine's list, but its name is taken: so asking for the same name tells whether a creation is under way.

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::super::RuntimeError;
use super::{container, failed, image, status};
use crate::names::LabName;

/// How long the engine may take to create or remove one container before something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks. The engine has no event for "name free again".
const PAUSE: Duration = Duration::from_millis(10);
/// Names asked for at a time.
const AT_ONCE: usize = 4;

/// Waits until none of these containers is being created.
pub async fn created(docker: &Docker, lab: &LabName, containers: &[String]) -> Result<(), RuntimeError> {
    // Without an image no container can have been asked for.
    let Some(image) = image::all(docker).await?.into_iter().next() else { return Ok(()) };
    stream::iter(containers)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |name| settle(docker, lab, &image, name))
        .await
}

async fn settle(docker: &Docker, lab: &LabName, image: &str, name: &str) -> Result<(), RuntimeError> {
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        // Should this labctl die here, the next `down` finds it by its label.
        labels: Some(container::labels(lab, name, "")),
        host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    match docker.create_container(Some(options), body).await {
        Ok(_) => {
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            docker.remove_container(name, Some(options)).await.map_err(failed("removing container", name))
        }
        Err(error) if status(&error) == Some(409) => listed(docker, name).await,
        // The image went away, so no creation can be under way that needs it.
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) => Err(failed("asking for the name of container", name)(error)),
    }
}

/// Waits until the container whose name is taken can be seen.
async fn listed(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    wait(name, "waiting for the creation of container", || async {
        Ok(container::state(docker, name).await?.is_some())
    })
    .await
}

/// Waits until a container that somebody is removing is gone.
pub async fn removed(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    wait(name, "waiting for the removal of container", || async {
        Ok(container::state(docker, name).await?.is_none())
    })
    .await
}

async fn wait<F>(name: &str, doing: &'static str, done: impl Fn() -> F) -> Result<(), RuntimeError>
where
    F: Future<Output = Result<bool, RuntimeError>>,
{
    let begin = Instant::now();
    while !done().await? {
        if begin.elapsed() > PATIENCE {
            let reason = format!("not done after {} s", PATIENCE.as_secs());
            return Err(RuntimeError::Engine { doing, what: name.to_owned(), reason });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
