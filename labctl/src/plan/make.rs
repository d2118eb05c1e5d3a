//! Puts a plan together.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use overlay_control::{Instance, Role};

use super::addresses::{self, Addresses};
use super::seeds::derive_seed;
use super::{
    Attachment, EngineKind, GatewayPlan, HealthPlan, Lan, NodeKindPlan, NodePlan, OverlayNodePlan,
    OverlayPlan, Plan, ProgramPlan, WanPlan,
};
use crate::link::{AccessLink, Coordinates};
use crate::names::{NodeName, WAN};
use crate::profile::{GatewayContext, gateway_rules};
use crate::topology::{
    Members, Node, NodeKind, Place, Program, Site, Template, Topology, Uplink, WAN_SUBNET,
};

/// UDP and TCP port of login servers: that of 2006 (Baset and Schulzrinne, 2004).
pub const LOGIN_SERVER_PORT: u16 = 33_033;

/// Ports of super nodes. A client of 2006 chose its port at random at installation. Here it is below the ports
/// that Linux takes for outgoing connections (32768 and up), so that none of those can be in its way.
const SUPER_NODE_PORTS: std::ops::Range<u16> = 1_024..32_768;

/// Interface of a node.
const NODE_INTERFACE: &str = "eth0";
/// Outside interface of a gateway.
const OUTSIDE_INTERFACE: &str = "wan";
/// Inside interface of a gateway.
const INSIDE_INTERFACE: &str = "lan";

impl Plan {
    /// The plan of a topology.
    ///
    /// # Panics
    ///
    /// If the topology was not made by this library and is not valid.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        let addresses = addresses::assign(topology);
        let members = topology.members();
        let nodes: Vec<NodePlan> =
            topology.nodes.iter().map(|node| plan_node(topology, node, &addresses)).collect();
        Self {
            lab: topology.name.clone(),
            title: topology.title.clone(),
            published: topology.published.clone(),
            seed: topology.seed,
            wan: plan_wan(topology, &addresses, &members),
            gateways: addresses::outer_first(topology)
                .into_iter()
                .map(|site| plan_gateway(topology, site, &addresses, &members[&site.name]))
                .collect(),
            schedule: topology.schedule.clone(),
            overlay: plan_overlay(topology, &nodes),
            nodes,
        }
    }
}

fn plan_wan(
    topology: &Topology,
    addresses: &Addresses,
    members: &HashMap<&NodeName, Members<'_>>,
) -> WanPlan {
    let wan = &topology.wan;
    let nodes = topology.nodes.iter().filter_map(|node| {
        let Place::Wan { region, at, access } = &node.place else { return None };
        let public = addresses.nodes[&node.name].clone();
        Some(attachment(topology, &node.name, NODE_INTERFACE, (*region, *at), access, public))
    });
    let gateways = addresses::outer_first(topology).into_iter().filter_map(|site| {
        let Uplink::Wan { region, at } = site.uplink else { return None };
        let mut public = addresses.outside[&site.name].clone();
        if site.subnet.is_none() {
            public.extend(behind(&members[&site.name], addresses));
        }
        Some(attachment(topology, &site.name, OUTSIDE_INTERFACE, (region, at), &site.access, public))
    });
    WanPlan {
        namespace: topology.name.namespace(WAN),
        address: addresses::core(),
        network: WAN_SUBNET.network,
        prefix: WAN_SUBNET.prefix,
        seed: derive_seed(topology.seed, "wan", ""),
        regions: wan.regions.clone(),
        places: if wan.places.iter().any(Option::is_some) { wan.places.clone() } else { Vec::new() },
        delay: wan.rtt.iter().map(|row| row.iter().map(|rtt| *rtt / 2).collect()).collect(),
        jitter: wan.jitter,
        engine: EngineKind::User,
        attachments: nodes.chain(gateways).collect(),
    }
}

/// The addresses on a site's inside network, other than its gateway's.
fn behind(members: &Members<'_>, addresses: &Addresses) -> Vec<Ipv4Addr> {
    let nodes = members.nodes.iter().flat_map(|node| &addresses.nodes[&node.name]);
    let gateways = members.gateways.iter().flat_map(|inner| &addresses.outside[&inner.name]);
    nodes.chain(gateways).copied().collect()
}

fn attachment(
    topology: &Topology,
    name: &NodeName,
    interface: &str,
    (region, place): (usize, Option<Coordinates>),
    access: &AccessLink,
    addresses: Vec<Ipv4Addr>,
) -> Attachment {
    Attachment {
        name: name.clone(),
        namespace: topology.name.namespace(name.as_str()),
        interface: interface.to_owned(),
        region,
        place,
        addresses,
        access: *access,
    }
}

fn plan_gateway(
    topology: &Topology,
    site: &Site,
    addresses: &Addresses,
    members: &Members<'_>,
) -> GatewayPlan {
    let outside = addresses.outside[&site.name].clone();
    let inside = addresses.inside[&site.name];
    let (behind, outside_prefix, next_hop) = match &site.uplink {
        Uplink::Wan { .. } => (None, 32, addresses::core()),
        Uplink::Site { site: outer } => {
            let network = addresses.inside[outer];
            (Some(outer.clone()), network.prefix, gateway_address(addresses, outer))
        }
    };
    let context = GatewayContext {
        wan_interface: OUTSIDE_INTERFACE.to_owned(),
        lan_interface: INSIDE_INTERFACE.to_owned(),
        outside: outside.clone(),
        inside,
    };
    let rules = gateway_rules(&site.nat, &site.firewall, &context);
    GatewayPlan {
        name: site.name.clone(),
        namespace: topology.name.namespace(site.name.as_str()),
        behind,
        outside,
        outside_prefix,
        next_hop,
        inside: gateway_address(addresses, &site.name),
        inside_prefix: inside.prefix,
        lan: if members.links() == 1 { Lan::Link } else { Lan::Bridge },
        nat: site.nat.name.clone(),
        firewall: site.firewall.name.clone(),
        sysctls: rules.sysctls,
        nft: rules.nft,
        iptables: rules.iptables,
        fast_path: rules.fast_path,
    }
}

fn gateway_address(addresses: &Addresses, site: &NodeName) -> Ipv4Addr {
    addresses.inside[site].host(1).expect("a site's network has a first host")
}

fn plan_node(topology: &Topology, node: &Node, addresses: &Addresses) -> NodePlan {
    let own = addresses.nodes[&node.name].clone();
    let (gateway, prefix, next_hop) = match &node.place {
        Place::Wan { .. } => (None, 32, addresses::core()),
        Place::Site { site } => {
            (Some(site.clone()), addresses.inside[site].prefix, gateway_address(addresses, site))
        }
    };
    NodePlan {
        name: node.name.clone(),
        group: node.group.clone(),
        kind: match &node.kind {
            NodeKind::Overlay { role, buddies } => NodeKindPlan::Overlay(OverlayNodePlan {
                role: *role,
                buddies: buddies.clone(),
                instances: instances(topology.seed, &node.name, *role, &own),
            }),
            NodeKind::Program(program) => {
                NodeKindPlan::Program(plan_program(program, &node.name, &own, addresses))
            }
        },
        namespace: topology.name.namespace(node.name.as_str()),
        container: topology.name.container(node.name.as_str()),
        gateway,
        addresses: own,
        prefix,
        next_hop,
        seed: derive_seed(topology.seed, "node", node.name.as_str()),
    }
}

/// A node's program with its placeholders filled.
fn plan_program(program: &Program, node: &NodeName, own: &[Ipv4Addr], addresses: &Addresses) -> ProgramPlan {
    let address = |of: Option<&NodeName>, index: usize| match of {
        None => own[index],
        Some(name) => addresses.of(name).expect("a valid topology names what is there")[index],
    };
    let fill = |text: &Template| text.fill(node, address);
    ProgramPlan {
        image: program.image.clone(),
        command: program.command.iter().map(fill).collect(),
        environment: program.environment.iter().map(|(name, text)| (name.clone(), fill(text))).collect(),
        root: program.root.clone(),
        mounts: program.mounts.clone(),
        restart: program.restart,
        health: program.health.as_ref().map(|health| HealthPlan {
            command: health.command.iter().map(fill).collect(),
            interval: health.interval,
            timeout: health.timeout,
            retries: health.retries,
            start_period: health.start_period,
        }),
    }
}

fn instances(seed: u64, node: &NodeName, role: Role, addresses: &[Ipv4Addr]) -> Vec<Instance> {
    if role == Role::Client {
        // It has whatever address its interface has, and every login chooses a port.
        return vec![Instance { name: node.to_string(), address: Ipv4Addr::UNSPECIFIED, port: 0 }];
    }
    let instance = |(index, address): (usize, &Ipv4Addr)| {
        let name = if index == 0 { node.to_string() } else { format!("{node}.{}", index + 1) };
        let port = if role == Role::LoginServer { LOGIN_SERVER_PORT } else { super_node_port(seed, &name) };
        Instance { name, address: *address, port }
    };
    addresses.iter().enumerate().map(instance).collect()
}

fn super_node_port(seed: u64, instance: &str) -> u16 {
    let ports = u64::from(SUPER_NODE_PORTS.end - SUPER_NODE_PORTS.start);
    let offset = derive_seed(seed, "port", instance) % ports;
    SUPER_NODE_PORTS.start + u16::try_from(offset).expect("an offset within a range of ports")
}

fn plan_overlay(topology: &Topology, nodes: &[NodePlan]) -> Option<OverlayPlan> {
    let overlay = topology.overlay.as_ref()?;
    let endpoints = |role: Role| -> Vec<SocketAddrV4> {
        let instances = nodes.iter().filter(|node| node.role() == Some(role)).flat_map(NodePlan::instances);
        instances.map(|instance| SocketAddrV4::new(instance.address, instance.port)).collect()
    };
    let super_nodes = endpoints(Role::SuperNode);
    let (live, stale) = overlay.host_cache.filled(super_nodes.len());
    Some(OverlayPlan {
        profile: overlay.profile.clone(),
        parameters: overlay.parameters.clone(),
        login_servers: endpoints(Role::LoginServer),
        super_nodes,
        host_cache_entries: live + stale,
        host_cache_stale: stale,
        unassigned: addresses::unassigned(topology.seed, stale),
        measure: topology.experiment.measure.clone(),
        online: topology.experiment.online.clone(),
    })
}
