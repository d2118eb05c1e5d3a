//! What links carry at this moment: the difference of two reports of the WAN.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::net::wan::counters::{Counters, Drops, Tally, Waiting};
use crate::net::wan::{LinkReport, Report};

/// What passes one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flow {
    /// Bytes per second at IP level.
    pub bytes_s: f64,
    /// Packets per second.
    pub packets_s: f64,
}

impl std::ops::AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.bytes_s += other.bytes_s;
        self.packets_s += other.packets_s;
    }
}

/// An access link between two reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkRates {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// False while it is down.
    pub works: bool,
    /// What was sent to the WAN over it, whatever became of it.
    pub up: Flow,
    /// What the WAN delivered over it.
    pub down: Flow,
    /// Packets per second that were dropped on it, or for its sake.
    pub drops_s: f64,
    /// Packets dropped since the engine was started, by cause.
    pub dropped: Drops,
    /// Bytes that wait on the way up at the second report.
    pub up_queue: u64,
    /// The same on the way down.
    pub down_queue: u64,
    /// How long packets that had to wait did so on the way up, in milliseconds, in the mean; `None` if none had to.
    pub up_delay_ms: Option<f64>,
    /// The same on the way down.
    pub down_delay_ms: Option<f64>,
}

impl LinkRates {
    /// Bytes per second both ways.
    #[must_use]
    pub fn bytes_s(&self) -> f64 {
        self.up.bytes_s + self.down.bytes_s
    }
}

/// All links between two reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// The engine.
    pub engine: String,
    /// How long it has run, in seconds.
    pub uptime_s: f64,
    /// Time between the two reports by the engine's clock, in seconds.
    pub interval_s: f64,
    /// Packets in flight.
    pub in_flight: u64,
    /// Partitions in force.
    pub partitions: u64,
    /// Packets since the engine's start that the kernel had no room for.
    pub missed: u64,
    /// Every link, in the order of the plan.
    pub links: Vec<LinkRates>,
}

/// What all links carry together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Up.
    pub up: Flow,
    /// Down.
    pub down: Flow,
    /// Packets per second that were dropped.
    pub drops_s: f64,
    /// Packets dropped since the engine was started.
    pub dropped: u64,
    /// Bytes that wait, both ways.
    pub queue: u64,
    /// Links that are down.
    pub links_down: usize,
}

impl Rates {
    /// What happened between two reports. An engine that was started in between has counted from its start.
    #[must_use]
    pub fn between(before: &Report, after: &Report) -> Self {
        let same_engine = after.uptime_ns >= before.uptime_ns;
        let begin = if same_engine { before.uptime_ns } else { 0 };
        let interval = Duration::from_nanos(after.uptime_ns - begin).as_secs_f64();
        let earlier = before.links.iter().filter(|_| same_engine);
        let known: HashMap<&str, &LinkReport> = earlier.map(|link| (link.name.as_str(), link)).collect();
        let link = |link: &LinkReport| {
            let before = known.get(link.name.as_str()).map_or_else(Counters::default, |link| link.counters);
            of_link(link, &before, interval)
        };
        Self {
            engine: after.engine.to_string(),
            uptime_s: Duration::from_nanos(after.uptime_ns).as_secs_f64(),
            interval_s: interval,
            in_flight: after.in_flight,
            partitions: after.partitions,
            missed: after.missed,
            links: after.links.iter().map(link).collect(),
        }
    }

    /// All links together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for link in &self.links {
            totals.up += link.up;
            totals.down += link.down;
            totals.drops_s += link.drops_s;
            totals.dropped += link.dropped.total();
            totals.queue += link.up_queue + link.down_queue;
            totals.links_down += usize::from(!link.works);
        }
        totals
    }
}

fn of_link(link: &LinkReport, before: &Counters, interval: f64) -> LinkRates {
    let per_second = |after: u64, before: u64| match interval {
        i if i > 0.0 => after.saturating_sub(before) as f64 / i,
        _ => 0.0,
    };
    let flow = |after: Tally, before: Tally| Flow {
        bytes_s: per_second(after.bytes, before.bytes),
        packets_s: per_second(after.packets, before.packets),
    };
    let after = &link.counters;
    LinkRates {
        name: link.name.clone(),
        region: link.region.clone(),
        works: link.works,
        up: flow(after.sent, before.sent),
        down: flow(after.received, before.received),
        drops_s: per_second(after.dropped.total(), before.dropped.total()),
        dropped: after.dropped,
        up_queue: link.up_backlog,
        down_queue: link.down_backlog,
        up_delay_ms: mean_ms(after.up_waiting, before.up_waiting),
        down_delay_ms: mean_ms(after.down_waiting, before.down_waiting),
    }
}

fn mean_ms(after: Waiting, before: Waiting) -> Option<f64> {
    let packets = after.packets.checked_sub(before.packets).filter(|packets| *packets > 0)?;
    let total = Duration::from_nanos(after.total_ns.saturating_sub(before.total_ns));
    Some(total.as_secs_f64() * 1e3 / packets as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::AccessLink;
    use crate::net::wan::EngineKind;

    fn report(uptime_s: u64, packets: u64) -> Report {
        let counters = Counters {
            sent: Tally { packets, bytes: packets * 100 },
            dropped: Drops { up_loss: packets / 10, ..Drops::default() },
            up_waiting: Waiting { packets, total_ns: packets * 2_000_000, longest_ns: 0 },
            ..Counters::default()
        };
        let link = LinkReport {
            name: "home".to_owned(),
            region: "here".to_owned(),
            works: true,
            access: AccessLink::UNLIMITED,
            counters,
            up_backlog: 700,
            down_backlog: 0,
        };
        Report {
            engine: EngineKind::User,
            uptime_ns: uptime_s * 1_000_000_000,
            in_flight: 3,
            partitions: 0,
            strays: 0,
            missed: 0,
            links: vec![link],
        }
    }

    #[test]
    fn rates_are_differences_by_the_engines_own_clock() {
        let rates = Rates::between(&report(10, 100), &report(14, 300));
        let link = &rates.links[0];
        assert_eq!(link.up, Flow { bytes_s: 5_000.0, packets_s: 50.0 });
        assert_eq!((link.drops_s, link.dropped.total()), (5.0, 30));
        assert_eq!((link.up_queue, link.up_delay_ms, link.down_delay_ms), (700, Some(2.0), None));
        assert_eq!(rates.totals().up, link.up);
    }

    #[test]
    fn an_engine_that_was_started_again_has_counted_from_its_start() {
        let rates = Rates::between(&report(100, 5_000), &report(2, 20));
        assert_eq!((rates.interval_s, rates.links[0].up.packets_s), (2.0, 10.0));
    }

    #[test]
    fn no_time_between_two_reports_is_no_rate() {
        assert_eq!(Rates::between(&report(1, 0), &report(1, 0)).totals().up, Flow::default());
    }
}
