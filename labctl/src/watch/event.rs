//! What happened: lines of the nodes' logs, and changes that the lab's own state shows, in order of their time.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::link::{Change, Ways};
use crate::net::wan::WanEvent;
use crate::net::wan::events::{Actor, Happening, Other};

/// How many events are kept.
const KEPT: usize = 5_000;

/// How an event is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// It happened.
    Plain,
    /// Something that was wanted has come about.
    Good,
    /// Something failed, or is worth a look.
    Bad,
    /// The network was changed.
    Change,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in time since 1970 (UTC).
    pub at: Duration,
    /// Where: a node, a link, or the lab.
    pub source: String,
    /// What.
    pub text: String,
    /// How it is to be taken.
    pub grade: Grade,
}

impl Event {
    /// Something that was seen just now.
    #[must_use]
    pub fn now(source: impl Into<String>, grade: Grade, text: impl Into<String>) -> Self {
        Self { at: now(), source: source.into(), text: text.into(), grade }
    }

    /// A line of a node's log. An overlay node's lines begin with their time; other programs' are taken for new.
    #[must_use]
    pub fn of_line(node: &str, line: &str) -> Option<Self> {
        let line = line.trim_end();
        if line.trim().is_empty() {
            return None;
        }
        let event = of_overlay(node, line);
        Some(event.unwrap_or_else(|| Self::now(node, Grade::Plain, printable(line))))
    }

    /// What a WAN's keeper tells.
    #[must_use]
    pub fn of_wan(event: &WanEvent) -> Self {
        let (source, text) = match &event.what {
            Happening::Change(change) => (change.link().unwrap_or("WAN"), of_change(change)),
            Happening::Other(Other::BeginSchedule) => ("WAN", "the schedule begins".to_owned()),
            Happening::Other(Other::SkipStep { reason }) => ("WAN", format!("a step is left out: {reason}")),
            Happening::Other(Other::Stop) => ("WAN", "the engine has ended: nothing passes".to_owned()),
            Happening::Other(Other::Repair) => ("WAN", "a new engine: links are as in the plan".to_owned()),
        };
        let by = if event.by == Actor::Schedule { ", by the schedule" } else { "" };
        let bad = matches!(event.what, Happening::Other(Other::Stop | Other::SkipStep { .. }));
        Self {
            at: Duration::from_nanos(event.time.as_nanos()),
            source: source.to_owned(),
            text: format!("{text}{by}"),
            grade: if bad { Grade::Bad } else { Grade::Change },
        }
    }

    /// The time of day, UTC.
    #[must_use]
    pub fn time_of_day(&self) -> String {
        let seconds = self.at.as_secs() % 86_400;
        format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

fn of_change(change: &Change) -> String {
    match change {
        Change::SetLink { ways, settings, .. } => {
            let way = match ways {
                Ways::Up => ", up",
                Ways::Down => ", down",
                Ways::Both => "",
            };
            // `{"delay":"80ms"}` as people write it.
            let words: Vec<_> =
                settings.iter().filter_map(|setting| serde_json::to_string(setting).ok()).collect();
            format!("link changed{way}: {}", words.join(" ").replace(['{', '}', '"'], "").replace(':', " "))
        }
        Change::SetWorks { works, .. } => if *works { "link up" } else { "link down" }.to_owned(),
        Change::Partition { sides } => {
            let sides: Vec<_> = sides.iter().map(|side| side.join(" ")).collect();
            format!("parted: {}", sides.join(" | "))
        }
        Change::Heal => "healed: no partition any more".to_owned(),
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What a program writes may be meant for a terminal of its own.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `2026-01-01T12:00:00.000001Z  INFO login event=LoggedIn`, as the node program writes.
fn of_overlay(node: &str, line: &str) -> Option<Event> {
    let (time, rest) = line.split_once(' ')?;
    let at = humantime::parse_rfc3339(time).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let (level, said) = rest.trim_start().split_once(' ')?;
    let text = match said.split_once("event=") {
        Some((what, event)) => {
            let what = what.split_whitespace().next().filter(|word| !word.contains('='));
            let event = in_words(event);
            what.map_or_else(|| event.clone(), |what| format!("{what}: {event}"))
        }
        // Whose name it is stands before it.
        None => said.replace(&format!(" name={node} "), " ").replace('"', ""),
    };
    let good = ["logged in", "found", "answered", "registered", "certified"];
    let grade = match level {
        "WARN" | "ERROR" => Grade::Bad,
        _ if text.contains("failed") || text.contains("misbehaved") => Grade::Bad,
        _ if good.iter().any(|word| text.contains(word)) => Grade::Good,
        _ => Grade::Plain,
    };
    Some(Event { at, source: node.to_owned(), text: printable(&text), grade })
}

/// `UdpBlocked { probes: 30 }` as people say it: `UDP blocked (probes 30)`.
fn in_words(event: &str) -> String {
    let end = event.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(event.len());
    let (name, rest) = event.split_at(end);
    let mut said = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !said.is_empty() {
            said.push(' ');
        }
        said.push(c.to_ascii_lowercase());
    }
    let said = said.replace("udp", "UDP").replace("tcp", "TCP").replace("nat type", "NAT type");
    let mut fields = String::new();
    // The names of what is nested say nothing that its fields do not: `summary: LoginSummary { rounds: 1 }`.
    for word in rest.split_whitespace() {
        let word = word.trim_end_matches("Some(").trim_start_matches("Some(");
        let is_name = word.chars().next().is_some_and(char::is_uppercase) && word.ends_with("Summary");
        if matches!(word, "{" | "}" | "}," | "summary:") || is_name {
            continue;
        }
        if !fields.is_empty() {
            fields.push(' ');
        }
        fields.push_str(
            &word.replace([':', '"'], if word.ends_with(':') { "" } else { ":" }).replace('_', " "),
        );
    }
    let fields = fields.trim_end_matches([',', ' ', ')', '}']);
    if fields.is_empty() { said } else { format!("{said} ({fields})") }
}

/// Events in order of their time, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    events: VecDeque<Event>,
}

impl Log {
    /// Puts an event to its place: lines of different nodes come in any order.
    pub fn add(&mut self, event: Event) {
        let behind = self.events.iter().rev().take_while(|known| known.at > event.at).count();
        self.events.insert(self.events.len() - behind, event);
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    /// All that are kept and that a filter lets through: a part of the source or of the text.
    pub fn filtered<'a>(&'a self, filter: &'a str) -> impl DoubleEndedIterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.source.contains(filter) || event.text.contains(filter))
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use overlay_control::{LoginEvent, LoginSummary, NatVerdict};

    use super::*;

    fn said(event: &LoginEvent) -> String {
        let line = format!("2026-01-02T03:04:05.600000Z  INFO login event={event:?}\n");
        Event::of_line("alice", &line).unwrap().text
    }

    #[test]
    fn the_nodes_events_are_said_in_words() {
        let address = "198.18.0.9:33033".parse().unwrap();
        assert_eq!(said(&LoginEvent::LoggedIn), "login: logged in");
        assert_eq!(said(&LoginEvent::UdpBlocked { probes: 30 }), "login: UDP blocked (probes 30)");
        assert_eq!(said(&LoginEvent::SuperNode { address }), "login: super node (address 198.18.0.9:33033)");
        assert_eq!(
            said(&LoginEvent::NatType { verdict: NatVerdict::PortRestricted }),
            "login: NAT type (verdict PortRestricted)"
        );
        let summary = LoginSummary {
            nat: NatVerdict::Open,
            super_nodes: vec![address],
            advertised_to: 20,
            advertisements_answered: 19,
            rounds: 1,
            host_cache_entries: 200,
        };
        assert_eq!(
            said(&LoginEvent::Finished { summary }),
            "login: finished (nat Open, super nodes [198.18.0.9:33033], advertised to 20, \
             advertisements answered 19, rounds 1, host cache entries 200)"
        );
    }

    #[test]
    fn times_and_grades_are_read() {
        let serves = Event::of_line("sn", "2026-01-02T03:04:05.6Z  INFO serves name=sn port=1").unwrap();
        assert_eq!(serves.text, "serves port=1");
        let event = Event::of_line("a", "2026-01-02T03:04:05.6Z  WARN login failed reason=\"x\"").unwrap();
        assert_eq!((event.time_of_day().as_str(), event.grade), ("03:04:05", Grade::Bad));
        assert_eq!(event.text, "login failed reason=x");
        let program = Event::of_line("web", "GET /\x1b[31m 200").unwrap();
        assert_eq!((program.text.as_str(), program.grade), ("GET / [31m 200", Grade::Plain));
        assert_eq!(Event::of_line("web", "  \n"), None);
    }

    #[test]
    fn what_the_wans_keeper_tells_is_said_in_words() {
        let said = |what: &str| {
            let event = format!(r#"{{"number":1,"time":TIME,"by":"schedule",{what}}}"#);
            let time = serde_json::to_string(&crate::meter::Timestamp::from_nanos(5_000_000_000)).unwrap();
            let event = Event::of_wan(&serde_json::from_str(&event.replace("TIME", &time)).unwrap());
            assert_eq!(event.at, Duration::from_secs(5));
            format!("{}: {}", event.source, event.text)
        };
        assert_eq!(
            said(r#""do":"set-link","link":"a","ways":"up","settings":[{"delay":"80ms"}]"#),
            "a: link changed, up: delay 80ms, by the schedule"
        );
        assert_eq!(
            said(r#""do":"partition","sides":[["a","b"],["c"]]"#),
            "WAN: parted: a b | c, by the schedule"
        );
        assert_eq!(said(r#""do":"repair""#), "WAN: a new engine: links are as in the plan, by the schedule");
    }

    #[test]
    fn lines_that_come_late_stand_where_they_belong() {
        let mut log = Log::default();
        for at in [5, 9, 7, 1] {
            let at = Duration::from_secs(at);
            log.add(Event {
                at,
                source: "n".to_owned(),
                text: at.as_secs().to_string(),
                grade: Grade::Plain,
            });
        }
        let order: Vec<_> = log.filtered("").map(|event| event.text.as_str()).collect();
        assert_eq!(order, ["1", "5", "7", "9"]);
        assert_eq!(log.filtered("9").count(), 1);
    }
}
