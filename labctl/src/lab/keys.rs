//! The login servers' key pairs. They are made when a lab comes up: a private key has no place in a plan,
//! which is printed and kept with records.

use std::net::SocketAddrV4;

use overlay_control::{LoginServer, NodeConfig};
use overlay_protocol::{KeyError, ServerKeyPair};

use super::LabError;
use crate::plan::{NodePlan, Plan};

/// The login servers of a plan, each with its node and its key pair.
///
/// The keys follow from the plan's seed, so that the same plan gives the same bytes on the wire. They
/// protect nothing but the lab.
pub(crate) fn login_servers(plan: &Plan) -> Result<Vec<(SocketAddrV4, &NodePlan, ServerKeyPair)>, LabError> {
    let Some(overlay) = &plan.overlay else { return Ok(Vec::new()) };
    let bits = overlay.parameters.server_key_bits.get();
    let pairs = overlay.login_servers.iter().map(|&address| {
        let node = plan.nodes.iter().find(|node| is_at(node, address)).ok_or_else(|| LabError::Keys {
            server: address,
            reason: "the plan has no node there".to_owned(),
        })?;
        let failed = |error: KeyError| LabError::Keys { server: address, reason: error.to_string() };
        Ok((address, node, ServerKeyPair::generate(node.seed, bits).map_err(failed)?))
    });
    pairs.collect()
}

/// The overlay nodes' configurations with the keys in them, in the order of the plan: every login server has its
/// own private key, and everybody has all login servers' public keys.
pub(super) fn configurations(plan: &Plan) -> Result<Vec<NodeConfig>, LabError> {
    if plan.overlay.is_none() {
        return Ok(Vec::new());
    }
    let pairs = login_servers(plan)?;
    let servers: Vec<_> = pairs
        .iter()
        .map(|(address, _, pair)| LoginServer { address: *address, public_key: pair.public().to_der_hex() })
        .collect();
    let configs = plan.nodes.iter().filter_map(|node| {
        let mut config = plan.node_config(node, &servers)?;
        let own = pairs.iter().find(|(_, owner, _)| owner.name == node.name);
        config.private_key = own.map(|(_, _, pair)| pair.to_der_hex().to_string());
        Some(config)
    });
    Ok(configs.collect())
}

fn is_at(node: &NodePlan, address: SocketAddrV4) -> bool {
    node.instances().iter().any(|instance| SocketAddrV4::new(instance.address, instance.port) == address)
}
