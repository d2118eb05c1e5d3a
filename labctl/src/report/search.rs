//! Searches, summed up: a row for each case, and what the overlay did for them. Table and JSON.

use comfy_table::CellAlignment;
use serde::Serialize;

use super::statistics::Spread;
use super::table::Style;
use crate::experiment::search::Measurements;
use crate::experiment::search::record::{Case, SearchRecord, SuperNodeRecord};

/// Schema of `labctl experiment search --json`.
const SCHEMA: &str = "labctl.search/1";

/// One case's searches. What was not measured is `None`, never a figure; no figure has failed searches in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchRow {
    /// The lab's name.
    pub experiment: String,
    /// The case.
    pub case: Case,
    /// Searches that each figure is made from.
    pub trials: usize,
    /// Searches that failed, or ended otherwise than they must.
    pub failed: usize,
    /// From the search command to its end, in seconds.
    pub latency_s: Option<Spread<f64>>,
    /// UDP payload at the client, both directions, in bytes.
    pub udp_payload_bytes: Option<Spread<u64>>,
    /// TCP payload at the client, both directions, in bytes.
    pub tcp_payload_bytes: Option<Spread<u64>>,
    /// UDP and TCP packets at the client with their IP headers, in bytes.
    pub ip_bytes: Option<Spread<u64>>,
    /// Nodes that the client exchanged packets with.
    pub contacted: Option<Spread<u64>>,
    /// Nodes that were asked beside the client's super node, by the client's account: by itself, or by its super
    /// node on its behalf.
    pub asked: Option<Spread<u64>>,
    /// Overlay nodes on the way to the record, by the client's account; of searches that found one.
    pub hops: Option<Spread<u64>>,
    /// Searches that were answered from the result of an earlier one, by the client's account.
    pub from_cache: usize,
    /// Latency over the direct round trip to the one that was searched for.
    pub path_stretch: Option<Spread<f64>>,
    /// The most UDP packets that passed the outside of the client's gateway in one search.
    pub udp_packets_outside: Option<u64>,
}

/// What the super nodes held at the end and did during the searches, by their own account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlay {
    /// How many there are.
    pub super_nodes: usize,
    /// Routing table: other super nodes that each knew to live.
    pub routing_table: Option<Spread<u64>>,
    /// Records of users that each held.
    pub records: Option<Spread<u64>>,
    /// Forwarding load: lookups that each sent for clients, and nodes that it gave clients to ask.
    pub forwards: Option<Spread<u64>>,
    /// Lookups that each answered.
    pub lookups: Option<Spread<u64>>,
    /// Searches and lookups that all together answered from results of earlier searches.
    pub cache_hits: u64,
}

/// The report of a search experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchReport {
    schema: &'static str,
    /// A row for each case that was measured.
    pub rows: Vec<SearchRow>,
    /// The super nodes.
    pub overlay: Overlay,
}

impl SearchReport {
    /// Sums up.
    #[must_use]
    pub fn new(experiment: &str, measured: &Measurements) -> Self {
        let of = |case: Case| measured.records.iter().filter(move |record| record.case == case);
        let cases = Case::ALL.into_iter().filter(|case| of(*case).next().is_some());
        Self {
            schema: SCHEMA,
            rows: cases.map(|case| row(experiment, case, &of(case).collect::<Vec<_>>())).collect(),
            overlay: overlay(&measured.super_nodes),
        }
    }

    /// True if a search failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.rows.iter().any(|row| row.failed > 0)
    }

    /// As JSON, indented, with a line feed at the end.
    #[must_use]
    pub fn json(&self) -> String {
        super::json::text(self)
    }

    /// As a table, with a line below for what the figures cannot say themselves.
    #[must_use]
    pub fn table(&self, style: Style) -> String {
        let mut table = style.table();
        table.set_header(HEADER.map(|title| title.replace('\n', style.line_break())));
        for row in &self.rows {
            table.add_row(cells(row, style));
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let below = self.rows.iter().filter_map(below).chain([self.overlay.in_words(), LEGEND.to_owned()]);
        below.fold(format!("{table}\n"), |text, line| text + &line + "\n")
    }
}

/// A line feed is where a terminal's table breaks.
const HEADER: [&str; 11] = [
    "experiment",
    "search",
    "trials",
    "failed",
    "latency, s",
    "UDP,\nbytes",
    "TCP,\nbytes",
    "IP level,\nbytes",
    "nodes\ncontacted",
    "nodes asked /\nhops",
    "path\nstretch",
];

const LEGEND: &str = "Median (least to most). cold: an online user, no result kept; warm: the same again. Bytes are \
payload in both directions at the client. Contacted: nodes that the client exchanged packets with. Asked: beside the \
super node, by the client or on its behalf. Path stretch: latency over the direct round trip to the user.";

fn row(experiment: &str, case: Case, records: &[&SearchRecord]) -> SearchRow {
    let good = || records.iter().filter(|record| record.failure.is_none());
    let traffic = || good().filter_map(|record| record.traffic());
    let summaries = || good().filter_map(|record| record.summary);
    let cached = |record: &&&SearchRecord| {
        record.summary.and_then(|summary| summary.source) == Some(overlay_control::RecordSource::Cache)
    };
    SearchRow {
        experiment: experiment.to_owned(),
        case,
        trials: good().count(),
        failed: records.len() - good().count(),
        latency_s: Spread::of_seconds(good().filter_map(|record| record.latency_s)),
        udp_payload_bytes: Spread::of_counts(traffic().map(|traffic| traffic.udp.both().payload_bytes)),
        tcp_payload_bytes: Spread::of_counts(traffic().map(|traffic| traffic.tcp.both().payload_bytes)),
        ip_bytes: Spread::of_counts(traffic().map(|traffic| traffic.total().ip_bytes)),
        contacted: Spread::of_counts(good().filter_map(|record| record.contacted)),
        asked: Spread::of_counts(summaries().map(|summary| summary.asked.into())),
        hops: Spread::of_counts(
            summaries().filter(|summary| summary.source.is_some()).map(|summary| summary.hops.into()),
        ),
        from_cache: good().filter(cached).count(),
        path_stretch: Spread::of_seconds(good().filter_map(|record| record.path_stretch)),
        udp_packets_outside: records
            .iter()
            .filter_map(|record| record.outside.map(|outside| outside.udp_packets()))
            .max(),
    }
}

fn overlay(super_nodes: &[SuperNodeRecord]) -> Overlay {
    let spread = |of: fn(&SuperNodeRecord) -> u64| Spread::of_counts(super_nodes.iter().map(of));
    Overlay {
        super_nodes: super_nodes.len(),
        routing_table: spread(|node| node.directory.members as u64),
        records: spread(|node| node.directory.records as u64),
        forwards: spread(|node| node.directory.forwards),
        lookups: spread(|node| node.directory.lookups),
        cache_hits: super_nodes.iter().map(|node| node.directory.cache_hits).sum(),
    }
}

impl Overlay {
    fn in_words(&self) -> String {
        let words = |spread: Option<Spread<u64>>| spread.map_or_else(unknown, |spread| counts(spread, " "));
        format!(
            "overlay: {} super nodes; each with a routing table of {}, {} records, {} lookups forwarded, {} \
             answered; {} answers from caches.",
            self.super_nodes,
            words(self.routing_table),
            words(self.records),
            words(self.forwards),
            words(self.lookups),
            self.cache_hits,
        )
    }
}

fn cells(row: &SearchRow, style: Style) -> [String; 11] {
    let break_at = style.line_break();
    let number = |spread: Option<Spread<u64>>| spread.map_or_else(unknown, |spread| counts(spread, break_at));
    let median =
        |spread: Option<Spread<u64>>| spread.map_or_else(unknown, |spread| spread.median.to_string());
    [
        row.experiment.clone(),
        row.case.as_str().to_owned(),
        row.trials.to_string(),
        row.failed.to_string(),
        row.latency_s.map_or_else(unknown, |spread| reals(spread, 3, break_at)),
        number(row.udp_payload_bytes),
        number(row.tcp_payload_bytes),
        number(row.ip_bytes),
        number(row.contacted),
        format!("{} / {}", median(row.asked), median(row.hops)),
        row.path_stretch.map_or_else(unknown, |spread| reals(spread, 1, break_at)),
    ]
}

fn below(row: &SearchRow) -> Option<String> {
    let mut said = Vec::new();
    if row.from_cache > 0 {
        said.push(format!("{} of {} from a cache", row.from_cache, row.trials));
    }
    match row.udp_packets_outside {
        Some(0) => said.push("no UDP packet outside the gateway".to_owned()),
        Some(most) => said.push(format!("up to {most} UDP packets outside the gateway in a search")),
        None => {}
    }
    if row.failed > 0 {
        said.push(format!("{} FAILED (the run's trials.ndjson says why)", row.failed));
    }
    (!said.is_empty()).then(|| format!("{} {}: {}.", row.experiment, row.case.as_str(), said.join("; ")))
}

fn unknown() -> String {
    "-".to_owned()
}

fn counts(Spread { min, median, max }: Spread<u64>, break_at: &str) -> String {
    if min == max { median.to_string() } else { format!("{median}{break_at}({min} to {max})") }
}

fn reals(Spread { min, median, max }: Spread<f64>, places: usize, break_at: &str) -> String {
    format!("{median:.places$}{break_at}({min:.places$} to {max:.places$})")
}

#[cfg(test)]
pub(super) mod tests;
