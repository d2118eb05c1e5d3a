//! `labctl nat`: the catalogue of NATs and firewalls.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::profile::{Catalogue, FirewallProfile, GatewayContext, NatProfile, Trait, gateway_rules};
use labctl::topology::Subnet;
use serde::Serialize;

/// What gateways can do.
#[derive(Debug, clap::Args)]
pub struct NatArgs {
    /// A folder with profiles of your own in `nat/` and `firewall/`; they win over the shipped ones.
    #[arg(long, value_name = "FOLDER", global = true)]
    profiles: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the NAT and firewall profiles.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a profile: behaviour in words, references, and its rules.
    Show {
        /// Name of a NAT or firewall profile.
        profile: String,
        /// Show the firewall of that name, where a NAT has the same.
        #[arg(long)]
        firewall: bool,
    },
}

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

/// Runs `labctl nat`.
pub fn run(args: NatArgs) -> anyhow::Result<ExitCode> {
    let catalogue = match &args.profiles {
        Some(folder) => Catalogue::with_directory(folder)?,
        None => Catalogue::shipped(),
    };
    let mut out = std::io::stdout().lock();
    match args.command {
        Command::List { json: true } => {
            serde_json::to_writer_pretty(&mut out, &listing(&catalogue))?;
            writeln!(out)?;
        }
        Command::List { json: false } => list(&catalogue, &mut out)?,
        Command::Show { profile, firewall } => {
            match (catalogue.nat(&profile), catalogue.firewall(&profile)) {
                (Some(nat), _) if !firewall => show_nat(nat, &catalogue, &mut out)?,
                (_, Some(firewall)) => show_firewall(firewall, &mut out)?,
                _ => bail!(
                    "there is no profile '{profile}'\nmend: `labctl nat list` names those that there are"
                ),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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

fn show_nat(nat: &NatProfile, catalogue: &Catalogue, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    about(&nat.name, &nat.title, &nat.description, &nat.references, out)?;
    let mut table = Table::new();
    table.load_style(NOTHING);
    for Trait { what, how, source } in nat.traits() {
        table.add_row([what, &how, source]);
    }
    writeln!(out, "{table}\n")?;
    let Some(open) = catalogue.firewall("open") else { bail!("the catalogue has no firewall 'open'") };
    let rules = gateway_rules(nat, open, &example());
    writeln!(out, "# nft -f, for {}", place(&example()))?;
    write!(out, "{}", rules.nft)?;
    writeln!(out, "\n# /proc/sys")?;
    for (path, value) in &rules.sysctls {
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
