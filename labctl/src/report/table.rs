//! The report as a table for a terminal, or for a text file.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::published::{BYTES_PER_KB, Published};
use super::row::Row;
use super::statistics::Spread;

/// Where the table goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal: a frame, and two lines a row, some 120 columns wide.
    Terminal,
    /// A file or a pipe: plain characters, one line a row, as wide as it comes.
    Plain,
}

impl Style {
    /// What stands where a terminal's table breaks a line, so that it stays narrow.
    pub(super) const fn line_break(self) -> &'static str {
        match self {
            Self::Terminal => "\n",
            Self::Plain => " ",
        }
    }

    /// An empty table of this style, as wide as what it holds.
    pub(super) fn table(self) -> Table {
        let mut table = Table::new();
        table.load_style(match self {
            Self::Terminal => UTF8_FULL_CONDENSED,
            Self::Plain => ASCII_MARKDOWN,
        });
        table.set_content_arrangement(ContentArrangement::Disabled);
        table
    }
}

/// A line feed is where a terminal's table breaks.
const HEADER: [&str; 9] = [
    "experiment",
    "trials",
    "failed",
    "login time, s",
    "published,\ns",
    "payload, KB",
    "published,\nKB",
    "UDP + TCP,\nKB",
    "IP level,\nKB",
];

/// The rows, with a line below for each thing that the figures cannot say themselves.
#[must_use]
pub fn render(rows: &[Row], style: Style) -> String {
    let mut table = style.table();
    table.set_header(HEADER.map(|title| title.replace('\n', style.line_break())));
    for row in rows {
        table.add_row(cells(row, style));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    let distributions =
        rows.iter().flat_map(|row| row.distributions.iter().map(move |spread| (&row.experiment, spread)));
    let distributions = distributions.map(|(name, spread)| format!("{name}: {}.", spread.line()));
    for line in rows.iter().map(below).chain(distributions).chain(std::iter::once(LEGEND.to_owned())) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

const LEGEND: &str = "Median (least to most). Login times are of subsequent logins, bytes of first-time \
logins, as published. Payload is UDP and TCP payload in both directions at the client; 1 KB = 1000 bytes.";

fn cells(row: &Row, style: Style) -> [String; 9] {
    let break_at = style.line_break();
    let seconds = |spread| seconds(spread, break_at);
    let bytes = |spread| bytes(spread, break_at);
    let published = |of: fn(&Published) -> String| row.published.map_or_else(unknown, of);
    let split = match (row.udp_payload_bytes, row.tcp_payload_bytes) {
        (Some(udp), Some(tcp)) => format!("{} + {}", kilobytes(udp.median), kilobytes(tcp.median)),
        _ => unknown(),
    };
    [
        row.experiment.clone(),
        row.trials.to_string(),
        row.failed.to_string(),
        row.login_s.map_or_else(unknown, seconds),
        published(|published| match published.login_s {
            (least, most) if least < most => format!("{least}-{most}"),
            (about, _) => format!("about {about}"),
        }),
        row.payload_bytes.map_or_else(unknown, bytes),
        published(|published| format!("about {}", published.total_kb)),
        split,
        row.ip_bytes.map_or_else(unknown, |spread| kilobytes(spread.median)),
    ]
}

/// What a row's figures amount to, in words.
fn below(row: &Row) -> String {
    let mut said = Vec::new();
    if row.published.is_some() {
        let verdict = row.verdict();
        let word = |what: &str, within: Option<bool>| match within {
            Some(true) => format!("{what} within the published range"),
            Some(false) => format!("{what} NOT within the published range"),
            None => format!("{what} not measured"),
        };
        said.push(word("login time", verdict.login));
        said.push(word("payload", verdict.total));
    }
    match row.udp_packets_outside {
        Some(0) => said.push("no UDP packet outside the gateway".to_owned()),
        Some(most) => said.push(format!("up to {most} UDP packets outside the gateway in a trial")),
        None => {}
    }
    if row.failed > 0 {
        said.push(format!("{} FAILED (the run's trials.ndjson says why)", row.failed));
    }
    if said.is_empty() {
        said.push("nothing published to compare with".to_owned());
    }
    format!("{}: {}.", row.experiment, said.join("; "))
}

fn unknown() -> String {
    "-".to_owned()
}

fn seconds(spread: Spread<f64>, break_at: &str) -> String {
    let Spread { min, median, max } = spread;
    format!("{median:.2}{break_at}({min:.2} to {max:.2})")
}

fn bytes(spread: Spread<u64>, break_at: &str) -> String {
    let Spread { min, median, max } = spread;
    format!("{}{break_at}({} to {})", kilobytes(median), kilobytes(min), kilobytes(max))
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / BYTES_PER_KB)
}

#[cfg(test)]
mod tests {
    use super::super::published::find;
    use super::super::row::tests::{failed, trials};
    use super::*;
    use crate::experiment::record::Kind;

    fn rows() -> Vec<Row> {
        let mut far_off = trials(40.0, 2500, 3000);
        far_off.push(failed(Kind::FirstTime, 4));
        vec![
            Row::new("expA", &trials(4.2, 3000, 6000), find("infocom2006/expA")),
            Row::new("expC", &far_off, find("infocom2006/expC")),
            Row::new("mine", &[], None),
        ]
    }

    #[test]
    fn in_a_file() {
        insta::assert_snapshot!(render(&rows(), Style::Plain));
    }

    #[test]
    fn in_a_terminal() {
        insta::assert_snapshot!(render(&rows(), Style::Terminal));
    }
}
