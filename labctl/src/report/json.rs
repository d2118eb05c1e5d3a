//! The report as JSON. `docs/data-formats.md` describes it.

use serde::Serialize;

use super::distribution::Distribution;
use super::row::Row;
use super::statistics::Spread;

/// Schema of `labctl reproduce --json`.
pub const REPRODUCE: &str = "labctl.reproduce/1";
/// Schema of `labctl experiment login --json`.
pub const LOGIN: &str = "labctl.login/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    experiment: &'a str,
    trials: usize,
    failed: usize,
    login_s: Option<Spread<f64>>,
    payload_bytes: Option<Spread<u64>>,
    udp_payload_bytes: Option<Spread<u64>>,
    tcp_payload_bytes: Option<Spread<u64>>,
    ip_bytes: Option<Spread<u64>>,
    distributions: &'a [Distribution],
    published: Option<JsonPublished>,
    within: Option<bool>,
}

#[derive(Serialize)]
struct JsonPublished {
    login_s: Range,
    total_kb: f64,
}

#[derive(Serialize)]
struct Range {
    min: f64,
    max: f64,
}

/// The rows as a document of this schema, indented, with a line feed at the end.
#[must_use]
pub fn render(schema: &'static str, rows: &[Row]) -> String {
    let rows = rows
        .iter()
        .map(|row| JsonRow {
            experiment: &row.experiment,
            trials: row.trials,
            failed: row.failed,
            login_s: row.login_s,
            payload_bytes: row.payload_bytes,
            udp_payload_bytes: row.udp_payload_bytes,
            tcp_payload_bytes: row.tcp_payload_bytes,
            ip_bytes: row.ip_bytes,
            distributions: &row.distributions,
            published: row.published.map(|published| JsonPublished {
                login_s: Range { min: published.login_s.0, max: published.login_s.1 },
                total_kb: published.total_kb,
            }),
            within: row.verdict().within(),
        })
        .collect();
    text(&Document { schema, rows })
}

/// A report as JSON, indented, with a line feed at the end.
pub(super) fn text(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("a report is plain data with text keys");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::published::find;
    use super::super::row::tests::{failed, trials};
    use super::*;
    use crate::experiment::record::Kind;

    #[test]
    fn a_measured_row() {
        let mut records = trials(34.1, 2500, 6000);
        records.push(failed(Kind::Subsequent, 4));
        let row = Row::new("expC", &records, find("infocom2006/expC"));
        insta::assert_snapshot!(render(REPRODUCE, &[row]));
    }

    #[test]
    fn a_row_without_measurements_has_nulls() {
        let row = Row::new("mine", &[failed(Kind::Subsequent, 1)], None);
        insta::assert_snapshot!(render(LOGIN, &[row]));
    }
}
