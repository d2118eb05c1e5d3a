//! The NAT and the firewall of a gateway of a lab that runs: what they know, what they have counted, and
//! changing them.

mod change;
mod counters;
mod mappings;

pub use change::{Change, flush, set};
pub use counters::{Counter, CounterTable, Verdict, counters};
pub use mappings::{Kind, MappingRow, Peer, mappings};

use super::{LabError, find};
use crate::net::{NetError, NetNs};
use crate::plan::{GatewayPlan, Plan};

/// A gateway of a plan.
pub fn gateway_of<'a>(plan: &'a Plan, name: &str) -> Result<&'a GatewayPlan, LabError> {
    plan.gateways.iter().find(|gateway| gateway.name.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = plan.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
        LabError::NoSuchNode {
            lab: plan.lab.clone(),
            kind: "gateway",
            name: name.to_owned(),
            hint: find::hint(name, &names),
        }
    })
}

fn open(gateway: &GatewayPlan) -> Result<NetNs, LabError> {
    NetNs::open(&gateway.namespace).map_err(failed("opening", gateway))
}

fn failed(doing: &str, gateway: &GatewayPlan) -> impl FnOnce(NetError) -> LabError + use<> {
    let doing = format!("{doing} gateway {}", gateway.name);
    move |source| LabError::Network { doing, source: Box::new(source) }
}
