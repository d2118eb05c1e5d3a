//! The part of the page about logins: figures next to the published ones, times, bytes by phase, ladders.

use maud::{Markup, html};

use super::chart::{self, Quantity, Series};
use super::ladder::{self, Story};
use super::material::{Example, SetUp};
use super::parts::{self, judged, kilobyte, median, nothing};
use crate::experiment::record::Kind;
use crate::report::row::Row;
use crate::report::statistics::Spread;
use crate::report::{Phase, PhaseBytes};

/// What is drawn of logins.
const LOGIN_TIME: Quantity =
    Quantity { id: "login-time", what: "login time", unit: "s", each: "logins", least: 0.0 };

const FIGURES: [&str; 12] = [
    "set-up",
    "trials",
    "failed",
    "login time, s",
    "published, s",
    "as published",
    "payload, KB",
    "published, KB",
    "as published",
    "UDP, KB",
    "TCP, KB",
    "IP level, KB",
];

/// All of it.
#[must_use]
pub fn sections(set_ups: &[SetUp]) -> Markup {
    html! {
        (figures(set_ups))
        (times(set_ups))
        (phases(set_ups))
        section aria-labelledby="login-ladders" {
            h2 id="login-ladders" { "The messages of one login" }
            (parts::how_to_read_a_ladder())
            @for one in set_ups {
                h3 { (one.name) }
                @match &one.example {
                    Some(example) => (drawn(one, example)),
                    None => p { "No login that succeeded has its packets in the run's directory." },
                }
            }
        }
    }
}

fn drawn(set_up: &SetUp, example: &Example) -> Markup {
    let trial = &example.trial;
    let story = Story {
        id: format!("login-ladder-{}", set_up.name),
        title: format!("Messages of a login in {}", set_up.name),
        client: &trial.client,
        plan: &set_up.runs[example.run].plan,
        ladder: &example.ladder,
        counted: trial.seen.as_ref().map(|seen| seen.traffic.total().payload_bytes),
    };
    let lead = html! {
        "The " (trial.kind.as_str()) " login of " code { (trial.client) } ", trial " (trial.trial)
        ", whose bytes are nearest to the median."
    };
    ladder::section(&story, &lead)
}

fn figures(set_ups: &[SetUp]) -> Markup {
    let rows = html! { @for one in set_ups { (figures_of(&one.row)) } };
    let caption = "Median (least to most). Login times are of subsequent logins, bytes of first-time logins, as \
        published. Payload is UDP and TCP payload in both directions at the client; 1 KB = 1000 bytes.";
    let failures = set_ups.iter().flat_map(|one| {
        let trials = one.runs.iter().flat_map(|run| &run.trials);
        trials.filter_map(|trial| {
            let why = &trial.failure.as_ref()?.detail;
            let name =
                format!("{}, {} login {} of {}", one.name, trial.kind.as_str(), trial.trial, trial.client);
            Some((name, why.clone()))
        })
    });
    html! {
        section aria-labelledby="logins" {
            h2 id="logins" { "Logins: measured, and published" }
            (parts::table("logins", caption, &FIGURES, &rows))
            (parts::failures(failures.collect()))
            p.quiet {
                "As published means: a median login time of 3 to 7 s in Exp A and B and of 31 to 37 s in Exp C (\"about \
                34 s\"), and a median payload within a tenth of the published one. Published in: Baset and Schulzrinne, \
                An Analysis of the Skype Peer-to-Peer Internet Telephony Protocol, Infocom 2006."
            }
        }
    }
}

fn figures_of(row: &Row) -> Markup {
    let verdict = row.verdict();
    let published = row.published;
    let times = published.map(|one| one.login_s).map_or_else(nothing, |(least, most)| {
        if least < most { format!("{least} to {most}") } else { format!("about {least}") }
    });
    html! {
        tr {
            th.set-up scope="row" { (row.experiment) @if let Some(one) = published { span { (one.users) } } }
            td.number { (row.trials) }
            td.number { (parts::failed(row.failed)) }
            (parts::reals(row.login_s, 2))
            td.number { (times) }
            td { (judged(verdict.login)) }
            (parts::cell(row.payload_bytes, kilobyte))
            td.number { (published.map_or_else(nothing, |one| format!("about {}", one.total_kb))) }
            td { (judged(verdict.total)) }
            (median(row.udp_payload_bytes, kilobyte))
            (median(row.tcp_payload_bytes, kilobyte))
            (median(row.ip_bytes, kilobyte))
        }
    }
}

fn times(set_ups: &[SetUp]) -> Markup {
    let of = |colour: usize, one: &SetUp, kind: Kind| {
        let series = Series::new(format!("{} {}", one.name, kind.as_str()), colour, one.login_times(kind))?;
        Some(series.broken(kind == Kind::FirstTime))
    };
    let series: Vec<Series> = set_ups
        .iter()
        .enumerate()
        .flat_map(|(colour, one)| [Kind::Subsequent, Kind::FirstTime].map(|kind| of(colour, one, kind)))
        .flatten()
        .collect();
    html! {
        section aria-labelledby="login-times" {
            h2 id="login-times" { "Login times" }
            @if series.is_empty() {
                p { "No login succeeded." }
            } @else {
                (chart::ecdf(&LOGIN_TIME, &series))
                (chart::boxes(&LOGIN_TIME, &series))
                p.quiet { (parts::HOW_TO_READ_A_BOX) " First-time logins have broken lines." }
            }
        }
    }
}

type Of = fn(&PhaseBytes) -> &[u64; 4];
const PROTOCOLS: [(&str, Of); 2] = [("UDP", |bytes| &bytes.udp), ("TCP", |bytes| &bytes.tcp)];

/// Bytes by protocol and phase.
fn phases(set_ups: &[SetUp]) -> Markup {
    let bytes = |one: &SetUp, of: &dyn Fn(&PhaseBytes) -> u64| {
        median(Spread::of_counts(one.phases.iter().map(of)), |bytes| bytes.to_string())
    };
    let columns = ["set-up", "protocol"].into_iter().chain(Phase::ALL.map(Phase::title)).chain(["all"]);
    let rows = html! {
        @for one in set_ups {
            @for (name, row) in PROTOCOLS {
                tr {
                    th scope="row" { (one.name) }
                    td { (name) }
                    @for phase in Phase::ALL { (bytes(one, &|bytes| row(bytes)[phase as usize])) }
                    (bytes(one, &|bytes| row(bytes).iter().sum()))
                }
            }
        }
    };
    let caption = "Median payload of first-time logins in bytes, both directions, from the captures. A phase ends with \
        what the client said; the medians of parts need not add up to the median of the whole.";
    html! {
        section aria-labelledby="login-phases" {
            h2 id="login-phases" { "Bytes of a login by protocol and phase" }
            (parts::table("login-phases", caption, &columns.collect::<Vec<_>>(), &rows))
        }
    }
}
