//! `labctl nat check`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::lab::nat::Change;
use labctl::nat_check::{self, Checked, Options, markdown};
use labctl::profile::{Catalogue, NatProfile};
use serde::Serialize;

use crate::cli::interrupt::interrupted;

/// Classify NAT profiles by a prober that follows RFC 5780, and compare with what they declare.
///
/// Needs no Docker. The exit code is not 0 if a profile is not what it says.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Names of NAT profiles; all, if there is none.
    #[arg(value_name = "PROFILE")]
    names: Vec<String>,
    /// Check the nine pairs of mapping and filtering, too.
    #[arg(long)]
    pairs: bool,
    /// Look at how long UDP mappings live, also where that takes minutes.
    #[arg(long)]
    lifetime: bool,
    /// Write JSON to a file, or to standard output in place of the table ('-').
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with the table to a file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    profiles: &'a [Checked],
}

/// Runs `labctl nat check`.
pub async fn run(args: &CheckArgs, catalogue: &Catalogue) -> anyhow::Result<ExitCode> {
    let profiles = chosen(args, catalogue)?;
    let stop = interrupted()?;
    let done = |checked: &Checked| {
        let word = if checked.as_declared { "as declared" } else { "NOT as declared" };
        tracing::info!(profile = checked.name, "{word}");
    };
    let options = Options { lifetime: args.lifetime };
    let checked = tokio::select! {
        checked = nat_check::check(&profiles, options, done) => checked?,
        // Dropping the check removes its network.
        signal = stop => bail!("stopped by {signal}; the network of the check is removed again"),
    };
    if let Some(path) = &args.markdown {
        write(path, markdown::render(&checked).as_bytes())?;
    }
    let json = || serde_json::to_vec_pretty(&Report { schema: "labctl.nat-check/1", profiles: &checked });
    let mut out = std::io::stdout().lock();
    match &args.json {
        Some(path) if path == Path::new("-") => {
            out.write_all(&json()?)?;
            writeln!(out)?;
        }
        other => {
            if let Some(path) = other {
                write(path, &json()?)?;
            }
            writeln!(out, "{}", table(&checked))?;
        }
    }
    let wrong = checked.iter().filter(|checked| !checked.as_declared).count();
    if wrong > 0 {
        writeln!(std::io::stderr(), "{wrong} of {} profiles are not what they say", checked.len())?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn chosen(args: &CheckArgs, catalogue: &Catalogue) -> anyhow::Result<Vec<NatProfile>> {
    let named = |name: &str| -> anyhow::Result<_> { Ok(Change::named(catalogue, Some(name), None)?.nat) };
    let mut profiles: Vec<_> = if args.names.is_empty() {
        catalogue.nat_names().filter_map(|name| catalogue.nat(name)).cloned().collect()
    } else {
        let found: anyhow::Result<Vec<_>> = args.names.iter().map(|name| named(name)).collect();
        found?.into_iter().flatten().collect()
    };
    if args.pairs {
        profiles.extend(nat_check::pairs());
    }
    Ok(profiles)
}

fn table(checked: &[Checked]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["PROFILE", "UDP", "TCP", "HAIRPIN", "PORTS", "LIFETIME", "VERDICT"]);
    for row in checked {
        let (expected, observed) = (&row.expected, &row.observed);
        table.add_row([
            row.name.clone(),
            compared(&expected.udp.to_string(), &observed.udp.to_string()),
            compared(&expected.tcp.to_string(), &observed.tcp.to_string()),
            compared(markdown::hairpin(expected.hairpin), markdown::hairpin(observed.hairpin)),
            compared(markdown::ports(expected.allocation), markdown::ports(observed.allocation)),
            lifetime(row),
            if row.as_declared { "as declared" } else { "NOT AS DECLARED" }.to_owned(),
        ]);
    }
    table
}

fn compared(expected: &str, observed: &str) -> String {
    if expected == observed { observed.to_owned() } else { format!("{observed}, not {expected}") }
}

fn lifetime(row: &Checked) -> String {
    let Some(lived) = row.lifetime else { return "-".to_owned() };
    let seconds = |ms: Option<u128>| {
        ms.map_or_else(|| "never".to_owned(), |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100))
    };
    format!("alive after {}, gone after {}", seconds(lived.alive_after_ms), seconds(lived.gone_after_ms))
}
