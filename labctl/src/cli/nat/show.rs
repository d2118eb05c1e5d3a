//! `labctl nat show`.

use std::net::Ipv4Addr;

use anyhow::bail;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::profile::{Catalogue, FirewallProfile, GatewayContext, NatProfile, Trait};
use labctl::topology::Subnet;

/// Shows a NAT or firewall profile; `firewall`: the firewall, where a NAT has the same name.
pub fn run(catalogue: &Catalogue, profile: &str, firewall: bool) -> anyhow::Result<()> {
    let mut out = Vec::new();
    match (catalogue.nat(profile), catalogue.firewall(profile)) {
        (Some(nat), _) if !firewall => show_nat(nat, &mut out)?,
        (_, Some(firewall)) => show_firewall(firewall, &mut out)?,
        _ => bail!("there is no profile '{profile}'\nmend: `labctl nat list` names those that there are"),
    }
    Ok(super::super::print(&out)?)
}

fn show_nat(nat: &NatProfile, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    about(&nat.name, &nat.title, &nat.description, &nat.references, out)?;
    let mut table = Table::new();
    table.load_style(NOTHING);
    for Trait { what, how, source } in nat.traits() {
        table.add_row([what, &how, source]);
    }
    writeln!(out, "{table}\n")?;
    let (nft, sysctls) = nat.rules(&example());
    writeln!(out, "# nft -f, for {}", place(&example()))?;
    write!(out, "{nft}")?;
    writeln!(out, "\n# /proc/sys")?;
    for (path, value) in &sysctls {
        writeln!(out, "{path} = {value}")?;
    }
    Ok(())
}

fn show_firewall(firewall: &FirewallProfile, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    about(&firewall.name, &firewall.title, &firewall.description, &firewall.references, out)?;
    writeln!(out, "# iptables-restore")?;
    let rules = firewall.rules(&example());
    write!(out, "{}", if rules.is_empty() { "# nothing: everything passes\n" } else { &rules })?;
    Ok(())
}

fn about(
    name: &str,
    title: &str,
    description: &str,
    references: &[String],
    out: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    writeln!(out, "{name}: {title}\n")?;
    if !description.is_empty() {
        writeln!(out, "{}\n", description.trim_end())?;
    }
    for reference in references {
        writeln!(out, "- {reference}")?;
    }
    if !references.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Where the rules that are shown would be for.
fn example() -> GatewayContext {
    GatewayContext {
        wan_interface: "wan".to_owned(),
        lan_interface: "lan".to_owned(),
        outside: vec![Ipv4Addr::new(198, 18, 0, 2)],
        inside: Subnet { network: Ipv4Addr::new(192, 168, 1, 0), prefix: 24 },
    }
}

fn place(gateway: &GatewayContext) -> String {
    let outside: Vec<_> = gateway.outside.iter().map(ToString::to_string).collect();
    format!(
        "a gateway at {} with {}/{} inside",
        outside.join(", "),
        gateway.inside.network,
        gateway.inside.prefix
    )
}
