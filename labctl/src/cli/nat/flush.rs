//! `labctl nat flush`.

use labctl::lab::nat;

use super::GatewayArgs;

/// Make a gateway of a running lab forget its mappings, flows and counters: a reboot of the home router.
#[derive(Debug, clap::Args)]
pub struct FlushArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Runs `labctl nat flush`.
pub async fn run(args: &FlushArgs) -> anyhow::Result<()> {
    let plan = args.gateway.plan().await?;
    nat::flush(&plan.lab, &args.gateway.gateway).await?;
    Ok(crate::cli::print(format!("{}: restarted\n", args.gateway.gateway).as_bytes())?)
}
