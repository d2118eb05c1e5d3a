//! What the nodes of a lab are started from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::try_join_all;

use super::LabError;
use crate::plan::{NodePlan, Plan};
use crate::runtime::{Image, Runtime};

/// Images that are ready to be started.
#[derive(Debug)]
pub(super) struct Images {
    /// Of the node program: of overlay nodes, and of programs of the host.
    pub(super) node: Image,
    /// Of the user's images, by the names that the topology gives them.
    others: BTreeMap<String, Image>,
}

/// The user's images that a plan names, each once.
fn named(plan: &Plan) -> BTreeSet<&str> {
    plan.nodes.iter().filter_map(image_of).collect()
}

fn image_of(node: &NodePlan) -> Option<&str> {
    node.program()?.image.as_deref()
}

impl Images {
    /// Fails if an image that the plan names is not there.
    pub(super) async fn require(runtime: &dyn Runtime, plan: &Plan) -> Result<(), LabError> {
        try_join_all(named(plan).into_iter().map(|image| runtime.require_image(image))).await?;
        Ok(())
    }

    /// Makes all that the plan needs.
    pub(super) async fn prepare(
        runtime: &dyn Runtime,
        plan: &Plan,
        program: &Path,
    ) -> Result<Self, LabError> {
        let node = runtime.prepare(program).await?;
        let others = named(plan).into_iter().map(|name| async move {
            runtime.prepare_image(name, program).await.map(|image| (name.to_owned(), image))
        });
        Ok(Self { node, others: try_join_all(others).await?.into_iter().collect() })
    }

    /// Makes what one node needs.
    pub(super) async fn prepare_for(
        runtime: &dyn Runtime,
        node: &NodePlan,
        program: &Path,
    ) -> Result<Image, LabError> {
        let image = match image_of(node) {
            Some(name) => runtime.prepare_image(name, program).await,
            None => runtime.prepare(program).await,
        };
        Ok(image?)
    }

    /// What a node is started from.
    pub(super) fn of(&self, node: &NodePlan) -> &Image {
        image_of(node).and_then(|name| self.others.get(name)).unwrap_or(&self.node)
    }
}
