//! What the super nodes say of their part of the directory.

use futures_util::future::try_join_all;

use super::record::SuperNodeRecord;
use super::{SearchError, SearchExperiment};
use crate::experiment::login::{Ground, of};

impl<G: Ground> SearchExperiment<'_, G> {
    /// Every super node, in the order of the plan.
    pub(super) async fn super_nodes(&self) -> Result<Vec<SuperNodeRecord>, SearchError> {
        let asked = self.login.super_nodes().map(|node| async move {
            let status = self.login.control(&node.name).status().await.map_err(of(&node.name))?;
            let record = |instance: overlay_control::InstanceStatus| {
                Some(SuperNodeRecord {
                    name: instance.name,
                    address: instance.address?,
                    clients: instance.connections,
                    directory: instance.directory?,
                })
            };
            Ok::<_, SearchError>(status.instances.into_iter().filter_map(record).collect::<Vec<_>>())
        });
        Ok(try_join_all(asked).await?.concat())
    }
}

/// What happened since: what is held is as it is now, what was done is the difference.
pub(super) fn since(before: &[SuperNodeRecord], mut now: Vec<SuperNodeRecord>) -> Vec<SuperNodeRecord> {
    for record in &mut now {
        let earlier = before.iter().find(|earlier| earlier.name == record.name);
        if let Some(earlier) = earlier.map(|earlier| earlier.directory) {
            let done = &mut record.directory;
            done.searches -= earlier.searches.min(done.searches);
            done.lookups -= earlier.lookups.min(done.lookups);
            done.forwards -= earlier.forwards.min(done.forwards);
            done.cache_hits -= earlier.cache_hits.min(done.cache_hits);
            done.replications -= earlier.replications.min(done.replications);
            done.gossip -= earlier.gossip.min(done.gossip);
        }
    }
    now
}
