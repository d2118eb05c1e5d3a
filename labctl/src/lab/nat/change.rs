//! Another NAT or firewall for a gateway of a lab that runs, and restarting one.

use super::{failed, gateway_of, open};
use crate::lab::{LabError, LabLock, StateDirectory};
use crate::names::LabName;
use crate::net::Gateway;
use crate::net::gateway::{INSIDE, OUTSIDE};
use crate::plan::{GatewayPlan, Plan};
use crate::profile::{Catalogue, FirewallProfile, GatewayContext, NatProfile};
use crate::topology::Subnet;
use crate::topology::problem::did_you_mean;

/// What a gateway gets; what is `None` stays as it is.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its NAT.
    pub nat: Option<NatProfile>,
    /// Its firewall.
    pub firewall: Option<FirewallProfile>,
}

impl Change {
    /// The change to these profiles of a catalogue.
    pub fn named(catalogue: &Catalogue, nat: Option<&str>, firewall: Option<&str>) -> Result<Self, LabError> {
        let unknown = |kind, name: &str, hint| LabError::NoSuchProfile { kind, name: name.to_owned(), hint };
        let nat = nat.map(|name| {
            let hint = || did_you_mean(name, catalogue.nat_names());
            catalogue.nat(name).cloned().ok_or_else(|| unknown("NAT", name, hint()))
        });
        let firewall = firewall.map(|name| {
            let hint = || did_you_mean(name, catalogue.firewall_names());
            catalogue.firewall(name).cloned().ok_or_else(|| unknown("firewall", name, hint()))
        });
        Ok(Self { nat: nat.transpose()?, firewall: firewall.transpose()? })
    }
}

/// Gives a gateway another NAT, another firewall or both, and notes it in the lab's plan. Its mappings and
/// flows are lost. If it cannot be done, the gateway has what it had before.
///
/// Returns the gateway as it is now.
pub async fn set(lab: &LabName, gateway: &str, change: Change) -> Result<GatewayPlan, LabError> {
    let _lock = LabLock::acquire(lab)?;
    let mut plan = plan_of(lab)?;
    let old = gateway_of(&plan, gateway)?.clone();
    let new = changed(&plan, &old, change)?;
    let namespace = open(&old)?;
    if let Err(error) = Gateway::restart(&namespace, &new).await {
        // The first error is the one to tell.
        if let Err(again) = Gateway::restart(&namespace, &old).await {
            tracing::warn!(%again, gateway, "the gateway could not be given back what it had");
        }
        return Err(failed("changing", &old)(error));
    }
    for entry in &mut plan.gateways {
        if entry.name == new.name {
            *entry = new.clone();
        }
    }
    StateDirectory::of(lab).replace_plan(&plan)?;
    Ok(new)
}

/// Makes a gateway forget its mappings, its flows and its counters: a reboot of the home router.
pub async fn flush(lab: &LabName, gateway: &str) -> Result<(), LabError> {
    let _lock = LabLock::acquire(lab)?;
    let plan = plan_of(lab)?;
    let gateway = gateway_of(&plan, gateway)?;
    Gateway::restart(&open(gateway)?, gateway).await.map_err(failed("restarting", gateway))
}

/// The plan, read under the lock: another labctl may have changed it.
fn plan_of(lab: &LabName) -> Result<Plan, LabError> {
    let directory = StateDirectory::of(lab);
    let missing = || LabError::BadPlan { path: directory.plan_file(), reason: "it is not there".to_owned() };
    directory.plan()?.ok_or_else(missing)
}

/// The gateway after the change.
fn changed(plan: &Plan, old: &GatewayPlan, change: Change) -> Result<GatewayPlan, LabError> {
    let mask = u32::MAX.checked_shl(32 - u32::from(old.inside_prefix)).unwrap_or(0);
    let context = GatewayContext {
        wan_interface: OUTSIDE.to_owned(),
        lan_interface: INSIDE.to_owned(),
        outside: old.outside.clone(),
        inside: Subnet { network: (old.inside.to_bits() & mask).into(), prefix: old.inside_prefix },
    };
    let mut new = old.clone();
    if let Some(nat) = change.nat {
        if nat.behaviour.is_none() && !is_routed(plan, old) {
            return Err(LabError::NotRouted { gateway: old.name.clone(), profile: nat.name });
        }
        let (nft, sysctls) = nat.rules(&context);
        let fast_path = nat.fast_path();
        new.nat = nat.name;
        new.nft = nft;
        new.sysctls = sysctls;
        new.fast_path = fast_path;
    }
    if let Some(firewall) = change.firewall {
        new.iptables = firewall.rules(&context);
        new.firewall = firewall.name;
    }
    Ok(new)
}

/// Whether the WAN knows a way to the site's own addresses, which it does where nothing translates.
fn is_routed(plan: &Plan, gateway: &GatewayPlan) -> bool {
    let inside = |address: &std::net::Ipv4Addr| !gateway.outside.contains(address);
    let attachment = plan.wan.attachments.iter().find(|attachment| attachment.name == gateway.name);
    attachment.is_some_and(|attachment| attachment.addresses.iter().any(inside))
}
