//! The part of a lab that no container is needed for: the WAN core, what delays its packets, and the
//! gateways.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::stop::Stop;
use super::{LabError, Observer, StateDirectory, Step};
use crate::keeper;
use crate::names::NodeName;
use crate::net::wan::Core;
use crate::net::{Gateway, NetError, Uplink};
use crate::plan::{NodePlan, Plan};

/// Gateways made at a time. Most of the time goes into `nft` and `iptables-restore`, of which more than
/// this many do not run quicker.
const GATEWAYS_AT_ONCE: usize = 8;

/// The WAN core and the gateways of a lab that is being made.
pub(super) struct Network {
    core: Core,
    gateways: BTreeMap<NodeName, Gateway>,
}

impl Network {
    /// What a node's `eth0` is linked to.
    pub(super) fn uplink<'a>(&'a self, plan: &'a Plan, node: &NodePlan) -> Result<Uplink<'a>, LabError> {
        self.uplink_behind(plan, node.gateway.as_ref())
    }

    fn uplink_behind<'a>(
        &'a self,
        plan: &'a Plan,
        gateway: Option<&NodeName>,
    ) -> Result<Uplink<'a>, LabError> {
        let Some(name) = gateway else { return Ok(Uplink::Wan { core: &self.core, plan: &plan.wan }) };
        self.gateways.get(name).map(Uplink::Lan).ok_or_else(|| {
            let missing = NetError::NotInPlan { what: "gateway", name: name.to_string() };
            LabError::Network { doing: "connecting".to_owned(), source: Box::new(missing) }
        })
    }
}

fn failed(doing: String) -> impl FnOnce(NetError) -> LabError {
    move |source| LabError::Network { doing, source: Box::new(source) }
}

/// Makes the network. `None` if the work stopped.
pub(super) async fn build_network(
    plan: &Plan,
    directory: &StateDirectory,
    labctl: &Path,
    observer: &dyn Observer,
    stop: &Stop,
) -> Option<Network> {
    let wan = async {
        let core =
            stop.unit(async { Core::build(&plan.wan).await.map_err(failed("making the WAN".to_owned())) });
        let core = core.await?;
        let keeper = async {
            let (plan_file, log) = (directory.plan_file(), directory.keeper_log());
            let started = keeper::spawn(labctl, &plan.lab, &plan_file, &log).await;
            started.map_err(|error| LabError::Network {
                doing: "starting the lab's keeper".to_owned(),
                source: Box::new(error),
            })
        };
        stop.unit(keeper).await?;
        observer.advance(Step::Network);
        Some(core)
    };
    let turns = Semaphore::new(GATEWAYS_AT_ONCE);
    let gateways = join_all(plan.gateways.iter().map(|gateway| async {
        let _turn = turns.acquire().await.expect("the semaphore is never closed");
        let doing = format!("making gateway {}", gateway.name);
        let made = stop.unit(async { Gateway::build(gateway).await.map_err(failed(doing)) }).await?;
        observer.advance(Step::Network);
        Some((gateway.name.clone(), made))
    }));
    let (core, gateways) = tokio::join!(wan, gateways);
    let network = Network { core: core?, gateways: gateways.into_iter().collect::<Option<_>>()? };
    let connected = join_all(plan.gateways.iter().map(|gateway| async {
        stop.unit(async {
            let uplink = network.uplink_behind(plan, gateway.behind.as_ref())?;
            let doing = format!("connecting gateway {}", gateway.name);
            network.gateways[&gateway.name].connect(gateway, uplink).await.map_err(failed(doing))
        })
        .await
    }))
    .await;
    connected.into_iter().collect::<Option<Vec<()>>>()?;
    Some(network)
}
