//! Checks of a topology as a whole, once all of its parts are right.

use std::collections::{BTreeMap, HashSet};

use overlay_control::Role;

use super::super::fields::Reporter;
use super::super::problem::{Mark, Problem};
use super::super::{Members, Place, Site, Subnet, Topology, Uplink, WAN_ASSIGNABLE, WAN_SUBNET};
use super::Names;
use crate::names::NodeName;
use crate::profile::NatBehaviour;

/// Runs them all.
pub(super) fn run(topology: &Topology, names: &Names, reporter: &Reporter) {
    population(topology, names, reporter);
    let sites: BTreeMap<&NodeName, &Site> = topology.sites.iter().map(|site| (&site.name, site)).collect();
    for site in &topology.sites {
        let report = |message: String, mend: &str| {
            let message = format!("site {}: {message}", site.name);
            reporter.report(Problem::new(names.mark(&site.name), message).mend(mend));
        };
        match (&site.nat.behaviour, site.subnet) {
            (None, _) => untranslated(site, report),
            (Some(nat), Some(subnet)) => forwards(nat, subnet, report),
            (Some(_), None) => {}
        }
        if let Some(subnet) = site.subnet.filter(|subnet| subnet.overlaps(WAN_SUBNET)) {
            let message = format!("the private network {subnet} overlaps with the WAN's, {WAN_SUBNET}");
            report(message, "take a private one: subnet: 192.168.1.0/24");
        }
        match ancestors(site, &sites) {
            Some(outer) => overlaps(site, &outer, report),
            None => report(
                "its uplinks lead in a circle, so that it is in no reachable place".to_owned(),
                "give one of the sites in the circle a region in place of its uplink",
            ),
        }
    }
    capacity(topology, names, reporter);
    placement(topology, names, reporter);
}

fn population(topology: &Topology, names: &Names, reporter: &Reporter) {
    let with_role = |role: Role| topology.nodes.iter().filter(move |node| node.role() == Some(role));
    if topology.nodes.is_empty() {
        let mend = "add some below 'nodes:' or in a site: nodes: { alice: { role: client } }";
        reporter.report(Problem::new(Mark::default(), "the topology has no node").mend(mend));
    }
    let Some(client) = with_role(Role::Client).next() else { return };
    let need = |role: Role, message: &str, mend: &str| {
        if with_role(role).next().is_none() {
            let message = format!("node {}: {message}", client.name);
            reporter.report(Problem::new(names.mark(&client.name), message).mend(mend));
        }
    };
    let region = &topology.wan.regions[0];
    need(
        Role::LoginServer,
        "a client cannot log in without a login server, and the topology has none",
        &format!("add one below the top-level nodes: login: {{ role: login-server, region: {region} }}"),
    );
    need(
        Role::SuperNode,
        "a client cannot log in without a super node, and the topology has none",
        &format!(
            "add some below the top-level nodes: sn: {{ role: super-node, region: {region}, count: 16 }}"
        ),
    );
}

/// A site without translation: its nodes have public addresses, which only the WAN can route.
fn untranslated(site: &Site, report: impl Fn(String, &str)) {
    if site.subnet.is_some() {
        report(
            format!(
                "its nat '{}' translates nothing, so that private addresses are of no use",
                site.nat.name
            ),
            "leave 'subnet' out: its nodes get public addresses; or take a nat that translates",
        );
    }
    if matches!(site.uplink, Uplink::Site { .. }) {
        report(
            format!(
                "its nat '{}' translates nothing, and the site that it is behind cannot route to its nodes",
                site.nat.name
            ),
            "give it a region in place of the uplink, or take a nat that translates",
        );
    }
    if site.outside_addresses > 1 {
        report(
            format!(
                "its nat '{}' translates nothing, so that it needs one outside address only",
                site.nat.name
            ),
            "leave 'outside_addresses' out",
        );
    }
}

/// A NAT that leads packets from outside to hosts that the site's network does not have.
fn forwards(nat: &NatBehaviour, subnet: Subnet, report: impl Fn(String, &str)) {
    let mend = "name a host of the site's network";
    for forward in nat.forwards.iter().filter(|forward| forward.to.address(subnet).is_none()) {
        report(format!("its nat leads port {} to a host that {subnet} does not have", forward.outside), mend);
    }
    if nat.dmz.is_some_and(|host| host.address(subnet).is_none()) {
        report(format!("its nat leads everything else to a host that {subnet} does not have"), mend);
    }
}

/// The sites that a site is behind, nearest first; `None` if they make a circle.
fn ancestors<'a>(site: &'a Site, sites: &BTreeMap<&NodeName, &'a Site>) -> Option<Vec<&'a Site>> {
    let mut seen = HashSet::from([&site.name]);
    let mut outer = Vec::new();
    let mut at = site;
    while let Uplink::Site { site: name } = &at.uplink {
        if !seen.insert(name) {
            return None;
        }
        at = sites.get(name)?;
        outer.push(at);
    }
    Some(outer)
}

/// Sites that are apart may have the same private network; one behind the other cannot: the inner gateway
/// would have the same network on both sides.
fn overlaps(site: &Site, outer: &[&Site], report: impl Fn(String, &str)) {
    let Some(inside) = site.subnet else { return };
    for outer in outer {
        if let Some(outside) = outer.subnet.filter(|outside| outside.overlaps(inside)) {
            report(
                format!(
                    "its network {inside} overlaps with {outside} of site {}, which it is behind",
                    outer.name
                ),
                "give one of them another one, such as subnet: 10.0.0.0/24",
            );
        }
    }
}

fn capacity(topology: &Topology, names: &Names, reporter: &Reporter) {
    let members = topology.members();
    let mut public: u64 = 0;
    for node in &topology.nodes {
        if matches!(node.place, Place::Wan { .. }) {
            public += u64::from(node.addresses);
        }
    }
    for site in &topology.sites {
        let hosts = members.get(&site.name).map_or(1, Members::hosts);
        match site.subnet {
            Some(subnet) if hosts > subnet.hosts() => {
                let message = format!(
                    "site {}: its gateway and nodes need {hosts} addresses, and {subnet} has {}",
                    site.name,
                    subnet.hosts()
                );
                let mend = match Subnet::prefix_for(hosts) {
                    Some(prefix) => format!(
                        "take a network with a prefix length of {prefix} or less: subnet: 10.0.0.0/{prefix}"
                    ),
                    None => "lower the counts".to_owned(),
                };
                reporter.report(Problem::new(names.mark(&site.name), message).mend(mend));
            }
            Some(_) => {}
            // A block of the WAN, of a size that is a power of two, and as much again to align it.
            None => public += 2 * (u64::from(hosts) + 2).next_power_of_two(),
        }
        if matches!(site.uplink, Uplink::Wan { .. }) {
            public += u64::from(site.outside_addresses);
        }
    }
    if public > u64::from(WAN_ASSIGNABLE) {
        let message =
            format!("the topology needs {public} public addresses, and the WAN has {WAN_ASSIGNABLE}");
        reporter.report(Problem::new(Mark::default(), message).mend("lower the counts"));
    }
}

/// Where one has a place of its own, delays follow from distances, so that all need one: their own or their region's.
fn placement(topology: &Topology, names: &Names, reporter: &Reporter) {
    let nodes = topology.nodes.iter().filter_map(|node| match node.place {
        Place::Wan { region, at, .. } => Some((&node.name, "node", region, at)),
        Place::Site { .. } => None,
    });
    let sites = topology.sites.iter().filter_map(|site| match site.uplink {
        Uplink::Wan { region, at } => Some((&site.name, "site", region, at)),
        Uplink::Site { .. } => None,
    });
    let attached: Vec<_> = nodes.chain(sites).collect();
    let Some((placed, ..)) = attached.iter().find(|(.., at)| at.is_some()) else { return };
    let lost =
        attached.iter().find(|(_, _, region, at)| at.is_none() && topology.wan.places[*region].is_none());
    if let Some((name, what, region, _)) = lost {
        let region = &topology.wan.regions[*region];
        let message = format!(
            "{what} {name}: '{placed}' has a latitude and a longitude, and the way from there to region '{region}' \
             has no length"
        );
        let mend = format!(
            "give the region a place: regions: {{ {region}: {{ latitude: 50.1, longitude: 8.7 }} }}; or give this {what} one"
        );
        reporter.report(Problem::new(names.mark(name), message).mend(mend));
    }
}
