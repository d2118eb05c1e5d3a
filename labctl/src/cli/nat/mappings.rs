//! `labctl nat mappings`.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::lab::nat::{self, MappingRow};
use serde::Serialize;

use super::GatewayArgs;

/// Show the live mappings of a gateway: inside end, outside end, peers, age, time left.
#[derive(Debug, clap::Args)]
pub struct MappingsArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The part of what `--json` prints that other commands do not.
#[derive(Debug, Serialize)]
struct Rows<'a> {
    mappings: &'a [MappingRow],
}

/// Runs `labctl nat mappings`.
pub async fn run(args: &MappingsArgs) -> anyhow::Result<()> {
    let plan = args.gateway.plan().await?;
    let gateway = nat::gateway_of(&plan, &args.gateway.gateway)?;
    let mappings = nat::mappings(gateway).await?;
    if args.json {
        return super::print_json("labctl.nat-mappings/1", &plan, gateway, Rows { mappings: &mappings });
    }
    let count = format!("{}: NAT {}, {} mappings\n", gateway.name, gateway.nat, mappings.len());
    let text = if mappings.is_empty() { count } else { format!("{count}{}\n", table(&mappings)) };
    Ok(crate::cli::print(text.as_bytes())?)
}

fn table(mappings: &[MappingRow]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["PROTO", "INSIDE", "OUTSIDE", "PEERS", "FLOWS", "AGE", "IDLE", "LEFT"]);
    let seconds = |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), |s| format!("{s}s"));
    for row in mappings {
        let peers: Vec<_> = row.peers.iter().map(ToString::to_string).collect();
        table.add_row([
            row.protocol.to_owned(),
            row.inside.to_string(),
            row.outside.to_string(),
            shortened(&peers),
            row.flows.to_string(),
            seconds(row.age_s, "-"),
            seconds(row.idle_s, "-"),
            seconds(row.left_s, "stays"),
        ]);
    }
    table
}

/// The first peers, and how many more there are.
fn shortened(peers: &[String]) -> String {
    const SHOWN: usize = 3;
    match peers {
        [] => "-".to_owned(),
        few if few.len() <= SHOWN => few.join(" "),
        many => format!("{} +{}", many[..SHOWN].join(" "), many.len() - SHOWN),
    }
}
