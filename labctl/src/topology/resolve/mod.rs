//! What was read -> [`Topology`]: `count:` expanded, every name resolved, the whole checked.

mod checks;
mod names;
mod programs;
mod schedule;

use overlay_control::Role;

use super::fields::{Located, Reporter};
use super::problem::{Mark, Problem, did_you_mean};
use super::read::{RawKind, RawNode, RawSite, RawTopology, RawWan};
use super::{
    DEFAULT_OUTSIDE_ADDRESSES, DEFAULT_OVERLAY, Experiment, HostCache, Node, NodeKind, Overlay, Place, Site,
    Topology, Uplink, Wan, parameters, published,
};
use crate::link::Coordinates;
use crate::names::{LabName, NodeName};

use names::Names;

/// Resolves and checks; `None` if anything is wrong, now or before.
pub(super) fn topology(
    raw: RawTopology,
    name: Option<LabName>,
    finder: &parameters::Finder<'_>,
    reporter: &Reporter,
) -> Option<Topology> {
    let names = Names::expand(&raw, reporter)?;
    if let Some(published) = &raw.published
        && !published::ROWS.contains(&published.value.as_str())
    {
        let mend = did_you_mean(&published.value, published::ROWS.iter().copied());
        let message = format!("no row '{}' was published", published.value);
        reporter.report(Problem::new(published.at, message).mend(mend));
    }
    let sites = sites(&raw, &names, reporter);
    let nodes = nodes(&raw, &names, reporter);
    let experiment = experiment(&raw, &names, reporter);
    let overlay = overlay(&raw, finder, reporter);
    programs::check(&raw, &names, reporter);
    if !reporter.is_clean() {
        return None;
    }
    let name = name.or(raw.name.map(|name| name.value))?;
    let mut topology = Topology {
        title: raw.title.unwrap_or_else(|| name.to_string()),
        name,
        published: raw.published.map(|published| published.value),
        seed: raw.seed,
        wan: raw.wan.wan,
        overlay,
        sites,
        nodes,
        schedule: Vec::new(),
        experiment,
    };
    checks::run(&topology, &names, reporter);
    topology.schedule = schedule::resolve(&raw.schedule, &topology, reporter);
    reporter.is_clean().then_some(topology)
}

/// The index of a region; if none is named, that of the only one, or of the one that is nearest to a place.
fn region(
    (named, place_of_its_own): (Option<&Located<String>>, Option<Coordinates>),
    wan: &RawWan,
    at: Mark,
    place: &str,
    reporter: &Reporter,
) -> Option<usize> {
    if !wan.regions_known {
        return None;
    }
    let regions = &wan.wan.regions;
    let list = regions.join(", ");
    let problem = match named {
        None if regions.len() == 1 => return Some(0),
        None if let Some(nearest) = place_of_its_own.and_then(|at| nearest(&wan.wan, at)) => {
            return Some(nearest);
        }
        None => {
            Problem::new(at, format!("{place}: the key 'region' is missing, so it is in no reachable place"))
                .mend(format!("one of: {list}"))
        }
        Some(name) => match regions.iter().position(|region| *region == name.value) {
            Some(index) => return Some(index),
            None => Problem::new(name.at, format!("{place}: unknown region '{}'", name.value))
                .mend(did_you_mean(&name.value, regions.iter().map(String::as_str))),
        },
    };
    reporter.report(problem);
    None
}

/// The region whose place is nearest; `None` if no region has one.
fn nearest(wan: &Wan, at: Coordinates) -> Option<usize> {
    let distances =
        wan.places.iter().enumerate().filter_map(|(index, place)| Some((index, (*place)?.distance_km(at))));
    distances.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

fn sites(raw: &RawTopology, names: &Names, reporter: &Reporter) -> Vec<Site> {
    let mut sites = Vec::new();
    for (group, expanded) in raw.sites.iter().zip(&names.sites) {
        let uplink = uplink(group, raw, names, reporter);
        let (Some(uplink), Some(nat), Some(firewall)) = (uplink, &group.nat, &group.firewall) else {
            continue;
        };
        for instance in expanded {
            sites.push(Site {
                name: instance.name.clone(),
                uplink: uplink.clone(),
                nat: nat.value.clone(),
                firewall: firewall.clone(),
                outside_addresses: group
                    .outside_addresses
                    .as_ref()
                    .map_or(DEFAULT_OUTSIDE_ADDRESSES, |n| n.value),
                subnet: group.subnet.as_ref().map(|subnet| subnet.value).or_else(|| {
                    // Without translation the nodes need addresses that the WAN routes: the plan gives them.
                    nat.value.behaviour.is_some().then_some(super::DEFAULT_SUBNET)
                }),
                access: group.access,
            });
        }
    }
    sites
}

fn uplink(site: &RawSite, raw: &RawTopology, names: &Names, reporter: &Reporter) -> Option<Uplink> {
    let place = format!("site {}", site.name.value);
    let Some(outer) = &site.uplink else {
        let given = (site.region.as_ref(), site.at);
        let region = region(given, &raw.wan, site.name.at, &place, reporter)?;
        return Some(Uplink::Wan { region, at: site.at });
    };
    let known = names.sites.iter().flatten().map(|instance| &instance.name);
    if let Some(name) = known.clone().find(|name| name.as_str() == outer.value) {
        return Some(Uplink::Site { site: name.clone() });
    }
    let counted = raw.sites.iter().any(|site| site.name.value.as_str() == outer.value);
    let mend = if counted {
        format!("'{0}' has a count: name one of them, such as {0}-1", outer.value)
    } else {
        did_you_mean(&outer.value, known.map(NodeName::as_str))
    };
    reporter.report(Problem::new(outer.at, format!("{place}: unknown uplink '{}'", outer.value)).mend(mend));
    None
}

fn nodes(raw: &RawTopology, names: &Names, reporter: &Reporter) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (group, expanded) in raw.nodes.iter().zip(&names.public) {
        let place = format!("node {}", group.name.value);
        let given = (group.region.as_ref(), group.at);
        let region = region(given, &raw.wan, group.name.at, &place, reporter);
        let place = region.map(|region| Place::Wan { region, at: group.at, access: Box::new(group.access) });
        nodes.extend(instances(group, expanded, |_| place.clone(), names, reporter));
    }
    for (site, expanded) in raw.sites.iter().zip(&names.private) {
        for (group, expanded) in site.nodes.iter().zip(expanded) {
            let place = |instance: &names::Instance| instance.site.clone().map(|site| Place::Site { site });
            nodes.extend(instances(group, expanded, place, names, reporter));
        }
    }
    nodes
}

/// The nodes of one entry of the file.
fn instances(
    group: &RawNode,
    expanded: &[names::Instance],
    place: impl Fn(&names::Instance) -> Option<Place>,
    names: &Names,
    reporter: &Reporter,
) -> Vec<Node> {
    let kind = match &group.kind {
        RawKind::Unknown => return Vec::new(),
        RawKind::Program(program) => NodeKind::Program(programs::resolve(program)),
        RawKind::Overlay(role) if role.value == Role::Client => {
            let place = format!("node {}: buddies", group.name.value);
            NodeKind::Overlay { role: role.value, buddies: names.clients(&group.buddies, &place, reporter) }
        }
        RawKind::Overlay(role) => NodeKind::Overlay { role: role.value, buddies: Vec::new() },
    };
    if let Some(own) = group.buddies.iter().find(|buddy| buddy.value == group.name.value.as_str())
        && group.count.is_none()
        && expanded.len() == 1
    {
        let message = format!("node {}: buddies: nobody is on the own buddy list", group.name.value);
        reporter.report(Problem::new(own.at, message).mend("name another client"));
    }
    expanded
        .iter()
        .filter_map(|instance| {
            let mut kind = kind.clone();
            if let NodeKind::Overlay { buddies, .. } = &mut kind {
                buddies.retain(|buddy| *buddy != instance.name);
            }
            Some(Node {
                name: instance.name.clone(),
                group: group.name.value.clone(),
                kind,
                place: place(instance)?,
                addresses: group.addresses,
            })
        })
        .collect()
}

fn experiment(raw: &RawTopology, names: &Names, reporter: &Reporter) -> Experiment {
    let online = names.clients(&raw.experiment.online, "experiment: online", reporter);
    let measure = if let Some(measure) = &raw.experiment.measure {
        let clients = names.clients(measure, "experiment: measure", reporter);
        for name in &raw.experiment.online {
            if names.clients_of(&name.value).iter().any(|client| clients.contains(client)) {
                let message = format!(
                    "experiment: '{}' cannot be measured, because it is online before the first trial",
                    name.value
                );
                reporter
                    .report(Problem::new(name.at, message).mend("keep it in one of 'measure' and 'online'"));
            }
        }
        clients
    } else {
        let all = names.all_clients();
        all.filter(|client| !online.contains(client)).cloned().collect()
    };
    Experiment { measure, online, notes: raw.experiment.notes.clone() }
}

fn overlay(raw: &RawTopology, finder: &parameters::Finder<'_>, reporter: &Reporter) -> Option<Overlay> {
    let named = raw.overlay.profile.as_ref();
    let mut nodes = raw.nodes.iter().chain(raw.sites.iter().flat_map(|site| &site.nodes));
    let is_empty = nodes.clone().next().is_none();
    if !nodes.any(|node| !matches!(node.kind, RawKind::Program(_))) {
        if let Some(named) = named.filter(|_| !is_empty) {
            let message = "overlay: the topology has no node of the overlay";
            reporter.report(Problem::new(named.at, message).mend("leave it out, or give nodes a role"));
        }
        return None;
    }
    let profile = named.map_or(DEFAULT_OVERLAY, |name| name.value.as_str());
    let parameters = match finder.find(profile) {
        Ok(parameters) => parameters,
        Err((message, mend)) => {
            let at = named.map_or_else(Mark::default, |name| name.at);
            reporter.report(Problem::new(at, format!("overlay: {message}")).mend(mend));
            return None;
        }
    };
    let limit = parameters.host_cache_limit.get();
    let entries = match &raw.overlay.entries {
        Some(entries) if entries.value as usize > limit => {
            let message =
                format!("overlay: host_cache: {} entries are more than {profile} allows", entries.value);
            reporter.report(Problem::new(entries.at, message).mend(format!("at most {limit} are possible")));
            return None;
        }
        Some(entries) => entries.value as usize,
        None => limit,
    };
    let stale = raw.overlay.stale.as_ref();
    let host_cache = HostCache { entries, stale: stale.map_or(super::DEFAULT_STALE, |share| share.value.0) };
    if host_cache.live() == 0 {
        let at = stale.map_or_else(Mark::default, |share| share.at);
        let message = "overlay: host_cache: so many entries are stale that no live one is left, and no login is possible";
        reporter
            .report(Problem::new(at, message).mend("lower the share of stale entries, or raise the entries"));
        return None;
    }
    Some(Overlay { profile: profile.to_owned(), parameters, host_cache })
}
