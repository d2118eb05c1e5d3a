//! `labctl top`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use labctl::lab::{Lab, Wan};
use labctl::runtime::Runtimes;
use labctl::watch::{
    Column, LinkRates, Rates, Sort, Source, State, Terminal, Totals, View, bytes, sorted, span,
};
use serde::Serialize;

use super::interrupt::interrupted;
use super::watch::{LabToSee, interval, show};

/// Shows what the access links of a lab carry and drop, live.
///
/// In a terminal it fills the screen; '?' shows the keys, 'q' ends. Elsewhere it prints a table for each interval.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    #[command(flatten)]
    lab: LabToSee,
    /// Take rates over this time.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Order of the links.
    #[arg(long, value_name = "BY", default_value = "plan")]
    sort: SortBy,
    /// Reverse the order.
    #[arg(long)]
    reverse: bool,
    /// Only links with this text in their name or region.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    filter: String,
    /// Print one table, and end.
    #[arg(long)]
    once: bool,
    /// Print JSON: one object a line for each interval.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SortBy {
    /// That of the topology.
    Plan,
    /// By name.
    Name,
    /// The busiest first.
    Rate,
    /// Those that drop most first.
    Drops,
    /// Those with the longest queue first.
    Queue,
}

impl From<SortBy> for Sort {
    fn from(by: SortBy) -> Self {
        match by {
            SortBy::Plan => Self::Plan,
            SortBy::Name => Self::Name,
            SortBy::Rate => Self::Rate,
            SortBy::Drops => Self::Drops,
            SortBy::Queue => Self::Queue,
        }
    }
}

/// What `--json` prints for an interval.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    schema: &'static str,
    lab: &'a str,
    #[serde(flatten)]
    rates: &'a Rates,
    /// All links together, those that are filtered out included.
    totals: Totals,
}

/// Runs `labctl top`.
pub async fn run(args: TopArgs) -> anyhow::Result<ExitCode> {
    let runtime = Runtimes::find().await;
    let (lab, ran_by) = args.lab.find(&runtime).await?;
    if Terminal::is_there() && !args.once && !args.json {
        let mut state = State::new(lab.plan(), &ran_by, View::Links);
        state.arrange(args.sort.into(), args.reverse, &args.filter);
        return show(state, Source::new(lab, Arc::new(runtime), args.interval)).await;
    }
    let interrupt = interrupted()?;
    tokio::select! {
        printed = print(&args, &lab) => printed?,
        // The usual way to end a table that has no end.
        _ = interrupt => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a table, or a line of JSON, for each interval.
async fn print(args: &TopArgs, lab: &Lab) -> anyhow::Result<()> {
    let wan = Wan::open(lab).await?;
    let mut before = wan.report().await?;
    let mut first = true;
    loop {
        tokio::time::sleep(args.interval).await;
        let after = wan.report().await?;
        let text = text(args, lab.name().as_str(), Rates::between(&before, &after), first)?;
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Its reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if args.once {
            return Ok(());
        }
        (before, first) = (after, false);
    }
}

fn text(args: &TopArgs, lab: &str, mut rates: Rates, first: bool) -> anyhow::Result<String> {
    let totals = rates.totals();
    let rows: Vec<LinkRates> =
        sorted(&rates.links, args.sort.into(), args.reverse, &args.filter).into_iter().cloned().collect();
    if args.json {
        rates.links = rows;
        let listing = Listing { schema: "labctl.top/1", lab, rates: &rates, totals };
        return Ok(serde_json::to_string(&listing)? + "\n");
    }
    let gap = if first { "" } else { "\n" };
    Ok(format!("{gap}{}\n{}\n", heading(lab, &rates, &totals), table(&rows)))
}

fn heading(lab: &str, rates: &Rates, totals: &Totals) -> String {
    let mut said = format!(
        "{lab}: {} engine, up {}; {}/s, {:.0} packets/s, {:.0} dropped/s in {:.1} s; {} in flight, {} queued",
        rates.engine,
        span(Duration::from_secs_f64(rates.uptime_s)),
        bytes(totals.up.bytes_s),
        totals.up.packets_s,
        totals.drops_s,
        rates.interval_s,
        rates.in_flight,
        bytes(totals.queue as f64),
    );
    for (number, what) in
        [(rates.partitions, "partitions in force"), (rates.missed, "packets missed by the engine")]
    {
        if number > 0 {
            said = format!("{said}; {number} {what}");
        }
    }
    said
}

fn table(links: &[LinkRates]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(Column::ALL.map(Column::header));
    for link in links {
        table.add_row(Column::ALL.map(|column| column.text(link)));
    }
    for (column, place) in Column::ALL.into_iter().zip(0..) {
        if column.is_number()
            && let Some(place) = table.column_mut(place)
        {
            place.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
