//! `labctl ps`.

use std::io::Write as _;
use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::lab::{self, Condition, FoundLab};
use labctl::names::LabName;
use labctl::plan::EngineKind;
use labctl::runtime::{RuntimeKind, Runtimes};
use serde::Serialize;

/// Lists labs and their nodes and gateways.
#[derive(Debug, clap::Args)]
pub struct PsArgs {
    /// Only this lab.
    #[arg(long, value_name = "NAME", add = super::completions::labs())]
    lab: Option<LabName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Listing {
    schema: &'static str,
    labs: Vec<Lab>,
}

#[derive(Debug, Serialize)]
struct Lab {
    name: String,
    title: Option<String>,
    /// What runs its nodes, if that is known.
    runtime: Option<RuntimeKind>,
    /// What carries its WAN's packets, if that is known.
    wan_engine: Option<EngineKind>,
    #[serde(flatten)]
    condition: Condition,
    members: Vec<Member>,
}

/// A node or a gateway.
#[derive(Debug, Serialize)]
pub struct Member {
    name: String,
    /// The node's role, `program`, or `gateway`.
    role: String,
    addresses: Vec<String>,
    /// The gateway that it is behind.
    gateway: Option<String>,
    state: String,
    /// The container of a node.
    container: Option<String>,
    namespace: String,
}

/// Runs `labctl ps`.
pub async fn run(args: PsArgs) -> anyhow::Result<ExitCode> {
    let runtime = Runtimes::find().await;
    let found = match &args.lab {
        Some(name) => vec![lab::select(&runtime, Some(name)).await?],
        None => lab::find_all(&runtime).await?,
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        let labs = found.iter().map(listed).collect();
        serde_json::to_writer_pretty(&mut out, &Listing { schema: "labctl.ps/1", labs })?;
        writeln!(out)?;
    } else if found.is_empty() {
        writeln!(out, "no lab is up")?;
    } else {
        writeln!(out, "{}", table(&found))?;
        for lab in found.iter().filter(|lab| lab.condition() != Condition::Running) {
            writeln!(out, "lab {}: {}; there is {}", lab.name, lab.condition(), lab.inventory())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(found: &FoundLab) -> Lab {
    Lab {
        name: found.name.to_string(),
        title: found.plan.as_ref().map(|plan| plan.title.clone()),
        runtime: found.runtime,
        wan_engine: found.plan.as_ref().map(|plan| plan.wan.engine),
        condition: found.condition(),
        members: members(found),
    }
}

/// The nodes and gateways of a lab: those of its plan, else those whose containers are there.
fn members(found: &FoundLab) -> Vec<Member> {
    let Some(plan) = &found.plan else {
        let member = |container: &labctl::runtime::Found| Member {
            name: container.node.clone(),
            role: container.role.clone(),
            addresses: Vec::new(),
            gateway: None,
            state: container.state.to_string(),
            container: Some(container.container.clone()),
            namespace: found.name.namespace(&container.node),
        };
        return found.containers.iter().map(member).collect();
    };
    let nodes = plan.nodes.iter().map(|node| Member {
        name: node.name.to_string(),
        role: node.role_name().to_owned(),
        addresses: node.addresses.iter().map(ToString::to_string).collect(),
        gateway: node.gateway.as_ref().map(ToString::to_string),
        state: found
            .container(node.name.as_str())
            .map_or_else(|| "missing".to_owned(), |container| container.state.to_string()),
        container: Some(node.container.clone()),
        namespace: node.namespace.clone(),
    });
    let gateways = plan.gateways.iter().map(|gateway| Member {
        name: gateway.name.to_string(),
        role: "gateway".to_owned(),
        addresses: gateway.outside.iter().map(ToString::to_string).collect(),
        gateway: gateway.behind.as_ref().map(ToString::to_string),
        state: if found.namespaces.contains(&gateway.namespace) { "up" } else { "missing" }.to_owned(),
        container: None,
        namespace: gateway.namespace.clone(),
    });
    nodes.chain(gateways).collect()
}

/// A table of labs and their members.
pub fn table(labs: &[FoundLab]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["LAB", "NODE", "ROLE", "ADDRESS", "GATEWAY", "STATE", "RUNTIME", "WAN", "CONTAINER"]);
    for found in labs {
        for member in members(found) {
            let none = || "-".to_owned();
            table.add_row([
                found.name.to_string(),
                member.name,
                member.role,
                shortened(&member.addresses),
                member.gateway.unwrap_or_else(none),
                member.state,
                found.runtime.map_or_else(none, |runtime| runtime.to_string()),
                found.plan.as_ref().map_or_else(none, |plan| plan.wan.engine.to_string()),
                member.container.unwrap_or_else(none),
            ]);
        }
    }
    table
}

/// The first addresses, and how many more there are.
fn shortened(addresses: &[String]) -> String {
    match addresses {
        [] => "-".to_owned(),
        [one] => one.clone(),
        [first, more @ ..] => format!("{first} +{}", more.len()),
    }
}
