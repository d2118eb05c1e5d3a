//! `labctl nat set`.

use labctl::lab::nat::{self, Change};
use labctl::profile::Catalogue;

use super::GatewayArgs;

/// Give a gateway of a running lab another NAT, another firewall or both. Its mappings are lost.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Name of the NAT profile; without one, the NAT stays.
    #[arg(required_unless_present = "firewall")]
    profile: Option<String>,
    /// Name of the firewall profile; without one, the firewall stays.
    #[arg(long, value_name = "NAME")]
    firewall: Option<String>,
}

/// Runs `labctl nat set`.
pub async fn run(args: &SetArgs, catalogue: &Catalogue) -> anyhow::Result<()> {
    let change = Change::named(catalogue, args.profile.as_deref(), args.firewall.as_deref())?;
    let plan = args.gateway.plan().await?;
    let gateway = nat::set(&plan.lab, &args.gateway.gateway, change).await?;
    let text = format!("{}: NAT {}, firewall {}\n", gateway.name, gateway.nat, gateway.firewall);
    Ok(crate::cli::print(text.as_bytes())?)
}
