//! A line for each client that is measured: where it is in what it does, and what its meter has counted so far.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use labctl::experiment::live::{Doing, LiveCount, LiveTraffic};
use labctl::watch::bytes;
use overlay_control::{CallEvent, LoginEvent, SearchEvent};

/// Where nothing is live, a summary comes so often at the most.
const SUMMARY: Duration = Duration::from_secs(5);
/// Lines of the terminal that are for other things: the bar, the summary, and the line that the cursor is in.
const OTHER_LINES: usize = 4;

/// What the clients are doing.
#[derive(Debug, Default)]
pub struct Clients {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By name; those that are under way.
    rows: BTreeMap<String, Row>,
    ended: usize,
    failed: usize,
    summary: Option<Instant>,
}

/// One of them.
#[derive(Debug)]
struct Row {
    begun: Instant,
    count: Arc<LiveCount>,
    at: At,
    /// Of a login: how many UDP probes there are at the most.
    most_probes: Option<usize>,
    /// With a call: whose packets should arrive here.
    calls: bool,
}

/// Where it is: the step that it is at, and how often it came to the like of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct At {
    step: &'static str,
    number: u32,
    detail: String,
}

impl At {
    fn new(step: &'static str) -> Self {
        Self { step, ..Self::default() }
    }

    fn with(step: &'static str, detail: impl fmt::Display) -> Self {
        Self { step, number: 0, detail: detail.to_string() }
    }

    /// Once more the same, or the first of its kind.
    fn again(&self, step: &'static str, detail: impl fmt::Display) -> Self {
        let number = if self.step == step { self.number + 1 } else { 1 };
        Self { step, number, detail: detail.to_string() }
    }

    /// After a step of a login; `self` is what was before it.
    fn after_login(&self, event: &LoginEvent) -> Self {
        match event {
            LoginEvent::Round { round: 1 } => Self::new("beginning"),
            LoginEvent::Round { round } => Self::with("beginning", format!("round {round}")),
            LoginEvent::UdpProbe { to } => self.again(PROBING, to),
            LoginEvent::UdpAnswer { from } => Self::with("UDP answer", from),
            LoginEvent::UdpBlocked { probes } => {
                Self::with("UDP blocked", format!("{probes} probes unanswered"))
            }
            LoginEvent::TcpAttempt { to } => self.again("TCP attempt", to),
            LoginEvent::SuperNode { address } => {
                Self::with("super node", format!("{address}, NAT detection"))
            }
            LoginEvent::NatType { verdict } => {
                let verdict = serde_json::to_value(verdict).unwrap_or_default();
                Self::with("NAT", format!("{}, authenticating", verdict.as_str().unwrap_or("?")))
            }
            LoginEvent::Authenticated { server } => Self::with("authenticated", format!("by {server}")),
            LoginEvent::LoggedIn => Self::with("logged in", "advertising"),
            LoginEvent::Finished { .. } => Self::new("finished"),
            LoginEvent::Failed { detail, .. } => Self::with("failed", detail),
        }
    }

    fn after_search(&self, event: &SearchEvent) -> Self {
        match event {
            SearchEvent::Asked { super_node, on_behalf: false, .. } => Self::with("asking", super_node),
            SearchEvent::Asked { super_node, .. } => Self::with("super node searches", super_node),
            SearchEvent::Batch { nodes, .. } => self.again("batch", format!("{} nodes", nodes.len())),
            // Still the same batch.
            SearchEvent::Answer { from, found, .. } => {
                let answer = if *found { "knows the user" } else { "does not know" };
                Self { detail: format!("{from} {answer}"), ..self.clone() }
            }
            SearchEvent::Found { .. } => Self::new("found"),
            SearchEvent::Unknown { summary, .. } => {
                Self::with("unknown", format!("{} nodes asked", summary.asked))
            }
            SearchEvent::Failed { reason, .. } => Self::with("failed", reason),
        }
    }

    fn after_call(event: &CallEvent) -> Option<Self> {
        Some(match event {
            CallEvent::Calling { user } => Self::with("calling", user),
            CallEvent::Reached { through: Some(node) } => Self::with("reached", format!("through {node}")),
            CallEvent::Reached { through: None } => Self::new("reached"),
            CallEvent::Incoming { user } => Self::with("called", format!("by {user}")),
            CallEvent::Ringing { .. } => Self::new("ringing"),
            CallEvent::Answered {} => Self::new("answered"),
            CallEvent::MediaPath { relay: Some(relay), .. } => {
                Self::with("talking", format!("relay {relay}"))
            }
            CallEvent::MediaPath { relay: None, .. } => Self::with("talking", "straight"),
            CallEvent::Gap { ms } => Self::with("talking", format!("after a gap of {ms:.0} ms")),
            CallEvent::Ended { reason, .. } => Self::with("over", reason),
            CallEvent::Glare { .. } | CallEvent::TurnedAway { .. } => return None,
        })
    }
}

const PROBING: &str = "probing";

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step)?;
        if self.number > 0 {
            write!(f, " {}", self.number)?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl Clients {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that logs in.
    pub fn login(&self, client: &str, doing: Doing<LoginEvent>) {
        self.take(client, doing, false, |at, event| Some(at.after_login(event)));
    }

    /// A client that searches.
    pub fn search(&self, client: &str, doing: Doing<SearchEvent>) {
        self.take(client, doing, false, |at, event| Some(at.after_search(event)));
    }

    /// An end of a call.
    pub fn call(&self, client: &str, doing: Doing<CallEvent>) {
        self.take(client, doing, true, |_, event| At::after_call(event));
    }

    fn take<E>(&self, client: &str, doing: Doing<E>, calls: bool, after: impl Fn(&At, &E) -> Option<At>) {
        let mut known = self.known();
        match doing {
            Doing::Begins { count, most_probes } => {
                let row = Row { begun: Instant::now(), count, at: At::new("beginning"), most_probes, calls };
                known.rows.insert(client.to_owned(), row);
            }
            Doing::Told(event) => {
                if let Some(row) = known.rows.get_mut(client)
                    && let Some(at) = after(&row.at, &event)
                {
                    row.at = at;
                }
            }
        }
    }

    /// A client has come to its end.
    pub fn end(&self, client: &str, failed: bool) {
        let mut known = self.known();
        known.rows.remove(client);
        known.ended += 1;
        known.failed += usize::from(failed);
    }

    /// Others begin.
    pub fn clear(&self) {
        *self.known() = Known { summary: Some(Instant::now()), ..Known::default() };
    }

    /// How far all are, unless that was said a moment ago.
    pub fn summary_if_due(&self) -> Option<String> {
        let mut known = self.known();
        if known.rows.is_empty() || known.summary.is_some_and(|last| last.elapsed() < SUMMARY) {
            return None;
        }
        known.summary = Some(Instant::now());
        Some(known.summary())
    }

    /// A line for each client under way, as many as the terminal has room for, each begun with a line's end; and a
    /// summary if there are more.
    pub fn write_live(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (columns, lines) = crossterm::terminal::size().unwrap_or((80, 24));
        self.known().write(out, columns.into(), usize::from(lines).saturating_sub(OTHER_LINES))
    }
}

impl Known {
    /// `12 ended, 1 of them failed; under way: 3 probing, 1 authenticated`.
    fn summary(&self) -> String {
        let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
        for row in self.rows.values() {
            *steps.entry(row.at.step).or_default() += 1;
        }
        let steps: Vec<_> = steps.into_iter().map(|(step, number)| format!("{number} {step}")).collect();
        let failed =
            if self.failed == 0 { String::new() } else { format!(", {} of them failed", self.failed) };
        format!("{} ended{failed}; under way: {}", self.ended, steps.join(", "))
    }

    fn write(&self, out: &mut dyn fmt::Write, columns: usize, lines: usize) -> fmt::Result {
        let longest = self.rows.keys().map(String::len).max().unwrap_or(0);
        let fits = self.rows.len() <= lines;
        let shown = if fits { lines } else { lines.saturating_sub(1) };
        for (name, row) in self.rows.iter().take(shown) {
            let text = format!("  {name:<longest$}  {}", row.text(&self.rows));
            // A line that the terminal breaks would not be taken away again.
            write!(out, "\n{}", text.chars().take(columns.saturating_sub(1)).collect::<String>())?;
        }
        if !fits {
            let text = format!("  and {} more; {}", self.rows.len() - shown, self.summary());
            write!(out, "\n{}", text.chars().take(columns.saturating_sub(1)).collect::<String>())?;
        }
        Ok(())
    }
}

impl Row {
    fn text(&self, all: &BTreeMap<String, Row>) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        let LiveTraffic { sent, received, bytes: carried } = self.count.read();
        let mut at = self.at.to_string();
        if let (PROBING, Some(most)) = (self.at.step, self.most_probes) {
            at = format!("{PROBING} {}/{most}: {}", self.at.number, self.at.detail);
        }
        let mut text =
            format!("{at:<48} {seconds:5.1} s  {sent} out, {received} in, {}", bytes(carried as f64));
        let peer = all.values().find(|row| self.calls && row.calls && !std::ptr::eq(*row, self));
        if let Some(peer) = peer.map(|row| row.count.read().sent).filter(|sent| *sent > 0) {
            // What is on its way is missing, too; it is a few packets.
            let missing = peer.saturating_sub(received) as f64 / peer as f64 * 100.0;
            text = format!("{text}; {missing:.1} % of the other's UDP not here");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use super::*;

    fn address() -> SocketAddrV4 {
        "198.18.0.9:33033".parse().unwrap()
    }

    fn shown(clients: &Clients, columns: usize, lines: usize) -> Vec<String> {
        let mut out = String::new();
        clients.known().write(&mut out, columns, lines).unwrap();
        out.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn the_steps_of_a_login_are_counted_and_named() {
        let told = [
            LoginEvent::Round { round: 1 },
            LoginEvent::UdpProbe { to: address() },
            LoginEvent::UdpProbe { to: address() },
            LoginEvent::UdpBlocked { probes: 2 },
            LoginEvent::TcpAttempt { to: address() },
            LoginEvent::NatType { verdict: overlay_control::NatVerdict::PortRestricted },
            LoginEvent::LoggedIn,
        ];
        let mut at = At::default();
        let mut said = Vec::new();
        for event in told {
            at = at.after_login(&event);
            said.push(at.to_string());
        }
        assert_eq!(
            said,
            [
                "beginning",
                "probing 1: 198.18.0.9:33033",
                "probing 2: 198.18.0.9:33033",
                "UDP blocked: 2 probes unanswered",
                "TCP attempt 1: 198.18.0.9:33033",
                "NAT: port-restricted, authenticating",
                "logged in: advertising",
            ]
        );
    }

    #[test]
    fn clients_that_do_not_fit_are_summed_up_and_no_line_is_broken() {
        let clients = Clients::default();
        for number in 0..9 {
            let client = format!("c{number}");
            clients.login(&client, Doing::Begins { count: Arc::default(), most_probes: Some(30) });
            clients.login(&client, Doing::Told(LoginEvent::UdpProbe { to: address() }));
        }
        clients.end("c8", true);
        let lines = shown(&clients, 60, 4);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], "  and 5 more; 1 ended, 1 of them failed; under way: 8 probi");
        assert!(lines[0].starts_with("  c0  probing 1/30: 198.18.0.9:33033"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() < 60), "{lines:?}");
        assert_eq!(shown(&clients, 200, 20).len(), 8);
        assert!(clients.summary_if_due().is_some() && clients.summary_if_due().is_none());
    }

    #[test]
    fn a_search_stays_in_its_batch_while_answers_come() {
        let batch = SearchEvent::Batch { user: "bob".to_owned(), nodes: vec![address(); 4] };
        let answer = SearchEvent::Answer { user: "bob".to_owned(), from: address(), found: false };
        let at = At::default().after_search(&batch).after_search(&batch).after_search(&answer);
        assert_eq!(at.to_string(), "batch 2: 198.18.0.9:33033 does not know");
    }
}
