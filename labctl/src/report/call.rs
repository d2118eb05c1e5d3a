//! The report of a call, and of the matrix of calls: for a terminal, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::experiment::call::record::{CallRecord, Leg, Way};
use crate::experiment::call::{Behind, Cell, MediaWay};
use crate::meter::{Traffic, Transport};

/// Schema of `labctl experiment call --json`.
pub const CALL: &str = "labctl.call/1";
/// Schema of `labctl experiment call --matrix --json`.
pub const MATRIX: &str = "labctl.call-matrix/1";

/// Published for the system of 2006: bytes a second each way, and bytes of UDP payload a packet.
pub const PUBLISHED_BYTES_S: f64 = 5_000.0;
/// See [`PUBLISHED_BYTES_S`].
pub const PUBLISHED_PAYLOAD: f64 = 67.0;

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

#[derive(Serialize)]
struct Matrix<'a> {
    behind: &'a [Behind],
    calls: &'a [Cell],
}

/// A call as JSON.
#[must_use]
pub fn json(record: &CallRecord) -> String {
    render_json(CALL, record)
}

/// The matrix as JSON.
#[must_use]
pub fn matrix_json(behind: &[Behind], calls: &[Cell]) -> String {
    render_json(MATRIX, &Matrix { behind, calls })
}

fn render_json(schema: &'static str, content: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(&Document { schema, content })
        .expect("records are plain data with text keys");
    text.push('\n');
    text
}

/// A call as text.
#[must_use]
pub fn text(record: &CallRecord) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<18} {value}");
    };
    line("call", format!("{} to {}", record.from, record.to));
    if let Some(failure) = &record.failure {
        line("FAILED", failure.clone());
    }
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3} s"));
    line(
        "set-up",
        format!("rings after {}, answered after {}", seconds(record.ringing_s), seconds(record.setup_s)),
    );
    line("tear-down", format!("{} from hanging up to the other end's knowing", seconds(record.teardown_s)));
    line("until the answer", traffic(&record.until_answer));
    line(
        "during the call",
        format!("{} beside media: keep-alive and the end of the call", traffic(&record.during)),
    );
    for connection in &record.signalling {
        let opened = if connection.opened_here { "opened by" } else { "at" };
        let (at, peer) = (&connection.at, &connection.peer);
        line("signalling TCP", format!("{opened} {at}, with {peer}: {} bytes", connection.payload_bytes));
    }
    for leg in &record.legs {
        line("media path", media_path(leg));
    }
    let heard = record.nodes.iter().take(4).map(|node| {
        format!("{} {:.1} KB UDP + {:.1} KB TCP", node.name, kilo(node.udp_bytes), kilo(node.tcp_bytes))
    });
    let heard: Vec<_> = heard.collect();
    line("at super nodes", if heard.is_empty() { "nothing".to_owned() } else { heard.join("; ") });
    for gateway in &record.gateways {
        let (udp, tcp) = (gateway.udp_packets, gateway.tcp_packets);
        line("at the gateway", format!("{}: {udp} UDP and {tcp} TCP packets outside", gateway.name));
    }
    for way in &record.ways {
        for (name, value) in way_lines(way) {
            line(&name, value);
        }
    }
    out
}

fn kilo(bytes: u64) -> f64 {
    bytes as f64 / 1e3
}

fn traffic(traffic: &Traffic) -> String {
    let udp = traffic.udp.both().payload_bytes;
    let tcp = traffic.tcp.both().payload_bytes;
    format!("{udp} bytes by UDP, {tcp} by TCP (payload, both ways, at the caller)")
}

fn media_path(leg: &Leg) -> String {
    let transport = if leg.transport == Transport::Udp { "UDP" } else { "TCP" };
    let how = if leg.relayed { "relayed by" } else { "straight to" };
    format!(
        "{}: {transport}, {how} {} ({}), {:.1} s to {:.1} s, {} packets out and {} in",
        leg.at, leg.peer, leg.remote, leg.first_s, leg.last_s, leg.packets[0], leg.packets[1]
    )
}

fn way_lines(way: &Way) -> Vec<(String, String)> {
    let percent = |value: f64, of: f64| 100.0 * (value / of - 1.0);
    let mut lines = vec![
        (
            format!("{} to {}", way.from, way.to),
            format!(
                "{:.1} packets/s, {:.0} bytes/s of payload ({:+.1} % of the published 5 kB/s), {:.1} bytes a packet ({:+.1} % of 67)",
                way.packets_s,
                way.payload_bytes_s,
                percent(way.payload_bytes_s, PUBLISHED_BYTES_S),
                way.payload_bytes,
                percent(way.payload_bytes, PUBLISHED_PAYLOAD),
            ),
        ),
        (
            "  network".to_owned(),
            format!(
                "loss {:.2} % of {}, jitter {:.2} ms, one way {:.1} ms (at most {:.1}), longest gap {:.0} ms",
                100.0 * way.loss,
                way.sent,
                way.jitter_ms,
                way.network_ms[0],
                way.network_ms[1],
                way.longest_gap_ms
            ),
        ),
    ];
    if let (Some(voice), Some(delay), Some(rating)) = (way.voice, way.mouth_to_ear_ms, way.rating) {
        lines.push((
            "  voice".to_owned(),
            format!(
                "{} played, {} made up ({} late), {} stretched, {} skipped; mouth to ear {delay:.1} ms; this machine up to \
                 {:.0} ms late",
                voice.played,
                voice.lost,
                voice.late,
                voice.stretched,
                voice.skipped,
                voice.machine_late_ms
            ),
        ));
        lines.push((
            "  E-model".to_owned(),
            format!(
                "R {:.1} = {:.1} - Id {:.1} - Ie,eff {:.1}; MOS {:.2}",
                rating.r, rating.base, rating.delay, rating.equipment, rating.mos
            ),
        ));
    }
    lines
}

/// The matrix as text: callers down, callees across.
#[must_use]
pub fn matrix_text(behind: &[Behind], calls: &[Cell]) -> String {
    let mut out = String::from("   ");
    for number in 1..=behind.len() {
        let _ = write!(out, "{number:>3}");
    }
    out.push('\n');
    for (from, Behind { nat, firewall, .. }) in behind.iter().enumerate() {
        let _ = write!(out, "{:>3}", from + 1);
        for cell in calls.iter().filter(|cell| cell.from == from) {
            let sign = cell.way.map_or('-', MediaWay::sign);
            let mark = if cell.is_right() { ' ' } else { '!' };
            let _ = write!(out, " {mark}{sign}");
        }
        let verdict = calls.iter().filter(|cell| cell.from == from).find_map(|cell| cell.nat);
        let found = verdict.map_or("could not log in".to_owned(), |nat| format!("found {:?}", nat[0]));
        let _ = writeln!(out, "   {nat}, firewall {firewall}: {found}");
    }
    let right = calls.iter().filter(|cell| cell.is_right()).count();
    let _ = writeln!(
        out,
        "= straight UDP, U through a relay by UDP, M by UDP on one side and TCP on the other, T by TCP, - no login and so \
         no call; ! not as the rules say.\n{right} of {} calls as the rules say.",
        calls.len()
    );
    for cell in calls.iter().filter(|cell| !cell.is_right()) {
        let why = cell.failure.clone().unwrap_or_else(|| {
            format!("{:?} instead of {:?}, heard {:?}", cell.way, cell.expected, cell.heard)
        });
        let _ = writeln!(out, "{} to {}: {why}", cell.from + 1, cell.to + 1);
    }
    out
}
