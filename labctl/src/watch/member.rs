//! The nodes and gateways of a lab as a tree: sites with what is in them, then the public nodes.

use std::collections::HashMap;

use overlay_control::Status;

use crate::names::NodeName;
use crate::plan::{GatewayPlan, NodePlan, Plan};
use crate::runtime::{Health, NodeState};

/// What a row of the tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A gateway, with its NAT and firewall profile.
    Gateway {
        /// Name of the NAT profile.
        nat: String,
        /// Name of the firewall profile.
        firewall: String,
    },
    /// A node of the overlay, which can be asked for its status.
    Overlay(&'static str),
    /// A node that runs another program.
    Program,
}

impl Kind {
    /// Its word: a role, `gateway` or `program`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::Overlay(role) => role,
            Self::Program => "program",
        }
    }
}

/// Whether it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Liveness {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It runs.
    Up,
    /// It runs, but its health check says that it does not work, or nothing yet.
    Poor(String),
    /// It is there but does not run.
    Ended(String),
    /// It should be there and is not.
    Missing,
}

impl Liveness {
    /// Of a container.
    #[must_use]
    pub fn of(state: &NodeState) -> Self {
        match state {
            NodeState::Running { health: None | Some(Health::Healthy), .. } => Self::Up,
            NodeState::Running { health: Some(health), .. } => Self::Poor(health.to_string()),
            other => Self::Ended(other.to_string()),
        }
    }

    /// In a word or two.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Unknown => "?",
            Self::Up => "up",
            Self::Poor(word) | Self::Ended(word) => word,
            Self::Missing => "missing",
        }
    }
}

/// A node or a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How many gateways it is behind.
    pub depth: usize,
    /// Its first address, and how many more there are.
    pub address: String,
    /// The gateway whose mappings concern it: itself, or the one that it is behind.
    pub gateway: Option<String>,
    /// Whether it is there.
    pub liveness: Liveness,
    /// What an overlay node says of itself.
    pub says: String,
}

impl Member {
    /// All of a plan: sites with what is behind their gateways, then public nodes.
    #[must_use]
    pub fn of_plan(plan: &Plan) -> Vec<Self> {
        let mut behind = Behind::new();
        for gateway in &plan.gateways {
            behind.entry(gateway.behind.as_ref().map(NodeName::as_str)).or_default().0.push(gateway);
        }
        for node in &plan.nodes {
            behind.entry(node.gateway.as_ref().map(NodeName::as_str)).or_default().1.push(node);
        }
        let mut members = Vec::new();
        place(None, 0, &behind, &mut members);
        members
    }

    /// What it says in the tree: what the node says of itself while it runs, else what became of it.
    #[must_use]
    pub fn state(&self) -> &str {
        match (&self.liveness, &self.kind) {
            (Liveness::Up, Kind::Overlay(_)) if !self.says.is_empty() => &self.says,
            (liveness, _) => liveness.word(),
        }
    }
}

/// Who is behind each gateway, and who is behind none.
type Behind<'a> = HashMap<Option<&'a str>, (Vec<&'a GatewayPlan>, Vec<&'a NodePlan>)>;

fn place(outer: Option<&str>, depth: usize, behind: &Behind<'_>, members: &mut Vec<Member>) {
    let Some((gateways, nodes)) = behind.get(&outer) else { return };
    // In a site its nodes come before the sites behind it, so that they stand below their own gateway.
    let add_nodes = |members: &mut Vec<Member>| {
        members.extend(nodes.iter().map(|node| of_node(node, depth)));
    };
    if outer.is_some() {
        add_nodes(members);
    }
    for gateway in gateways {
        members.push(of_gateway(gateway, depth));
        place(Some(gateway.name.as_str()), depth + 1, behind, members);
    }
    if outer.is_none() {
        add_nodes(members);
    }
}

fn of_gateway(gateway: &GatewayPlan, depth: usize) -> Member {
    Member {
        name: gateway.name.to_string(),
        kind: Kind::Gateway { nat: gateway.nat.clone(), firewall: gateway.firewall.clone() },
        depth,
        address: shortened(&gateway.outside),
        gateway: Some(gateway.name.to_string()),
        liveness: Liveness::Unknown,
        says: String::new(),
    }
}

fn of_node(node: &NodePlan, depth: usize) -> Member {
    Member {
        name: node.name.to_string(),
        kind: if node.overlay().is_some() { Kind::Overlay(node.role_name()) } else { Kind::Program },
        depth,
        address: shortened(&node.addresses),
        gateway: node.gateway.as_ref().map(ToString::to_string),
        liveness: Liveness::Unknown,
        says: String::new(),
    }
}

fn shortened(addresses: &[std::net::Ipv4Addr]) -> String {
    match addresses {
        [] => "-".to_owned(),
        [one] => one.to_string(),
        [first, more @ ..] => format!("{first} +{}", more.len()),
    }
}

/// What an overlay node says of itself, in a few words.
#[must_use]
pub fn words(status: &Status) -> String {
    let connections: usize = status.instances.iter().map(|instance| instance.connections).sum();
    let relayed: usize = status.instances.iter().filter_map(|instance| instance.relayed_calls).sum();
    let Some(first) = status.instances.first() else { return String::new() };
    let mut said = match status.instances.len() {
        1 => first.state.clone(),
        many => format!("{many} {}", first.state),
    };
    match first.call.as_deref() {
        None | Some("none") => {}
        Some(call) => said = format!("{said}, call {call}"),
    }
    if let Some(super_node) = first.super_node {
        said = format!("{said} via {}", super_node.ip());
    }
    if connections > 0 && first.super_node.is_none() {
        said = format!("{said}, {connections} conn.");
    }
    if relayed > 0 {
        said = format!("{said}, {relayed} relayed");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_below_their_gateways_and_public_nodes_at_the_end() {
        let text = "\
name: tree
wan: { regions: [here], rtt: { here/here: 10ms } }
nodes: { server: { command: [sleep, infinity], region: here } }
sites:
  isp:
    region: here
    gateway: { nat: port-restricted, firewall: open }
  home:
    uplink: isp
    subnet: 10.0.0.0/24
    gateway: { nat: port-restricted, firewall: open }
    nodes: { pc: { command: [sleep, infinity] } }
";
        let catalogue = crate::profile::Catalogue::shipped();
        let topology =
            crate::topology::parse(text, "tree.yaml", &catalogue, &crate::topology::Overrides::default())
                .unwrap();
        let members = Member::of_plan(&Plan::new(&topology));
        let rows: Vec<_> =
            members.iter().map(|row| (row.depth, row.name.as_str(), row.kind.word())).collect();
        assert_eq!(
            rows,
            [(0, "isp", "gateway"), (1, "home", "gateway"), (2, "pc", "program"), (0, "server", "program")]
        );
        assert_eq!(members[2].gateway.as_deref(), Some("home"));
        assert_eq!(members[3].gateway, None);
    }
}
