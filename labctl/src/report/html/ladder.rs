//! The messages of one login, search or call as a ladder: a line down for each host, an arrow for each message.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use maud::{Markup, html};

use super::chart::px;
use super::parts;
use crate::experiment::observe;
use crate::meter::{Direction, Transport};
use crate::names::NodeName;
use crate::plan::Plan;
use crate::report::{Ladder, Message};

/// Hosts with a line of their own; the rest share one.
const MOST_LANES: usize = 7;
const WIDTH: f64 = 980.0;
const CLIENT: f64 = 110.0;
const LAST: f64 = 880.0;
const TOP: f64 = 50.0;
const ROW: f64 = 17.0;
/// A pause of a second is drawn as so many pixels more, up to [`LONGEST_PAUSE`].
const PAUSE: f64 = 10.0;
const LONGEST_PAUSE: f64 = 50.0;

/// Names hosts of a lab.
struct Hosts {
    names: HashMap<Ipv4Addr, String>,
    unassigned: Vec<Ipv4Addr>,
}

impl Hosts {
    fn of(plan: &Plan) -> Self {
        let unassigned = plan.overlay.as_ref().map(|overlay| overlay.unassigned.clone());
        Self { names: observe::names(plan).into_iter().collect(), unassigned: unassigned.unwrap_or_default() }
    }

    fn name(&self, address: Ipv4Addr) -> String {
        match self.names.get(&address) {
            Some(name) => name.clone(),
            None if self.unassigned.contains(&address) => format!("{address} (nobody)"),
            None => address.to_string(),
        }
    }
}

/// Where the hosts' lines are.
struct Lanes {
    own: Vec<Ipv4Addr>,
    shared: usize,
}

impl Lanes {
    /// The hosts with the most messages that carry bytes have lines, in the order of their first message.
    fn of(ladder: &Ladder) -> Self {
        let mut bytes: Vec<(Ipv4Addr, u64)> = Vec::new();
        for message in &ladder.messages {
            let host = *message.remote.ip();
            match bytes.iter_mut().find(|(known, _)| *known == host) {
                Some((_, sum)) => *sum += message.payload_bytes,
                None => bytes.push((host, message.payload_bytes)),
            }
        }
        let mut sorted: Vec<u64> = bytes.iter().map(|(_, sum)| *sum).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        // Of hosts with equally many bytes, the first ones.
        let least = sorted.get(MOST_LANES).copied();
        let mut own: Vec<Ipv4Addr> = Vec::new();
        for pass in [true, false] {
            let more = bytes.iter().filter(|(_, sum)| match least {
                None => pass,
                Some(least) => {
                    if pass {
                        *sum > least
                    } else {
                        *sum == least
                    }
                }
            });
            let room = MOST_LANES - own.len();
            own.extend(more.take(room).map(|(host, _)| *host).collect::<Vec<_>>());
        }
        own.sort_by_key(|host| bytes.iter().position(|(known, _)| known == host));
        Self { shared: bytes.len() - own.len(), own }
    }

    fn count(&self) -> usize {
        self.own.len() + usize::from(self.shared > 0)
    }

    fn x(&self, lane: usize) -> f64 {
        let between = (LAST - CLIENT) / self.count().max(1) as f64;
        CLIENT + between * (lane + 1) as f64
    }

    fn of_host(&self, host: Ipv4Addr) -> usize {
        self.own.iter().position(|own| *own == host).unwrap_or(self.own.len())
    }
}

/// What is drawn, and how it is told.
#[derive(Debug)]
pub struct Story<'a> {
    /// What ids in the page begin with.
    pub id: String,
    /// What the drawing is called, such as `Messages of a login in expC`.
    pub title: String,
    /// The node at the left.
    pub client: &'a NodeName,
    /// The lab.
    pub plan: &'a Plan,
    /// The messages.
    pub ladder: &'a Ladder,
    /// The count of the table, in bytes of payload, which the messages must add up to; `None` if there is none.
    pub counted: Option<u64>,
}

/// The ladder with its sums and, for those who cannot see it, as a table. `lead` says which trial it is.
#[must_use]
pub fn section(story: &Story<'_>, lead: &Markup) -> Markup {
    let hosts = Hosts::of(story.plan);
    let ladder = story.ladder;
    let (udp, tcp) = (ladder.payload_bytes(Transport::Udp), ladder.payload_bytes(Transport::Tcp));
    let packets: u64 = ladder.messages.iter().map(|one| one.packets).sum();
    html! {
        p {
            (lead) " "
            (packets) " packets with payload or SYN: " (udp) " bytes of UDP + " (tcp) " of TCP = "
            strong { (ladder.total_bytes()) " bytes" } "; the table's count of it: "
            @match story.counted {
                Some(counted) => {
                    (counted) " bytes."
                    @if counted != ladder.total_bytes() {
                        " " strong.fail { "They differ: the capture is not the one that was counted." }
                    }
                }
                None => "none in this record.",
            }
        }
        (parts::figure(&format!("{}-title", story.id), &drawing(story, &hosts)))
        details {
            summary { "The same as a table" }
            div.scroll tabindex="0" role="group" aria-labelledby=(format!("{}-title", story.id)) {
                (table(story, &hosts))
            }
        }
    }
}

fn drawing(story: &Story<'_>, hosts: &Hosts) -> Markup {
    let ladder = story.ladder;
    let lanes = Lanes::of(ladder);
    let rows = rows(ladder);
    let bottom = rows.last().copied().unwrap_or(TOP) + ROW;
    let (title, description) = (format!("{}-title", story.id), format!("{}-description", story.id));
    html! {
        svg.ladder viewBox=(format!("0 0 {WIDTH} {}", px(bottom + 10.0))) role="img"
            aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (story.title) }
            desc id=(description) {
                "Time flows down. Each arrow is a packet between " (story.client) " at the left and another host, with its \
                 payload in bytes; a thick one is many packets of media. The table below has the same in words."
            }
            line.lane x1=(px(CLIENT)) x2=(px(CLIENT)) y1="40" y2=(px(bottom)) {}
            text.host x=(px(CLIENT)) y="30" text-anchor="middle" { (story.client) }
            text.tick x="8" y="30" { "s" }
            @for lane in 0..lanes.count() {
                @let x = px(lanes.x(lane));
                @let label = match lanes.own.get(lane) {
                    Some(host) => hosts.name(*host),
                    None => format!("{} other hosts", lanes.shared),
                };
                line.lane x1=(x) x2=(x) y1="40" y2=(px(bottom)) {}
                text.host x=(x) y=(if lane % 2 == 0 { "30" } else { "14" }) text-anchor="middle" { (label) }
            }
            @for (message, y) in ladder.messages.iter().zip(&rows) { (arrow(message, *y, &lanes, hosts)) }
        }
    }
}

/// Where each message is drawn: one below the other, further down after a pause.
fn rows(ladder: &Ladder) -> Vec<f64> {
    let mut y = TOP;
    let mut before = 0.0;
    let place = |message: &Message| {
        let pause = (message.after_s - before).max(0.0) * PAUSE;
        y += ROW + pause.min(LONGEST_PAUSE);
        before = message.until_s.max(before);
        y
    };
    ladder.messages.iter().map(place).collect()
}

fn arrow(message: &Message, y: f64, lanes: &Lanes, hosts: &Hosts) -> Markup {
    let host = *message.remote.ip();
    let lane = lanes.of_host(host);
    let far = lanes.x(lane);
    let (class, transport) = of(message.transport);
    // The tip, and where its two other corners are.
    let (tip, back) = match message.direction {
        Direction::Sent => (far, -8.0),
        Direction::Received => (CLIENT, 8.0),
    };
    let head = format!(
        "{},{} {},{} {},{}",
        px(tip),
        px(y),
        px(tip + back),
        px(y - 4.0),
        px(tip + back),
        px(y + 4.0)
    );
    html! {
        g class=(if message.packets > 1 { format!("{class} many") } else { class.to_owned() }) {
            line x1=(px(CLIENT)) x2=(px(far)) y1=(px(y)) y2=(px(y)) {}
            polygon points=(head) {}
            text.time x="8" y=(px(y + 4.0)) { (time(message)) }
            text x=(px(CLIENT + 14.0)) y=(px(y - 3.0)) {
                (transport) " " (bytes(message))
                @if lane == lanes.own.len() { " " (hosts.name(host)) }
            }
        }
    }
}

fn of(transport: Transport) -> (&'static str, &'static str) {
    match transport {
        Transport::Udp => ("udp", "UDP"),
        Transport::Tcp => ("tcp", "TCP"),
    }
}

fn time(message: &Message) -> String {
    let Message { after_s, until_s, .. } = message;
    if message.packets > 1 { format!("{after_s:.3}–{until_s:.1}") } else { format!("{after_s:.3}") }
}

fn bytes(message: &Message) -> String {
    match message.packets {
        1 if message.opens => "SYN".to_owned(),
        1 => format!("{} B", message.payload_bytes),
        packets => format!("{} B in {packets} packets", message.payload_bytes),
    }
}

fn table(story: &Story<'_>, hosts: &Hosts) -> Markup {
    let columns = ["time, s", "way", "host", "port", "protocol", "packets", "payload, bytes"];
    html! {
        table {
            caption { span { (story.title) } }
            thead { tr { @for title in columns { th scope="col" { (title) } } } }
            tbody {
                @for message in &story.ladder.messages {
                    tr {
                        td.number {
                            (format!("{:.6}", message.after_s))
                            @if message.packets > 1 { " to " (format!("{:.6}", message.until_s)) }
                        }
                        td { @if message.direction == Direction::Sent { "to" } @else { "from" } }
                        td { (hosts.name(*message.remote.ip())) }
                        td.number { (message.remote.port()) }
                        td { (of(message.transport).1) @if message.opens { ", SYN" } }
                        td.number { (message.packets) }
                        td.number { (message.payload_bytes) }
                    }
                }
            }
            tfoot {
                tr {
                    th scope="row" colspan="6" { "sum" }
                    td.number { (story.ladder.total_bytes()) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(after_s: f64, host: u8, payload_bytes: u64) -> Message {
        Message {
            after_s,
            direction: Direction::Sent,
            transport: Transport::Udp,
            remote: std::net::SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), 80),
            payload_bytes,
            opens: false,
            packets: 1,
            until_s: after_s,
        }
    }

    #[test]
    fn hosts_with_most_bytes_have_lines_and_the_rest_share_one() {
        let messages = (1..=12).map(|host| message(0.1, host, if host == 12 { 500 } else { 20 })).collect();
        let lanes = Lanes::of(&Ladder { messages });
        let last: Vec<u8> = lanes.own.iter().map(|host| host.octets()[3]).collect();
        assert_eq!((last, lanes.shared), (vec![1, 2, 3, 4, 5, 6, 12], 5));
        assert_eq!(lanes.of_host(Ipv4Addr::new(198, 18, 0, 12)), 6);
        assert_eq!(lanes.of_host(Ipv4Addr::new(198, 18, 0, 9)), 7);
    }

    #[test]
    fn few_hosts_have_a_line_each() {
        let lanes = Lanes::of(&Ladder { messages: vec![message(0.1, 2, 20), message(0.2, 1, 90)] });
        assert_eq!((lanes.own.len(), lanes.shared, lanes.count()), (2, 0, 2));
    }

    #[test]
    fn time_flows_down() {
        let messages = vec![message(0.1, 1, 20), message(0.1, 1, 20), message(31.0, 1, 20)];
        let rows = rows(&Ladder { messages });
        assert!(rows.is_sorted() && rows[2] - rows[1] > rows[1] - rows[0], "{rows:?}");
    }
}
