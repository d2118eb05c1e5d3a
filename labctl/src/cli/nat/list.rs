//! `labctl nat list`.

use std::io::Write as _;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::profile::{Catalogue, FirewallProfile, NatProfile};
use serde::Serialize;

/// What `nat list --json` prints.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    schema: &'static str,
    nat: Vec<Entry<'a, NatProfile>>,
    firewall: Vec<Entry<'a, FirewallProfile>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a, P> {
    #[serde(flatten)]
    profile: &'a P,
    summary: String,
}

/// Lists the NAT and firewall profiles.
pub fn run(catalogue: &Catalogue, json: bool) -> anyhow::Result<()> {
    let mut out = Vec::new();
    if json {
        serde_json::to_writer_pretty(&mut out, &listing(catalogue))?;
        writeln!(out)?;
    } else {
        list(catalogue, &mut out)?;
    }
    Ok(super::super::print(&out)?)
}

fn listing(catalogue: &Catalogue) -> Listing<'_> {
    Listing {
        schema: "labctl.nat-list/1",
        nat: catalogue
            .nat_names()
            .filter_map(|name| catalogue.nat(name))
            .map(|profile| Entry { profile, summary: profile.summary() })
            .collect(),
        firewall: catalogue
            .firewall_names()
            .filter_map(|name| catalogue.firewall(name))
            .map(|profile| Entry { profile, summary: profile.summary() })
            .collect(),
    }
}

fn list(catalogue: &Catalogue, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let listing = listing(catalogue);
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["NAT", "BEHAVIOUR", "TITLE"]);
    for Entry { profile, summary } in &listing.nat {
        table.add_row([&profile.name, summary, &profile.title]);
    }
    writeln!(out, "{table}\n")?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["FIREWALL", "POLICY", "TITLE"]);
    for Entry { profile, summary } in &listing.firewall {
        table.add_row([&profile.name, summary, &profile.title]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}
