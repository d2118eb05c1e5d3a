//! A gateway's NAT and firewall: the name of a profile, or its behaviour inline.

use super::document::Value;
use super::fields::{Fields, Item, Located};
use super::problem::did_you_mean;
use crate::profile::{Catalogue, FirewallProfile, NatProfile, inline_firewall, inline_nat};

/// The firewall of a gateway for which the file names none.
const DEFAULT_FIREWALL: &str = "open";

/// The value of `nat:`.
pub(super) fn nat(
    item: &Item<'_>,
    gateway: &Fields<'_>,
    catalogue: &Catalogue,
) -> Option<Located<NatProfile>> {
    let value = if let Value::Map(_) = item.tree.value {
        item.accept(inline_nat(item.tree))?
    } else {
        let name = item.text("the name of a profile, or a block of behaviours")?;
        let found = catalogue.nat(name.value);
        if found.is_none() {
            let mend = format!(
                "{} `labctl nat list` shows all profiles",
                did_you_mean(name.value, catalogue.nat_names())
            );
            gateway.report(name.at, format_args!("unknown nat '{}'", name.value), mend);
        }
        found?.clone()
    };
    Some(Located { at: item.at(), value })
}

/// The value of `firewall:`.
pub(super) fn firewall(
    item: &Item<'_>,
    gateway: &Fields<'_>,
    catalogue: &Catalogue,
) -> Option<FirewallProfile> {
    if let Value::Map(_) = item.tree.value {
        return item.accept(inline_firewall(item.tree));
    }
    let name = item.text("the name of a profile, or a block of rules")?;
    let found = catalogue.firewall(name.value);
    if found.is_none() {
        let mend = did_you_mean(name.value, catalogue.firewall_names());
        gateway.report(name.at, format_args!("unknown firewall '{}'", name.value), mend);
    }
    found.cloned()
}

/// What stands for a missing `firewall:`.
pub(super) fn default_firewall(gateway: &Fields<'_>, catalogue: &Catalogue) -> Option<FirewallProfile> {
    let found = catalogue.firewall(DEFAULT_FIREWALL);
    if found.is_none() {
        let mend = format!("there is no profile '{DEFAULT_FIREWALL}' to stand in for it");
        gateway.report(gateway.at(), "the key 'firewall' is missing", mend);
    }
    found.cloned()
}
