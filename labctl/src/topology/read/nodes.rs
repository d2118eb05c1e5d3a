//! Nodes, public ones and those behind a gateway, and access links.

use overlay_control::Role;

use super::super::MOST_ADDRESSES;
use super::super::document::Key;
use super::super::fields::{Fields, Item, Located};
use super::super::problem::did_you_mean;
use super::access::access;
use super::places::{self, place};
use super::{RawProgram, count, programs};
use crate::link::{AccessLink, Coordinates};
use crate::names::NodeName;

/// A node of the file, before `count:` is expanded.
#[derive(Debug)]
pub(crate) struct RawNode {
    pub(crate) name: Located<NodeName>,
    pub(crate) count: Option<Located<u32>>,
    pub(crate) kind: RawKind,
    pub(crate) region: Option<Located<String>>,
    pub(crate) at: Option<Coordinates>,
    pub(crate) access: AccessLink,
    pub(crate) addresses: u16,
    pub(crate) buddies: Vec<Located<String>>,
}

/// What a node runs.
#[derive(Debug)]
pub(crate) enum RawKind {
    /// The overlay's program.
    Overlay(Located<Role>),
    /// Anything else.
    Program(RawProgram),
    /// It could not be read, which was reported.
    Unknown,
}

impl RawKind {
    fn role(&self) -> Option<&Located<Role>> {
        match self {
            Self::Overlay(role) => Some(role),
            Self::Program(_) | Self::Unknown => None,
        }
    }
}

/// The top-level `nodes:`.
pub(super) fn read_public(item: &Item<'_>) -> Vec<RawNode> {
    read(item, "nodes", |mut fields, node| {
        node.region = region(&mut fields);
        node.at = place(&mut fields);
        if let Some(item) = fields.take("access") {
            node.access = access(&item, &format!("{}: access", fields.place())).unwrap_or(node.access);
        }
        let addresses = fields.take("addresses").and_then(|item| item.whole(&(1..=MOST_ADDRESSES)));
        if let Some(addresses) = addresses {
            if addresses.value > 1 && node.kind.role().is_some_and(|role| role.value != Role::SuperNode) {
                let message = "a client or login server has one address";
                fields.report(addresses.at, message, "use count: for more containers");
            }
            node.addresses = addresses.value;
        }
        fields.close();
    })
}

/// The `nodes:` of a site.
pub(super) fn read_private(item: &Item<'_>, site: &str) -> Vec<RawNode> {
    read(item, &format!("{site}: nodes"), |mut fields, node| {
        fields.refuse("region", "a node behind a gateway is where its site is", "leave it out");
        places::refuse(&mut fields, "a node behind a gateway is where its site is", "leave it out");
        fields.refuse("access", "the nodes of a site share its access link", "give it to the site");
        fields.refuse("addresses", "a node behind a gateway has one address", "leave it out");
        if let Some(role) = node.kind.role().filter(|role| role.value != Role::Client) {
            fields.report(
                role.at,
                "a super node or login server needs a public address",
                "put it below the top-level nodes: with a region",
            );
        }
        fields.close();
    })
}

fn read(item: &Item<'_>, place: &str, mut finish: impl FnMut(Fields<'_>, &mut RawNode)) -> Vec<RawNode> {
    let Some(mut block) = item.fields(place) else { return Vec::new() };
    let mut nodes = Vec::new();
    for (key, item) in block.rest() {
        let name = name(key, &block);
        let Some(mut fields) = item.fields(format!("node {}", key.name)) else { continue };
        let kind = kind(&mut fields);
        let count = count(&mut fields);
        let buddies = fields.take("buddies");
        let has_none = match &kind {
            RawKind::Overlay(role) => role.value != Role::Client,
            RawKind::Program(_) => true,
            RawKind::Unknown => false,
        };
        if let Some(item) = buddies.as_ref().filter(|_| has_none) {
            item.report("only a client has a buddy list", "leave it out");
        }
        // A node without a usable name is still read, so that its other mistakes are told too.
        let placeholder = Located { at: key.at, value: placeholder() };
        let mut node = RawNode {
            name: name.clone().unwrap_or(placeholder),
            count,
            kind,
            region: None,
            at: None,
            access: AccessLink::UNLIMITED,
            addresses: 1,
            buddies: buddies.as_ref().map(words).unwrap_or_default(),
        };
        finish(fields, &mut node);
        nodes.extend(name.map(|_| node));
    }
    nodes
}

/// What a node runs: exactly one of a role and a program.
fn kind(fields: &mut Fields<'_>) -> RawKind {
    if let Some(item) = fields.take("role") {
        let role = role(&item);
        programs::refuse(fields, role.as_ref().map_or("?", |role| name_of(role.value)));
        return role.map_or(RawKind::Unknown, RawKind::Overlay);
    }
    programs::read(fields).map_or(RawKind::Unknown, RawKind::Program)
}

fn placeholder() -> NodeName {
    "unnamed".parse().expect("letters alone make a name")
}

/// The name that a key gives to a node or site.
pub(super) fn name(key: &Key, block: &Fields<'_>) -> Option<Located<NodeName>> {
    match key.name.parse() {
        Ok(value) => Some(Located { at: key.at, value }),
        Err(error) => {
            block.report(key.at, error, "choose another name");
            None
        }
    }
}

const ROLES: [(&str, Role); 3] =
    [("client", Role::Client), ("super-node", Role::SuperNode), ("login-server", Role::LoginServer)];

fn name_of(role: Role) -> &'static str {
    ROLES.iter().find(|(_, known)| *known == role).map_or("?", |(name, _)| name)
}

fn role(item: &Item<'_>) -> Option<Located<Role>> {
    let text = item.text("a role: client, super-node or login-server")?;
    let known = ROLES.iter().find(|(name, _)| *name == text.value);
    if known.is_none() {
        let mend = did_you_mean(text.value, ROLES.iter().map(|(name, _)| *name));
        item.report(format_args!("unknown role '{}'", text.value), mend);
    }
    known.map(|(_, role)| Located { at: text.at, value: *role })
}

pub(super) fn region(fields: &mut Fields<'_>) -> Option<Located<String>> {
    let text = fields.take("region")?.text("the name of a region")?;
    Some(Located { at: text.at, value: text.value.to_owned() })
}

/// The names in a list.
pub(super) fn words(item: &Item<'_>) -> Vec<Located<String>> {
    let text = |item: Item<'_>| {
        let text = item.text("the name of a node")?;
        Some(Located { at: text.at, value: text.value.to_owned() })
    };
    item.list().into_iter().filter_map(text).collect()
}
