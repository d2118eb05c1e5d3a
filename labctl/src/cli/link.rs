//! `labctl link`, `labctl partition` and `labctl heal`: the WAN of a running lab, looked at and changed.

use std::io::Write as _;
use std::process::ExitCode;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use labctl::lab::{self, Lab, Wan};
use labctl::link::{Setting, Ways};
use labctl::names::LabName;
use labctl::net::wan::{LinkReport, Report};
use labctl::runtime::Runtimes;
use labctl::topology::link_setting;

/// Access links of a running lab: what they are like and what they carried, and changes of it.
#[derive(Debug, clap::Args)]
pub struct LinkArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show access links: properties, packets and bytes, drops, what waits.
    Show {
        /// A node, gateway or site; left out: all links.
        #[arg(add = crate::cli::completions::nodes())]
        name: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        lab: LabArg,
    },
    Set(Box<SetArgs>),
    /// Take an access link down: what arrives at it is lost.
    Down(NameArgs),
    /// Take an access link up again.
    Up(NameArgs),
}

#[derive(Debug, clap::Args)]
struct LabArg {
    /// The lab; not needed if there is only one.
    #[arg(long, value_name = "NAME", add = crate::cli::completions::labs())]
    lab: Option<LabName>,
}

#[derive(Debug, clap::Args)]
struct NameArgs {
    /// A node, gateway or site; what is behind a gateway stands for the link that its packets take.
    #[arg(add = crate::cli::completions::nodes())]
    name: String,
    #[command(flatten)]
    lab: LabArg,
}

/// Change an access link, for the packets that come to it from now on. What is not named stays.
#[derive(Debug, clap::Args)]
#[group(id = "change", multiple = true)]
struct SetArgs {
    #[command(flatten)]
    of: NameArgs,
    /// Which way: towards the WAN, from it, or both.
    #[arg(long, value_enum, default_value_t = Way::Both)]
    way: Way,
    /// Bits a second, such as 128kbit; `none` is no limit.
    #[arg(long)]
    rate: Option<String>,
    /// What may wait, such as 200ms or 64kb.
    #[arg(long)]
    queue: Option<String>,
    /// Such as 80ms.
    #[arg(long)]
    delay: Option<String>,
    /// By how much the delay varies, such as 10ms.
    #[arg(long)]
    jitter: Option<String>,
    /// How it varies: uniform, normal, exponential or pareto.
    #[arg(long)]
    distribution: Option<String>,
    /// How much of a packet's jitter is that of the packet before, such as 25%.
    #[arg(long)]
    correlation: Option<String>,
    /// Such as 5%, or 5%/4 for bursts of 4 packets in the mean.
    #[arg(long)]
    loss: Option<String>,
    /// Packets that arrive twice, such as 1%.
    #[arg(long)]
    duplicate: Option<String>,
    /// Packets that are overtaken, such as 1%.
    #[arg(long)]
    reorder: Option<String>,
    /// How much later these arrive, such as 10ms.
    #[arg(long)]
    reorder_by: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Way {
    Up,
    Down,
    Both,
}

/// Let no packet pass between parts of the WAN, until `labctl heal`.
#[derive(Debug, clap::Args)]
pub struct PartitionArgs {
    /// The sides: each one or more names of regions, sites and nodes, with commas between them. One side alone is cut
    /// off from everybody else.
    #[arg(required = true, value_name = "SIDE")]
    sides: Vec<String>,
    #[command(flatten)]
    lab: LabArg,
}

/// End all partitions of the WAN.
#[derive(Debug, clap::Args)]
pub struct HealArgs {
    #[command(flatten)]
    lab: LabArg,
}

impl LabArg {
    async fn open(&self) -> anyhow::Result<Lab> {
        let runtime = Runtimes::find().await;
        Ok(Lab::of(lab::select(&runtime, self.lab.as_ref()).await?)?)
    }
}

impl SetArgs {
    /// The changes, in the order of the options.
    fn settings(&self) -> anyhow::Result<Vec<Setting>> {
        let options = [
            ("rate", &self.rate),
            ("queue", &self.queue),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("distribution", &self.distribution),
            ("correlation", &self.correlation),
            ("loss", &self.loss),
            ("duplicate", &self.duplicate),
            ("reorder", &self.reorder),
            ("reorder-by", &self.reorder_by),
        ];
        let given = options.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        let settings: Vec<Setting> = given
            .map(|(key, text)| link_setting(key, text).map_err(|why| anyhow::anyhow!("--{key}: {why}")))
            .collect::<Result<_, _>>()?;
        anyhow::ensure!(
            !settings.is_empty(),
            "nothing to change\nmend: name a property, such as --delay 80ms; `labctl link set --help` has all"
        );
        Ok(settings)
    }
}

/// Runs `labctl link`.
pub async fn run(args: LinkArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Show { name, json, lab } => show(&lab.open().await?, name.as_deref(), json).await?,
        Command::Set(args) => {
            let settings = args.settings()?;
            let lab = args.of.lab.open().await?;
            let ways = match args.way {
                Way::Up => Ways::Up,
                Way::Down => Ways::Down,
                Way::Both => Ways::Both,
            };
            Wan::open(&lab).await?.set(&args.of.name, ways, settings).await?;
            show(&lab, Some(&args.of.name), false).await?;
        }
        Command::Down(args) => works(&args, false).await?,
        Command::Up(args) => works(&args, true).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn works(args: &NameArgs, works: bool) -> anyhow::Result<()> {
    let lab = args.lab.open().await?;
    Wan::open(&lab).await?.set_works(&args.name, works).await?;
    let link = &lab::wan::link_of(lab.plan(), &args.name)?.name;
    writeln!(std::io::stdout(), "link {link}: {}", if works { "up" } else { "down" })?;
    Ok(())
}

/// Runs `labctl partition`.
pub async fn partition(args: PartitionArgs) -> anyhow::Result<ExitCode> {
    let lab = args.lab.open().await?;
    let names = |side: &String| side.split(',').map(|name| name.trim().to_owned()).collect();
    let sides: Vec<Vec<String>> = args.sides.iter().map(names).collect();
    Wan::open(&lab).await?.partition(&sides).await?;
    let rest = if sides.len() == 1 { " | all others" } else { "" };
    writeln!(std::io::stdout(), "no packet passes: {}{rest}", args.sides.join(" | "))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `labctl heal`.
pub async fn heal(args: HealArgs) -> anyhow::Result<ExitCode> {
    let lab = args.lab.open().await?;
    let wan = Wan::open(&lab).await?;
    let ended = wan.report().await?.partitions;
    wan.heal().await?;
    writeln!(std::io::stdout(), "ended {ended} partition{}", if ended == 1 { "" } else { "s" })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(lab: &Lab, name: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut report = Wan::open(lab).await?.report().await?;
    if let Some(name) = name {
        let link = lab::wan::link_of(lab.plan(), name)?.name.as_str();
        report.links.retain(|found| found.name == link);
    }
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table(&report))?;
    }
    Ok(())
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["LINK", "REGION", "STATE", "UP", "DOWN", "SENT", "RECEIVED", "DROPPED", "WAITING, B"]);
    for link in &report.links {
        table.add_row(cells(link));
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    match report.partitions {
        0 => format!("{table}\n"),
        some => format!("{table}\npartitions in force: {some} (`labctl heal` ends them)\n"),
    }
}

fn cells(link: &LinkReport) -> [String; 9] {
    let counters = &link.counters;
    let carried = |packets: u64, bytes: u64| format!("{packets} packets, {bytes} B");
    [
        link.name.clone(),
        link.region.clone(),
        if link.works { "up" } else { "down" }.to_owned(),
        link.access.up.in_words(),
        link.access.down.in_words(),
        carried(counters.sent.packets, counters.sent.bytes),
        carried(counters.received.packets, counters.received.bytes),
        counters.dropped.total().to_string(),
        (link.up_backlog + link.down_backlog).to_string(),
    ]
}
