//! The part of the page about calls: figures, ways of media and their quality, media over time, ladders.

use maud::{Markup, html};

use super::chart::{self, Quantity, Series};
use super::ladder::{self, Story};
use super::lines::{Line, over_time};
use super::material::{CallExample, Calls};
use super::parts::{self, judged, nothing, reals};
use crate::experiment::call::record::{CallRecord, Leg, Way};
use crate::experiment::call::replay::OverTime;
use crate::meter::{Traffic, Transport};
use crate::report::call::{PUBLISHED_BYTES_S, PUBLISHED_PAYLOAD};
use crate::report::statistics::Spread;

const SET_UP_TIME: Quantity =
    Quantity { id: "call-set-up", what: "time to the answer", unit: "s", each: "calls", least: 0.0 };
const MOS: Quantity = Quantity { id: "call-mos", what: "MOS", unit: "", each: "ways", least: 1.0 };

/// A figure within this share of the published one is as published.
const TOLERANCE: f64 = 0.10;

/// All of it.
#[must_use]
pub fn sections(calls: &[Calls]) -> Markup {
    html! {
        (figures(calls))
        (quality(calls))
        (spread(calls))
        (bytes(calls))
        section aria-labelledby="call-ladders" {
            h2 id="call-ladders" { "One call: its ways, its media over time, its messages" }
            (parts::how_to_read_a_ladder())
            @for (index, one) in calls.iter().enumerate() {
                h3 { (one.name()) }
                @match &one.example {
                    Some(example) => (drawn(one, index, example)),
                    None => p { "No call that came about has its packets in the run's directory." },
                }
            }
        }
    }
}

fn figures(calls: &[Calls]) -> Markup {
    let rows = html! {
        @for one in calls {
            @let trials = &one.trials;
            tr {
                th scope="row" { (one.name()) }
                td.number { (trials.trials) }
                td.number { (parts::failed(trials.failed)) }
                (reals(trials.ringing_s, 3))
                (reals(trials.setup_s, 3))
                (reals(Spread::of_seconds(one.good().filter_map(|call| call.teardown_s)), 3))
                td { (ways_at(one, &one.from)) }
                td { (ways_at(one, &one.to)) }
            }
        }
    };
    let columns = [
        "call",
        "calls",
        "failed",
        "rings after, s",
        "answered after, s",
        "hung up after, s",
        "media at the caller",
        "media at the callee",
    ];
    let caption = "Median (least to most). Rings and answered: from the command; the callee answers as soon as it can. Hung \
        up: from the caller's hanging up to the callee's knowing. Media: the last way of each end, in how many calls.";
    let failures = calls.iter().flat_map(|one| {
        let numbered = (1..).zip(one.records());
        numbered.filter_map(|(number, call)| {
            Some((format!("{}, call {number}", one.name()), call.failure.clone()?))
        })
    });
    html! {
        section aria-labelledby="calls" {
            h2 id="calls" { "Calls" }
            (parts::table("calls", caption, &columns, &rows))
            (parts::failures(failures.collect()))
        }
    }
}

/// The last way of media at an end, over the calls: each with the number of calls that took it.
fn ways_at(calls: &Calls, end: &crate::names::NodeName) -> Markup {
    let mut ways: Vec<(String, usize)> = Vec::new();
    for call in calls.good() {
        let leg = call.legs.iter().rfind(|leg| leg.at == *end);
        let way = leg.map_or_else(|| "none".to_owned(), way_of);
        match ways.iter_mut().find(|(known, _)| *known == way) {
            Some((_, count)) => *count += 1,
            None => ways.push((way, 1)),
        }
    }
    html! {
        @for (index, (way, count)) in ways.iter().enumerate() {
            @if index > 0 { br; }
            (way) @if ways.len() > 1 { " (" (count) ")" }
        }
        @if ways.is_empty() { (nothing()) }
    }
}

fn way_of(leg: &Leg) -> String {
    format!("{}, {}", transport(leg.transport), if leg.relayed { "relayed" } else { "straight" })
}

const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}

/// The media of each direction, next to the published figures.
fn quality(calls: &[Calls]) -> Markup {
    let rows = html! {
        @for one in calls {
            @for (from, to) in [(&one.from, &one.to), (&one.to, &one.from)] {
                @let ways: Vec<&Way> = ways(one, from).collect();
                @let of = |figure: &dyn Fn(&Way) -> Option<f64>, places: usize| {
                    reals(Spread::of_seconds(ways.iter().filter_map(|way| figure(way))), places)
                };
                @let compared = |figure: &dyn Fn(&Way) -> f64, places: usize, published: Option<f64>| {
                    let spread = Spread::of_seconds(ways.iter().map(|way| figure(way)));
                    let within = spread.zip(published).map(|(spread, published)| is_near(spread.median, published));
                    html! {
                        td.number {
                            (parts::in_cell(spread, |value| format!("{value:.places$}")))
                            @if within.is_some() { " " span.verdict { (judged(within)) } }
                        }
                    }
                };
                @let by_udp = one.good().flat_map(|call| &call.legs).all(|leg| leg.transport == Transport::Udp);
                tr {
                    th scope="row" { (one.set_up) ", " (from) " to " (to) }
                    (of(&|way| Some(way.packets_s), 1))
                    (compared(&|way| way.payload_bytes_s, 0, Some(PUBLISHED_BYTES_S)))
                    (compared(&|way| way.payload_bytes, 1, Some(PUBLISHED_PAYLOAD).filter(|_| by_udp)))
                    (of(&|way| Some(100.0 * way.loss), 2))
                    (of(&|way| Some(way.jitter_ms), 2))
                    (of(&|way| Some(way.network_ms[0]), 1))
                    (of(&|way| Some(way.longest_gap_ms), 0))
                    (of(&|way| way.mouth_to_ear_ms, 1))
                    (of(&|way| way.rating.map(|rating| rating.r), 1))
                    (of(&|way| way.rating.map(|rating| rating.mos), 2))
                    (of(&|way| way.voice.map(|voice| voice.machine_late_ms), 0))
                }
            }
        }
    };
    let columns = [
        "way",
        "packets a second",
        "bytes a second",
        "bytes a packet",
        "loss, %",
        "jitter, ms",
        "one way, ms",
        "longest gap, ms",
        "mouth to ear, ms",
        "R",
        "MOS",
        "machine late, ms",
    ];
    let caption = "Median (least to most) over the calls. Bytes are media payload at the speaker. Pass: within a \
        tenth of the published 5 kB a second, and 67 bytes of UDP payload a packet. Jitter by RFC 3550; R and MOS by the E-model (ITU-T \
        G.107). Machine late: the most by which this machine came late to send or play a packet, for which no network is \
        to blame.";
    html! {
        section aria-labelledby="call-quality" {
            h2 id="call-quality" { "Media of calls, and how they are heard" }
            (parts::table("call-quality", caption, &columns, &rows))
        }
    }
}

fn is_near(found: f64, published: f64) -> bool {
    (found - published).abs() <= published * TOLERANCE
}

fn ways<'a>(calls: &'a Calls, from: &'a crate::names::NodeName) -> impl Iterator<Item = &'a Way> {
    calls.good().flat_map(|call| &call.ways).filter(move |way| way.from == *from)
}

fn spread(calls: &[Calls]) -> Markup {
    let times = calls.iter().enumerate();
    let times = times.filter_map(|(colour, one)| {
        Series::new(one.name(), colour, one.good().filter_map(|call| call.setup_s))
    });
    let ratings = calls.iter().enumerate().flat_map(|(colour, one)| {
        [(&one.from, &one.to), (&one.to, &one.from)].map(|(from, to)| {
            let values = ways(one, from).filter_map(|way| way.rating.map(|rating| rating.mos));
            let series = Series::new(format!("{}, {from} to {to}", one.set_up), colour, values);
            series.map(|series| series.broken(*from == one.to))
        })
    });
    let (times, ratings): (Vec<Series>, Vec<Series>) = (times.collect(), ratings.flatten().collect());
    html! {
        section aria-labelledby="call-spread" {
            h2 id="call-spread" { "Times to the answer, and MOS" }
            @if times.is_empty() { p { "No call came about." } } @else { (chart::boxes(&SET_UP_TIME, &times)) }
            @if !ratings.is_empty() { (chart::boxes(&MOS, &ratings)) }
            p.quiet { (parts::HOW_TO_READ_A_BOX) " Ways back to the caller have broken lines." }
        }
    }
}

type Part = fn(&CallRecord) -> Option<Traffic>;
const PARTS: [(&str, Part); 3] = [
    ("until the answer", |call| Some(call.until_answer)),
    ("media", |call| call.media),
    ("keep-alive and hanging up", |call| Some(call.during)),
];

/// Bytes at the caller by protocol and part of the call.
fn bytes(calls: &[Calls]) -> Markup {
    let bytes = |one: &Calls, figure: &dyn Fn(&CallRecord) -> Option<u64>| {
        parts::median(Spread::of_counts(one.good().filter_map(figure)), |bytes| bytes.to_string())
    };
    let of = |traffic: Traffic, which: Transport| match which {
        Transport::Udp => traffic.udp.both().payload_bytes,
        Transport::Tcp => traffic.tcp.both().payload_bytes,
    };
    let rows = html! {
        @for one in calls {
            @for which in [Transport::Udp, Transport::Tcp] {
                tr {
                    th scope="row" { (one.name()) }
                    td { (transport(which)) }
                    @for (_, part) in PARTS {
                        (bytes(one, &|call| part(call).map(|traffic| of(traffic, which))))
                    }
                    (bytes(one, &|call| PARTS.iter().map(|(_, part)| part(call).map(|traffic| of(traffic, which))).sum()))
                }
            }
        }
    };
    let columns = ["call", "protocol"].into_iter().chain(PARTS.map(|(name, _)| name)).chain(["all"]);
    let caption = "Median payload at the caller in bytes, both directions. Media: all on the ways that media took, what \
        opens and checks them included. TCP payload counts each time that it passed.";
    html! {
        section aria-labelledby="call-bytes" {
            h2 id="call-bytes" { "Bytes of a call by protocol and phase" }
            (parts::table("call-bytes", caption, &columns.collect::<Vec<_>>(), &rows))
        }
    }
}

/// All payload at the caller, by the record; `None` of a record without that of media.
fn counted(call: &CallRecord) -> Option<u64> {
    PARTS.iter().map(|(_, part)| part(call).map(|traffic| traffic.total().payload_bytes)).sum()
}

fn drawn(calls: &Calls, index: usize, example: &CallExample) -> Markup {
    let call = &example.record;
    let story = Story {
        id: format!("call-ladder-{index}"),
        title: format!("Messages of a call in {}", calls.name()),
        client: &call.from,
        plan: &calls.runs[example.run].plan,
        ladder: &example.ladder,
        counted: counted(call),
    };
    let lead = html! { "The call whose time to the answer is nearest to the median, at the caller." };
    html! {
        (legs(calls, index, call))
        (media_over_time(index, &calls.name(), &example.ways))
        (ladder::section(&story, &lead))
    }
}

/// The ways that media and signalling took in one call, and what others carried of it.
fn legs(calls: &Calls, index: usize, call: &CallRecord) -> Markup {
    let id = format!("call-ways-{index}");
    let rows = html! {
        @for connection in &call.signalling {
            tr {
                th scope="row" { (connection.at) }
                td { "signalling" }
                td { "TCP, " (if connection.opened_here { "opened here" } else { "opened by others, or before" }) }
                td { (connection.peer) }
                td { "–" }
                td.number { (connection.payload_bytes) " bytes" }
            }
        }
        @for leg in &call.legs {
            tr {
                th scope="row" { (leg.at) }
                td { "media" }
                td { (way_of(leg)) }
                td { (leg.peer) }
                td.number { (format!("{:.3} to {:.3}", leg.first_s, leg.last_s)) }
                td.number { (leg.packets[0]) " out, " (leg.packets[1]) " in" }
            }
        }
        @for node in call.nodes.iter().filter(|node| node.udp_bytes + node.tcp_bytes > 0).take(8) {
            tr {
                th scope="row" { (node.name) }
                td { "carried for both" }
                td { "–" } td { "–" } td { "–" }
                td.number { (node.udp_bytes) " bytes of UDP, " (node.tcp_bytes) " of TCP" }
            }
        }
        @for gateway in &call.gateways {
            tr {
                th scope="row" { (gateway.name) }
                td { "passed its outside" }
                td { "–" } td { "–" } td { "–" }
                td.number { (gateway.udp_packets) " UDP packets, " (gateway.tcp_packets) " TCP" }
            }
        }
    };
    let caption =
        format!("Ways of the call in {}. Super nodes: payload to and from the two ends.", calls.name());
    html! {
        h4 id=(id) { "Ways" }
        (parts::table(&id, &caption, &["at", "what", "way", "with", "from, to, s", "how much"], &rows))
    }
}

/// Packets, delay and jitter of each second.
fn media_over_time(index: usize, name: &str, ways: &[OverTime]) -> Markup {
    let of = |what: &str, line: &dyn Fn(usize, &OverTime) -> Vec<Line>| {
        let lines: Vec<Line> = ways.iter().enumerate().flat_map(|(colour, way)| line(colour, way)).collect();
        (lines, format!("call-{what}-{index}"))
    };
    let line = |way: &OverTime, what: &str, colour: usize, broken: bool, points: Vec<(f64, f64)>| Line {
        name: format!("{} to {}, {what}", way.from, way.to),
        colour,
        broken,
        points,
    };
    let (packets, packets_id) = of("packets", &|colour, way| {
        let came: Vec<f64> = way.came.iter().map(|one| one.at_s).collect();
        vec![
            line(way, "sent", colour, true, a_second(way, &way.sent_s)),
            line(way, "came", colour, false, a_second(way, &came)),
        ]
    });
    let (delay, delay_id) = of("delay", &|colour, way| {
        let delays: Vec<(f64, f64)> =
            way.came.iter().map(|one| (one.sent_s, 1e3 * (one.at_s - one.sent_s))).collect();
        vec![
            line(
                way,
                "mean",
                colour,
                false,
                in_seconds(&delays, |all| all.iter().sum::<f64>() / all.len() as f64),
            ),
            line(
                way,
                "longest",
                colour,
                true,
                in_seconds(&delays, |all| all.iter().copied().fold(0.0, f64::max)),
            ),
        ]
    });
    let (jitter, jitter_id) = of("jitter", &|colour, way| {
        let jitters: Vec<(f64, f64)> = way.came.iter().map(|one| (one.at_s, one.jitter_ms)).collect();
        vec![line(
            way,
            "jitter",
            colour,
            false,
            in_seconds(&jitters, |all| all.iter().sum::<f64>() / all.len() as f64),
        )]
    });
    html! {
        h4 { "Media over time" }
        @if ways.iter().all(|way| way.sent_s.is_empty()) {
            p { "No media packet is in the captures." }
        } @else {
            (over_time(&packets_id, &format!("Media packets in {name}"), "packets in each second", &packets))
            (over_time(&delay_id, &format!("One-way delay in {name}"), "ms one way, by second", &delay))
            (over_time(&jitter_id, &format!("Jitter in {name}"), "ms of jitter (RFC 3550), by second", &jitter))
        }
    }
}

/// How many of these moments are in each whole second from the first packet on, at the middle of the second.
fn a_second(way: &OverTime, moments: &[f64]) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (way.sent_s.first(), way.sent_s.last()) else { return Vec::new() };
    let begins = (0..).map(|n| first + f64::from(n)).take_while(|begin| begin + 1.0 <= *last);
    let within = |begin: f64| moments.iter().filter(|at| (begin..begin + 1.0).contains(*at)).count() as f64;
    begins.map(|begin| (begin + 0.5, within(begin))).collect()
}

/// What becomes of the values of each second that has some, at the middle of the second. Pairs of a moment and a value.
fn in_seconds(values: &[(f64, f64)], of: impl Fn(&[f64]) -> f64) -> Vec<(f64, f64)> {
    let mut seconds: std::collections::BTreeMap<i64, Vec<f64>> = std::collections::BTreeMap::new();
    for (at, value) in values {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a call")]
        seconds.entry(at.floor() as i64).or_default().push(*value);
    }
    seconds.into_iter().map(|(second, all)| (second as f64 + 0.5, of(&all))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_begin_with_the_first_packet_and_only_whole_ones_count() {
        let way = OverTime {
            from: "a".parse().unwrap(),
            to: "b".parse().unwrap(),
            sent_s: vec![0.5, 0.6, 1.4, 1.6, 2.6, 2.7],
            came: Vec::new(),
        };
        assert_eq!(a_second(&way, &way.sent_s), [(1.0, 3.0), (2.0, 1.0)]);
        assert_eq!(a_second(&way, &[]), [(1.0, 0.0), (2.0, 0.0)]);
    }

    #[test]
    fn a_second_without_values_has_no_point() {
        let longest =
            in_seconds(&[(0.1, 5.0), (0.9, 7.0), (2.5, 1.0)], |all| all.iter().copied().fold(0.0, f64::max));
        assert_eq!(longest, [(0.5, 7.0), (2.5, 1.0)]);
    }
}
