//! Removes labs, by name and label alone: neither a state file nor a whole lab is needed.

use std::path::PathBuf;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{FoundLab, LabError, LabLock, Observer, StateDirectory, Step, find, find_all, find_lab};
use crate::keeper;
use crate::names::LabName;
use crate::net::NetNs;
use crate::runtime::Runtime;

/// Containers removed at a time. The engine removes them one by one in parts, so that more do not help.
const REMOVED_AT_ONCE: usize = 16;

/// What was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The lab.
    pub lab: LabName,
    /// How many containers.
    pub containers: usize,
    /// How many namespaces.
    pub namespaces: usize,
}

/// Removes a lab. Fails if there is nothing of it.
pub async fn down(
    runtime: &dyn Runtime,
    lab: &LabName,
    observer: &dyn Observer,
) -> Result<Removed, LabError> {
    // Before the lock is taken, because the lock leaves a trace itself.
    if find_lab(runtime, lab).await?.is_none() {
        return Err(find::no_such_lab(lab, &find_all(runtime).await?));
    }
    let lock = LabLock::acquire(lab)?;
    let removed = remove(runtime, lab, observer).await?;
    lock.remove()?;
    Ok(removed)
}

/// Removes all labs of which anything is on this machine, and then the node images that nothing uses.
pub async fn down_all(runtime: &dyn Runtime, observer: &dyn Observer) -> Result<Vec<Removed>, LabError> {
    let mut removed = Vec::new();
    for lab in find_all(runtime).await? {
        removed.push(down(runtime, &lab.name, observer).await?);
    }
    runtime.clean().await?;
    Ok(removed)
}

/// Removes all that is found of a lab, whose lock the caller has.
pub(super) async fn remove(
    runtime: &dyn Runtime,
    lab: &LabName,
    observer: &dyn Observer,
) -> Result<Removed, LabError> {
    // Containers that cannot be seen would be left without a trace of where they belong.
    runtime.reaches(lab)?;
    let mut removed = Removed { lab: lab.clone(), containers: 0, namespaces: 0 };
    if !StateDirectory::of(lab).is_ready() {
        // `up` may have died while the engine was at work for it.
        runtime.settle().await;
    }
    let Some(found) = find_lab(runtime, lab).await? else { return Ok(removed) };
    removed.containers = found.containers.len();
    removed.namespaces = found.namespaces.len();
    // Neither waits for the other: a namespace goes away when both its name and its processes have.
    tokio::try_join!(remove_containers(runtime, &found, observer), remove_network(&found, observer))?;
    runtime.sweep(lab).await?;
    observer.begin(Step::RemoveDirectory, 0);
    StateDirectory::of(lab).remove()?;
    observer.end(Step::RemoveDirectory, "");
    Ok(removed)
}

async fn remove_containers(
    runtime: &dyn Runtime,
    found: &FoundLab,
    observer: &dyn Observer,
) -> Result<(), LabError> {
    observer.begin(Step::RemoveNodes, found.containers.len());
    stream::iter(&found.containers)
        .map(Ok)
        .try_for_each_concurrent(REMOVED_AT_ONCE, |container| async {
            runtime.remove(&container.container).await?;
            observer.advance(Step::RemoveNodes);
            Ok::<(), LabError>(())
        })
        .await?;
    observer.end(Step::RemoveNodes, &found.containers.len().to_string());
    Ok(())
}

async fn remove_network(found: &FoundLab, observer: &dyn Observer) -> Result<(), LabError> {
    observer.begin(Step::RemoveNetwork, found.namespaces.len());
    keeper::stop(&found.name).await.map_err(|source| LabError::Network {
        doing: "ending the background process".to_owned(),
        source: Box::new(source),
    })?;
    let namespaces = found.namespaces.clone();
    let delete = move || {
        NetNs::delete_all(&namespaces).map_err(|source| LabError::Network {
            doing: "removing namespaces".to_owned(),
            source: Box::new(source),
        })
    };
    tokio::task::spawn_blocking(delete).await.map_err(|error| {
        LabError::file("removing namespaces below", PathBuf::from("/run/netns"))(error.into())
    })??;
    observer.end(Step::RemoveNetwork, &found.namespaces.len().to_string());
    Ok(())
}
