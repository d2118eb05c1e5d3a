//! Gives the NAT in a namespace the fast path that the first gateway of a plan has, as `labctl up` does, or takes
//! it away: `fast_path NAMESPACE PLAN.json` or `fast_path NAMESPACE off`. For `bench/nat_forwarding`. Prints whether
//! the gateway has it now, and what of it there is on this machine.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::env;
use std::error::Error;
use std::fs;

use labctl::net::NetNs;
use labctl::net::fast_path;
use labctl::net::gateway::INTERFACES;
use labctl::plan::Plan;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [namespace, what] = arguments.as_slice() else {
        return Err("usage: fast_path NAMESPACE PLAN.json, or fast_path NAMESPACE off".into());
    };
    let settings = if what == "off" {
        None
    } else {
        let plan: Plan = serde_json::from_str(&fs::read_to_string(what)?)?;
        plan.gateways.first().and_then(labctl::plan::GatewayPlan::fast_path)
    };
    let has = fast_path::set(&NetNs::open(namespace)?, INTERFACES, settings).await?;
    println!("{}; here: {}", if has { "on" } else { "off" }, fast_path::availability());
    Ok(())
}
