//! The login servers' key pairs. They are made when a lab comes up: a private key has no place in a plan,
//! which is printed and kept with records.

use std::net::{Ipv4Addr, SocketAddrV4};

use overlay_control::{NodeConfig, Role};
use overlay_protocol::{KeyError, ServerKeyPair};

use super::LabError;
use crate::plan::Plan;

/// The nodes' configurations with the keys in them, in the order of the plan: every login server has its
/// own private key, and everybody has the public keys of the login servers that they know.
///
/// The keys follow from the plan's seed, so that the same plan gives the same bytes on the wire. They
/// protect nothing but the lab.
pub(super) fn configurations(plan: &Plan) -> Result<Vec<NodeConfig>, LabError> {
    let mut configs: Vec<NodeConfig> = plan.nodes.iter().map(|node| node.config.clone()).collect();
    let mut public_keys: Vec<(SocketAddrV4, String)> = Vec::new();
    for config in configs.iter_mut().filter(|config| config.role == Role::LoginServer) {
        let bits = config.parameters.server_key_bits.get();
        let failed = |error: KeyError| LabError::Keys { node: config.name.clone(), reason: error.to_string() };
        let pair = ServerKeyPair::generate(config.seed, bits).map_err(failed)?;
        let public = pair.public().to_der_hex();
        public_keys.extend(addresses(config).map(|address| (address, public.clone())));
        config.private_key = Some(pair.to_der_hex().as_str().to_owned());
    }
    for config in &mut configs {
        for server in &mut config.login_servers {
            let Some((_, key)) = public_keys.iter().find(|(address, _)| *address == server.address) else {
                let reason = format!("node {} knows one at {}, but no node is there", config.name, server.address);
                return Err(LabError::Keys { node: "?".to_owned(), reason });
            };
            server.public_key.clone_from(key);
        }
    }
    Ok(configs)
}

fn addresses(config: &NodeConfig) -> impl Iterator<Item = SocketAddrV4> + '_ {
    config
        .instances
        .iter()
        .filter(|instance| instance.address != Ipv4Addr::UNSPECIFIED)
        .map(|instance| SocketAddrV4::new(instance.address, instance.port))
}
