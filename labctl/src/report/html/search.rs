//! The part of the page about searches: a row for each case, latencies, the super nodes' part, ladders.

use maud::{Markup, html};

use super::chart::{self, Quantity, Series};
use super::ladder::{self, Story};
use super::material::{SearchExample, Searches};
use super::parts::{self, counts, reals};
use crate::experiment::search::record::Case;
use crate::report::search::SearchRow;

/// What is drawn of searches.
const LATENCY: Quantity =
    Quantity { id: "search-latency", what: "latency of a search", unit: "s", each: "searches", least: 0.0 };

const FIGURES: [&str; 13] = [
    "set-up",
    "search",
    "trials",
    "failed",
    "latency, s",
    "UDP, bytes",
    "TCP, bytes",
    "IP level, bytes",
    "nodes contacted",
    "nodes asked",
    "hops",
    "from a cache",
    "path stretch",
];

/// All of it.
#[must_use]
pub fn sections(searches: &[Searches]) -> Markup {
    html! {
        (figures(searches))
        (latencies(searches))
        (super_nodes(searches))
        section aria-labelledby="search-ladders" {
            h2 id="search-ladders" { "The messages of one search" }
            (parts::how_to_read_a_ladder())
            p {
                "All that passed the client meanwhile is drawn: also what belongs to its connection to the super node, which \
                was there before."
            }
            @for one in searches {
                h3 { (one.name) }
                @if one.examples.is_empty() {
                    p { "No search that ended as it must has its packets in the run's directory." }
                }
                @for (index, example) in one.examples.iter().enumerate() { (drawn(one, example, index == 0)) }
            }
        }
    }
}

/// One search; the first is there to be seen at once.
fn drawn(searches: &Searches, example: &SearchExample, open: bool) -> Markup {
    let record = &example.record;
    let case = record.case.as_str();
    let story = Story {
        id: format!("search-ladder-{}-{case}", searches.name),
        title: format!("Messages of a search in {}, {case}", searches.name),
        client: &record.client,
        plan: &searches.runs[example.run].plan,
        ladder: &example.ladder,
        counted: record.traffic().map(|traffic| traffic.total().payload_bytes),
    };
    let lead = html! {
        "The search of " code { (record.client) } " for " code { (record.user) } ", trial " (record.trial)
        ", whose latency is nearest to the median."
    };
    html! {
        details open[open] {
            summary { (case) }
            (ladder::section(&story, &lead))
        }
    }
}

fn figures(searches: &[Searches]) -> Markup {
    let rows = html! { @for row in searches.iter().flat_map(|one| &one.report.rows) { (figures_of(row)) } };
    let caption = "Median (least to most). Cold: a user who is online, no result kept; warm: the same again; offline: \
        logged out; expired: not seen for the lifetime of a record; unknown: never existed. Bytes are payload in both \
        directions at the client. Contacted: nodes that the client exchanged packets with. Asked: nodes beside its super \
        node. Path stretch: latency over the direct round trip to the user.";
    let failures = searches.iter().flat_map(|one| {
        one.records().filter_map(|record| {
            let why = &record.failure.as_ref()?.detail;
            let (case, trial, client) = (record.case.as_str(), record.trial, &record.client);
            Some((format!("{}, {case} search {trial} of {client}", one.name), why.clone()))
        })
    });
    html! {
        section aria-labelledby="searches" {
            h2 id="searches" { "Searches" }
            (parts::table("searches", caption, &FIGURES, &rows))
            (parts::failures(failures.collect()))
            @for row in searches.iter().flat_map(|one| &one.report.rows) {
                @if row.udp_packets_outside == Some(0) {
                    p.quiet {
                        (row.experiment) " " (row.case.as_str()) ": no UDP packet passed the outside of a gateway."
                    }
                }
            }
        }
    }
}

fn figures_of(row: &SearchRow) -> Markup {
    html! {
        tr {
            th scope="row" { (row.experiment) }
            th scope="row" { (row.case.as_str()) }
            td.number { (row.trials) }
            td.number { (parts::failed(row.failed)) }
            (reals(row.latency_s, 3))
            (counts(row.udp_payload_bytes))
            (counts(row.tcp_payload_bytes))
            (counts(row.ip_bytes))
            (counts(row.contacted))
            (counts(row.asked))
            (counts(row.hops))
            td.number { (row.from_cache) }
            (reals(row.path_stretch, 1))
        }
    }
}

fn latencies(searches: &[Searches]) -> Markup {
    let cases = searches.iter().flat_map(|one| Case::ALL.map(|case| (one, case)));
    let series = cases.filter_map(|(one, case)| {
        Series::new(format!("{} {}", one.name, case.as_str()), case as usize, one.latencies(case))
    });
    let series: Vec<Series> = series.collect();
    html! {
        section aria-labelledby="search-latencies" {
            h2 id="search-latencies" { "Latencies of searches" }
            @if series.is_empty() {
                p { "No search ended as it must." }
            } @else {
                (chart::ecdf(&LATENCY, &series))
                (chart::boxes(&LATENCY, &series))
                p.quiet { (parts::HOW_TO_READ_A_BOX) }
            }
        }
    }
}

fn super_nodes(searches: &[Searches]) -> Markup {
    let rows = html! {
        @for one in searches {
            @let overlay = &one.report.overlay;
            tr {
                th scope="row" { (one.name) }
                td.number { (overlay.super_nodes) }
                (counts(overlay.routing_table))
                (counts(overlay.records))
                (counts(overlay.forwards))
                (counts(overlay.lookups))
                td.number { (overlay.cache_hits) }
            }
        }
    };
    let columns = [
        "set-up",
        "super nodes",
        "others that each knew",
        "records of users",
        "lookups sent on",
        "lookups answered",
        "answers from caches, all together",
    ];
    let caption = "What the super nodes held at the end and did, by their own account. Median (least to most) over them.";
    html! {
        section aria-labelledby="super-nodes" {
            h2 id="super-nodes" { "The super nodes' part" }
            (parts::table("super-nodes", caption, &columns, &rows))
        }
    }
}
