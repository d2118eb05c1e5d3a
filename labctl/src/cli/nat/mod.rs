//! `labctl nat`: the catalogue of NATs and firewalls, and those of a lab that runs.

mod check;
mod counters;
mod flush;
mod list;
mod mappings;
mod set;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use labctl::lab::{self, LabError};
use labctl::names::LabName;
use labctl::plan::{GatewayPlan, Plan};
use labctl::profile::Catalogue;
use labctl::runtime::Runtimes;
use serde::Serialize;

/// What gateways can do, and what those of a running lab do.
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
        #[arg(add = crate::cli::completions::profiles())]
        profile: String,
        /// Show the firewall of that name, where a NAT has the same.
        #[arg(long)]
        firewall: bool,
    },
    Mappings(mappings::MappingsArgs),
    Counters(counters::CountersArgs),
    Set(set::SetArgs),
    Flush(flush::FlushArgs),
    Check(check::CheckArgs),
}

impl NatArgs {
    /// True if it is about gateways that run, not about profiles.
    pub fn concerns_labs(&self) -> bool {
        !matches!(self.command, Command::List { .. } | Command::Show { .. })
    }
}

/// A gateway of a lab that runs.
#[derive(Debug, clap::Args)]
struct GatewayArgs {
    /// The gateway: the name of its site.
    #[arg(add = crate::cli::completions::gateways())]
    gateway: String,
    /// The lab; not needed if there is only one.
    #[arg(long, value_name = "NAME", add = crate::cli::completions::labs())]
    lab: Option<LabName>,
}

impl GatewayArgs {
    /// The plan of its lab.
    async fn plan(&self) -> anyhow::Result<Plan> {
        let runtime = Runtimes::find().await;
        let found = lab::select(&runtime, self.lab.as_ref()).await?;
        // Also in a lab that is not whole: looking into it is how one finds out why.
        let condition = found.condition().to_string();
        Ok(found.plan.ok_or(LabError::Unusable { lab: found.name, condition })?)
    }
}

/// What `--json` prints of a gateway that runs.
#[derive(Debug, Serialize)]
struct Listing<'a, T> {
    schema: &'static str,
    lab: &'a str,
    gateway: &'a str,
    nat: &'a str,
    firewall: &'a str,
    /// What is told of it, under its own name.
    #[serde(flatten)]
    rows: T,
}

/// Prints as JSON what is told of a gateway.
fn print_json(
    schema: &'static str,
    plan: &Plan,
    gateway: &GatewayPlan,
    rows: impl Serialize,
) -> anyhow::Result<()> {
    let (lab, nat, firewall) = (plan.lab.as_str(), &gateway.nat, &gateway.firewall);
    let listing = Listing { schema, lab, gateway: gateway.name.as_str(), nat, firewall, rows };
    Ok(crate::cli::print(format!("{}\n", serde_json::to_string_pretty(&listing)?).as_bytes())?)
}

/// Runs `labctl nat`.
pub async fn run(args: NatArgs) -> anyhow::Result<ExitCode> {
    let catalogue = match &args.profiles {
        Some(folder) => Catalogue::with_directory(folder)?,
        None => Catalogue::shipped(),
    };
    match args.command {
        Command::List { json } => list::run(&catalogue, json)?,
        Command::Show { profile, firewall } => show::run(&catalogue, &profile, firewall)?,
        Command::Mappings(args) => mappings::run(&args).await?,
        Command::Counters(args) => counters::run(&args).await?,
        Command::Set(args) => set::run(&args, &catalogue).await?,
        Command::Flush(args) => flush::run(&args).await?,
        Command::Check(args) => return check::run(&args, &catalogue).await,
    }
    Ok(ExitCode::SUCCESS)
}
