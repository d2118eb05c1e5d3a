//! `labctl nat counters`.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use labctl::lab::nat::{self, Counter, CounterTable, Verdict};
use serde::Serialize;

use super::GatewayArgs;

/// Show what a gateway's rules have counted, by verdict.
#[derive(Debug, clap::Args)]
pub struct CountersArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The part of what `--json` prints that other commands do not.
#[derive(Debug, Serialize)]
struct Rows<'a> {
    counters: &'a [Counter],
}

/// Runs `labctl nat counters`.
pub async fn run(args: &CountersArgs) -> anyhow::Result<()> {
    let plan = args.gateway.plan().await?;
    let gateway = nat::gateway_of(&plan, &args.gateway.gateway)?;
    let counters = nat::counters(gateway).await?;
    if args.json {
        return super::print_json("labctl.nat-counters/1", &plan, gateway, Rows { counters: &counters });
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["OF", "COUNTER", "VERDICT", "PACKETS", "BYTES", "PACKETS THAT ARE"]);
    for counter in &counters {
        table.add_row([
            match counter.table {
                CounterTable::Nat => "NAT",
                CounterTable::Firewall => "firewall",
            },
            counter.name.as_str(),
            match counter.verdict {
                Verdict::Passed => "passed",
                Verdict::Dropped => "dropped",
            },
            &counter.counted.packets.to_string(),
            &counter.counted.bytes.to_string(),
            counter.meaning.as_str(),
        ]);
    }
    for column in [3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let (nat, firewall) = (&gateway.nat, &gateway.firewall);
    let text = format!("{}: NAT {nat}, firewall {firewall}\n{table}\n", gateway.name);
    Ok(crate::cli::print(text.as_bytes())?)
}
