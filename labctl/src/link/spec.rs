//! The properties of a link.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Loss, Setting, Ways};
use crate::times;

/// How late a reordered packet is, where nothing else is said: some packets of a home's link, and less than what an
/// application takes for lost.
pub const REORDERED_BY: Duration = Duration::from_millis(10);

/// An access link: what a gateway's or public node's packets pass on their way to and from the WAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessLink {
    /// Towards the WAN.
    #[serde(skip_serializing_if = "LinkSpec::is_unlimited")]
    pub up: LinkSpec,
    /// From the WAN.
    #[serde(skip_serializing_if = "LinkSpec::is_unlimited")]
    pub down: LinkSpec,
}

impl AccessLink {
    /// No limit, no delay, no loss: where a topology says nothing.
    pub const UNLIMITED: Self = Self { up: LinkSpec::UNLIMITED, down: LinkSpec::UNLIMITED };

    /// True if it does nothing to packets.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::UNLIMITED
    }

    /// Changes a property in one way or both.
    pub fn set(&mut self, ways: Ways, setting: Setting) {
        if ways.up() {
            self.up.set(setting);
        }
        if ways.down() {
            self.down.set(setting);
        }
    }
}

/// One way of an access link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkSpec {
    /// Rate in bit/s of IP packets, headers included; `None` is no limit, and then there is no queue.
    #[serde(skip_serializing_if = "is_default")]
    pub rate: Option<u64>,
    /// What waits for a link with a rate, at most.
    #[serde(skip_serializing_if = "is_default")]
    pub queue: Queue,
    /// Delay, after the last bit of a packet was sent.
    #[serde(with = "times", skip_serializing_if = "Duration::is_zero")]
    pub delay: Duration,
    /// How much the delay varies; what exactly that is, [`Distribution`] says.
    #[serde(with = "times", skip_serializing_if = "Duration::is_zero")]
    pub jitter: Duration,
    /// How it varies.
    #[serde(skip_serializing_if = "is_default")]
    pub distribution: Distribution,
    /// How much a packet's jitter is like that of the packet before it, 0.0 (not at all) to 1.0.
    #[serde(skip_serializing_if = "is_default")]
    pub correlation: f64,
    /// Packets that are lost after they have used their time on the link.
    #[serde(skip_serializing_if = "is_default")]
    pub loss: Loss,
    /// Share of packets that arrive twice, 0.0 to 1.0.
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate: f64,
    /// Share of packets that are overtaken, 0.0 to 1.0. All others come out in the order in which they went in.
    #[serde(skip_serializing_if = "is_default")]
    pub reorder: f64,
    /// How late those are.
    #[serde(with = "times", skip_serializing_if = "is_usual")]
    pub reorder_by: Duration,
}

impl LinkSpec {
    /// No limit, no delay, no loss.
    pub const UNLIMITED: Self = Self {
        rate: None,
        queue: Queue::Usual,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        distribution: Distribution::Uniform,
        correlation: 0.0,
        loss: Loss::NONE,
        duplicate: 0.0,
        reorder: 0.0,
        reorder_by: REORDERED_BY,
    };

    /// True if it does nothing to packets.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::UNLIMITED
    }

    /// What it takes to make `old` like this.
    #[must_use]
    pub fn changes_from(&self, old: &Self) -> Vec<Setting> {
        let mut changes = Vec::new();
        let mut change = |differs: bool, setting| changes.extend(differs.then_some(setting));
        change(self.rate != old.rate, Setting::Rate(self.rate));
        change(self.queue != old.queue, Setting::Queue(self.queue));
        change(self.delay != old.delay, Setting::Delay(self.delay));
        change(self.jitter != old.jitter, Setting::Jitter(self.jitter));
        change(self.distribution != old.distribution, Setting::Distribution(self.distribution));
        change(!same(self.correlation, old.correlation), Setting::Correlation(self.correlation));
        change(self.loss != old.loss, Setting::Loss(self.loss));
        change(!same(self.duplicate, old.duplicate), Setting::Duplicate(self.duplicate));
        change(!same(self.reorder, old.reorder), Setting::Reorder(self.reorder));
        change(self.reorder_by != old.reorder_by, Setting::ReorderBy(self.reorder_by));
        changes
    }

    /// Changes a property.
    pub fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Rate(rate) => self.rate = rate,
            Setting::Queue(queue) => self.queue = queue,
            Setting::Delay(delay) => self.delay = delay,
            Setting::Jitter(jitter) => self.jitter = jitter,
            Setting::Distribution(distribution) => self.distribution = distribution,
            Setting::Correlation(share) => self.correlation = share,
            Setting::Loss(loss) => self.loss = loss,
            Setting::Duplicate(share) => self.duplicate = share,
            Setting::Reorder(share) => self.reorder = share,
            Setting::ReorderBy(time) => self.reorder_by = time,
        }
    }

    /// What it is like in short: `53.3 kbit/s, 60ms ± 5ms, 0.10 % lost`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut said = Vec::new();
        if let Some(rate) = self.rate {
            said.push(format!("{} kbit/s", rate as f64 / 1e3));
        }
        if !self.delay.is_zero() || !self.jitter.is_zero() {
            let jitter = if self.jitter.is_zero() { String::new() } else { format!(" ± {:?}", self.jitter) };
            said.push(format!("{:?}{jitter}", self.delay));
        }
        let shares = [(self.loss.mean(), "lost"), (self.duplicate, "twice"), (self.reorder, "overtaken")];
        for (share, what) in shares {
            if share > 0.0 {
                said.push(format!("{:.2} % {what}", share * 100.0));
            }
        }
        if said.is_empty() { "no limit".to_owned() } else { said.join(", ") }
    }
}

impl Default for LinkSpec {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

/// What jitter means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Anything within plus or minus the jitter, equally likely.
    #[default]
    Uniform,
    /// A normal distribution; the jitter is its standard deviation. No delay is below 0.
    Normal,
    /// Waiting times that add to the delay, exponential; the jitter is their mean.
    Exponential,
    /// Waiting times that add to the delay, with a heavy tail (Lomax with shape 3: a variance, but no skewness); the
    /// jitter is their mean.
    Pareto,
}

impl Distribution {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("uniform", Self::Uniform),
        ("normal", Self::Normal),
        ("exponential", Self::Exponential),
        ("pareto", Self::Pareto),
    ];

    /// True if it makes delays shorter as well as longer.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Uniform | Self::Normal)
    }
}

/// What waits for a link at most; what comes to a full queue is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// What the link carries in 100 ms, but 15,000 bytes at least: ten packets, or a slow link could not take one
    /// whole burst.
    #[default]
    Usual,
    /// What the link carries in this time.
    Time(#[serde(with = "times")] Duration),
    /// So many bytes of IP packets.
    Bytes(u64),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits()
}

fn is_usual(time: &Duration) -> bool {
    *time == REORDERED_BY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_from_one_link_to_another_make_it_like_the_other() {
        let all = [
            Setting::Rate(Some(56_000)),
            Setting::Queue(Queue::Bytes(9_000)),
            Setting::Delay(Duration::from_millis(40)),
            Setting::Jitter(Duration::from_millis(4)),
            Setting::Distribution(Distribution::Pareto),
            Setting::Correlation(0.25),
            Setting::Loss(Loss::Independent(0.5)),
            Setting::Duplicate(0.01),
            Setting::Reorder(0.02),
            Setting::ReorderBy(Duration::from_millis(3)),
        ];
        let mut other = LinkSpec::UNLIMITED;
        for setting in all {
            other.set(setting);
        }
        assert_eq!(other.changes_from(&LinkSpec::UNLIMITED), all);
        let mut back = other;
        for setting in LinkSpec::UNLIMITED.changes_from(&other) {
            back.set(setting);
        }
        assert_eq!(back, LinkSpec::UNLIMITED);
        assert_eq!(other.changes_from(&other), []);
    }

    #[test]
    fn what_is_as_usual_is_not_written() {
        assert_eq!(serde_json::to_string(&AccessLink::UNLIMITED).unwrap(), "{}");
        let mut link = AccessLink::UNLIMITED;
        link.set(Ways::Up, Setting::Rate(Some(56_000)));
        link.set(Ways::Both, Setting::Delay(Duration::from_millis(40)));
        let text = serde_json::to_string(&link).unwrap();
        assert_eq!(text, r#"{"up":{"rate":56000,"delay":"40ms"},"down":{"delay":"40ms"}}"#);
        assert_eq!(serde_json::from_str::<AccessLink>(&text).unwrap(), link);
    }

    #[test]
    fn a_way_is_said_in_short() {
        let mut spec = LinkSpec::UNLIMITED;
        assert_eq!(spec.in_words(), "no limit");
        spec.set(Setting::Rate(Some(53_300)));
        spec.set(Setting::Delay(Duration::from_millis(60)));
        spec.set(Setting::Jitter(Duration::from_millis(5)));
        spec.set(Setting::Loss(Loss::Independent(0.001)));
        assert_eq!(spec.in_words(), "53.3 kbit/s, 60ms ± 5ms, 0.10 % lost");
    }
}
