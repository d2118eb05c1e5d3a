//! Records as CSV (RFC 4180): a row for each trial, one of a call for each way. `docs/data-formats.md` describes the
//! columns.

mod call;
mod login;
mod search;

use std::fmt::{Display, Write as _};

use crate::experiment::record::{Failure, Outside};
use crate::experiment::recorded::{RecordedRun, Records};
use crate::meter::{Traffic, TwoWay};

/// Columns that every experiment has, before its own: the run, and the point of a sweep that it is.
const RUN: [&str; 4] = ["run", "lab", "parameter", "value"];

/// Runs of one experiment as CSV, with a header and lines that end in CR LF. Runs of other experiments than the
/// first's are left out.
#[must_use]
pub fn render(runs: &[RecordedRun]) -> String {
    let mut out = String::new();
    let Some(first) = runs.first() else { return out };
    let own: &[&str] = match &first.records {
        Records::Login(_) => &login::COLUMNS,
        Records::Search(_) => &search::COLUMNS,
        Records::Call(_) => &call::COLUMNS,
    };
    line(&mut out, RUN.iter().chain(own));
    for run in runs.iter().filter(|run| run.description.experiment == first.description.experiment) {
        let sweep = run.circumstances.sweep.as_ref();
        let said = |text: Option<&String>| text.cloned().unwrap_or_default();
        let about = [
            run.name(),
            run.description.lab.clone(),
            said(sweep.map(|point| &point.parameter)),
            said(sweep.map(|point| &point.value)),
        ];
        let mut row = |own: &[String]| line(&mut out, about.iter().chain(own));
        match &run.records {
            Records::Login(trials) => trials.iter().for_each(|trial| row(&login::row(trial))),
            Records::Search(measured) => measured.records.iter().for_each(|trial| row(&search::row(trial))),
            Records::Call(calls) => {
                let rows = (1..).zip(calls).flat_map(|(number, call)| call::rows(number, call));
                rows.for_each(|own| row(&own));
            }
        }
    }
    out
}

/// The columns of all experiments: the experiment, and the columns' names.
#[must_use]
pub fn columns() -> [(&'static str, Vec<&'static str>); 3] {
    let all = |own: &[&'static str]| RUN.iter().chain(own).copied().collect();
    [("login", all(&login::COLUMNS)), ("search", all(&search::COLUMNS)), ("call", all(&call::COLUMNS))]
}

fn line<T: AsRef<str>>(out: &mut String, fields: impl Iterator<Item = T>) {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            out.push(',');
        }
        let field = field.as_ref();
        if field.contains(['"', ',', '\r', '\n']) {
            let _ = write!(out, "\"{}\"", field.replace('"', "\"\""));
        } else {
            out.push_str(field);
        }
    }
    out.push_str("\r\n");
}

/// A field: empty if there is nothing.
fn field<T: Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Packets, payload and bytes of IP packets, both ways: of UDP, then of TCP.
const TRAFFIC: usize = 6;

fn traffic(traffic: Option<Traffic>) -> [String; TRAFFIC] {
    let both = |way: fn(&Traffic) -> TwoWay| traffic.as_ref().map(|all| way(all).both());
    let (udp, tcp) = (both(|all| all.udp), both(|all| all.tcp));
    [
        field(udp.map(|count| count.packets)),
        field(udp.map(|count| count.payload_bytes)),
        field(udp.map(|count| count.ip_bytes)),
        field(tcp.map(|count| count.packets)),
        field(tcp.map(|count| count.payload_bytes)),
        field(tcp.map(|count| count.ip_bytes)),
    ]
}

fn outside(outside: Option<&Outside>) -> [String; 2] {
    [
        field(outside.map(|outside| outside.udp.both().packets)),
        field(outside.map(|outside| outside.tcp.both().packets)),
    ]
}

/// The reason's word, and the sentence.
fn failure(failure: Option<&Failure>) -> [String; 2] {
    let word = |failure: &Failure| serde_json::to_value(failure.reason).ok()?.as_str().map(str::to_owned);
    [field(failure.and_then(word)), field(failure.map(|failure| &failure.detail))]
}

#[cfg(test)]
mod tests;
