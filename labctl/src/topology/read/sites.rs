//! Sites and their gateways.

use super::super::fields::{Fields, Item, Located};
use super::super::profiles;
use super::super::{MOST_OUTSIDE_ADDRESSES, Subnet};
use super::access::access;
use super::nodes::{self, RawNode};
use super::{count, places};
use crate::link::{AccessLink, Coordinates};
use crate::names::NodeName;
use crate::profile::{Catalogue, FirewallProfile, NatProfile};

/// A site of the file, before `count:` is expanded.
#[derive(Debug)]
pub(crate) struct RawSite {
    pub(crate) name: Located<NodeName>,
    pub(crate) count: Option<Located<u32>>,
    pub(crate) region: Option<Located<String>>,
    pub(crate) at: Option<Coordinates>,
    pub(crate) uplink: Option<Located<String>>,
    pub(crate) nat: Option<Located<NatProfile>>,
    pub(crate) firewall: Option<FirewallProfile>,
    pub(crate) outside_addresses: Option<Located<u16>>,
    pub(crate) subnet: Option<Located<Subnet>>,
    pub(crate) access: AccessLink,
    pub(crate) nodes: Vec<RawNode>,
}

/// The `sites:` section.
pub(super) fn read(item: &Item<'_>, catalogue: &Catalogue) -> Vec<RawSite> {
    let Some(mut block) = item.fields("sites") else { return Vec::new() };
    let mut sites = Vec::new();
    for (key, item) in block.rest() {
        let name = nodes::name(key, &block);
        let Some(fields) = item.fields(format!("site {}", key.name)) else { continue };
        let site = read_site(fields, catalogue);
        sites.extend(name.map(site));
    }
    sites
}

fn read_site(
    mut fields: Fields<'_>,
    catalogue: &Catalogue,
) -> impl FnOnce(Located<NodeName>) -> RawSite + use<> {
    let place = fields.place().to_owned();
    let count = count(&mut fields);
    let region = nodes::region(&mut fields);
    let uplink =
        fields.take("uplink").and_then(|item| item.text("the name of the site that this one is behind"));
    let uplink = uplink.map(|text| Located { at: text.at, value: text.value.to_owned() });
    if uplink.is_some() {
        places::refuse(&mut fields, "a site behind another one is where that one is", "leave it out");
    }
    let at = places::place(&mut fields);
    if let (Some(region), Some(uplink)) = (&region, &uplink) {
        let message = format!("both a region and the uplink '{}'", uplink.value);
        fields.report(
            region.at,
            message,
            "a site behind another one is where that one is: leave the region out",
        );
    }
    let gateway =
        fields.need("gateway", "say what the router does: gateway: { nat: port-restricted, firewall: open }");
    let (nat, firewall) = gateway
        .and_then(|item| item.fields(place.clone()))
        .map_or((None, None), |gateway| read_gateway(gateway, catalogue));
    let link = match fields.take("access") {
        Some(item) if uplink.is_some() => {
            item.report(
                "only a site on the WAN has an access link",
                "leave it out: the link of a site behind another one is that one's inside network",
            );
            None
        }
        Some(item) => access(&item, &format!("{place}: access")),
        None => None,
    };
    let subnet = fields.word("subnet");
    let outside_addresses =
        fields.take("outside_addresses").and_then(|item| item.whole(&(1..=MOST_OUTSIDE_ADDRESSES)));
    let nodes = fields.take("nodes").map(|item| nodes::read_private(&item, &place)).unwrap_or_default();
    fields.close();
    let access = link.unwrap_or(AccessLink::UNLIMITED);
    move |name| RawSite {
        name,
        count,
        region,
        at,
        uplink,
        nat,
        firewall,
        outside_addresses,
        subnet,
        access,
        nodes,
    }
}

fn read_gateway(
    mut gateway: Fields<'_>,
    catalogue: &Catalogue,
) -> (Option<Located<NatProfile>>, Option<FirewallProfile>) {
    let nat = gateway
        .need("nat", "name a profile: nat: port-restricted; `labctl nat list` shows all")
        .and_then(|item| profiles::nat(&item, &gateway, catalogue));
    let firewall = match gateway.take("firewall") {
        Some(item) => profiles::firewall(&item, &gateway, catalogue),
        None => profiles::default_firewall(&gateway, catalogue),
    };
    gateway.close();
    (nat, firewall)
}
