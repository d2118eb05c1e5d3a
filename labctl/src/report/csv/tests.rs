//! Records made by hand as CSV.

use proptest::prelude::*;

use super::super::sweep::tests::sweep;
use super::*;

/// The fields of CSV as RFC 4180 reads them.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {
                assert_eq!(rest.next(), Some('\n'));
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    assert!(!quoted && row.is_empty() && field.is_empty(), "the last line has its end");
    rows
}

#[test]
fn each_trial_is_a_row_with_as_many_fields_as_there_are_columns() {
    let runs: Vec<RecordedRun> = sweep().points.into_iter().filter_map(|(_, run)| run).collect();
    let rows = parse(&render(&runs));
    assert_eq!(rows.len(), 1 + 4 + 5);
    let at = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    assert_eq!((rows[1][at("kind")].as_str(), rows[1][at("login_s")].as_str()), ("subsequent", "4.1"));
    assert_eq!(
        (rows[1][at("udp_payload_bytes")].as_str(), rows[1][at("tcp_packets")].as_str()),
        ("3000", "10")
    );
    let failed = rows.last().unwrap();
    assert_eq!((failed[at("login_s")].as_str(), failed[at("failure")].as_str()), ("", "login"));
    assert_eq!(failed[at("failure_detail")], "no-super-node: none answered");
    assert_eq!((failed[at("nat")].as_str(), failed[at("gateway")].as_str()), ("port-restricted", "home"));
}

#[test]
fn every_column_is_in_the_documentation() {
    let page = include_str!("../../../../docs/data-formats.md");
    for (experiment, columns) in columns() {
        for column in columns {
            assert!(
                page.contains(&format!("`{column}`")),
                "docs/data-formats.md lacks `{column}` of {experiment}"
            );
        }
    }
}

#[test]
fn nothing_is_an_empty_text() {
    assert_eq!(render(&[]), "");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(rows in prop::collection::vec(prop::collection::vec("[a,\"\r\n é]{0,6}", 1..4), 0..5)) {
        let mut text = String::new();
        for row in &rows {
            line(&mut text, row.iter());
        }
        prop_assert_eq!(parse(&text), rows);
    }
}
