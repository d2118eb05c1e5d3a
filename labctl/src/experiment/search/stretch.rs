//! The direct way between two nodes, to compare with the way over the overlay.

use std::time::Duration;

use crate::plan::{Attachment, NodePlan, Plan};

/// The round trip between two nodes by the plan: regions and access links. Nothing for what is not on the WAN.
pub(super) fn round_trip(plan: &Plan, one: &NodePlan, other: &NodePlan) -> Option<Duration> {
    let (one, other) = (attachment(plan, one)?, attachment(plan, other)?);
    let path = 2 * plan.wan.path_delay(one, other)?;
    let access = |at: &Attachment| at.access.up.delay + at.access.down.delay;
    Some(path + access(one) + access(other))
}

/// Where a node's packets come to the WAN: itself, or its outermost gateway.
fn attachment<'a>(plan: &'a Plan, node: &NodePlan) -> Option<&'a Attachment> {
    let mut name = &node.name;
    let mut behind = node.gateway.as_ref();
    while let Some(gateway) = behind {
        name = gateway;
        behind = plan.gateways.iter().find(|plan| plan.name == *gateway)?.behind.as_ref();
    }
    plan.wan.attachments.iter().find(|attachment| attachment.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Catalogue;
    use crate::topology::{self, Overrides};

    #[test]
    fn a_round_trip_is_of_regions_and_access_links() {
        let (name, text) = topology::shipped().find(|(name, _)| *name == "expC").unwrap();
        let topology = topology::parse(text, name, &Catalogue::shipped(), &Overrides::default()).unwrap();
        let plan = Plan::new(&topology);
        let node = |name: &str| plan.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
        // us-east to europe 90 ms, and a campus link of 1 ms one way at each end.
        assert_eq!(round_trip(&plan, node("alice"), node("bob")), Some(Duration::from_millis(94)));
    }
}
