//! One experiment's trials, summed up next to what was published.

use super::distribution::Distribution;
use super::published::Published;
use super::statistics::Spread;
use crate::experiment::record::{Kind, Outside, Seen, TrialRecord};

/// One row of a report. What was not measured is `None`, never a figure.
///
/// As the published figures were taken: login times are those of subsequent logins, with a full host
/// cache; bytes are those of first-time logins.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The experiment: the topology's name.
    pub experiment: String,
    /// Trials that each figure is made from: the fewest of the kinds that were measured.
    pub trials: usize,
    /// Trials that failed, of all kinds. No figure has them in it.
    pub failed: usize,
    /// Login time: from the login command to `logged-in`, in seconds.
    pub login_s: Option<Spread<f64>>,
    /// Application payload, UDP and TCP, both directions, in bytes.
    pub payload_bytes: Option<Spread<u64>>,
    /// UDP's part of it.
    pub udp_payload_bytes: Option<Spread<u64>>,
    /// TCP's part of it.
    pub tcp_payload_bytes: Option<Spread<u64>>,
    /// UDP and TCP packets with their IP headers, in bytes.
    pub ip_bytes: Option<Spread<u64>>,
    /// The most UDP packets that passed the outside of the client's gateway in one trial of any kind;
    /// `None` if no client is behind one.
    pub udp_packets_outside: Option<u64>,
    /// How the login times of each kind are spread, where there are many.
    pub distributions: Vec<Distribution>,
    /// What was published of this set-up.
    pub published: Option<&'static Published>,
}

/// Whether what was measured is as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The login time; `None`: not measured, or nothing published.
    pub login: Option<bool>,
    /// The total; `None`: not measured, or nothing published.
    pub total: Option<bool>,
}

impl Row {
    /// Sums up.
    #[must_use]
    pub fn new(experiment: &str, records: &[TrialRecord], published: Option<&'static Published>) -> Self {
        let good =
            |kind| records.iter().filter(move |record| record.failure.is_none() && record.kind == kind);
        let seen = || good(Kind::FirstTime).filter_map(|record| record.seen.as_ref());
        let spread = |of: fn(&Seen) -> u64| Spread::of_counts(seen().map(of));
        let measured = [Kind::FirstTime, Kind::Subsequent]
            .into_iter()
            .filter(|kind| records.iter().any(|record| record.kind == *kind));
        Self {
            experiment: experiment.to_owned(),
            trials: measured.map(|kind| good(kind).count()).min().unwrap_or(0),
            failed: records.iter().filter(|record| record.failure.is_some()).count(),
            login_s: Spread::of_seconds(good(Kind::Subsequent).filter_map(|record| record.login_s)),
            payload_bytes: spread(|seen| seen.traffic.total().payload_bytes),
            udp_payload_bytes: spread(|seen| seen.traffic.udp.both().payload_bytes),
            tcp_payload_bytes: spread(|seen| seen.traffic.tcp.both().payload_bytes),
            ip_bytes: spread(|seen| seen.traffic.total().ip_bytes),
            udp_packets_outside: records
                .iter()
                .filter_map(|record| record.outside.as_ref().map(Outside::udp_packets))
                .max(),
            distributions: [Kind::FirstTime, Kind::Subsequent]
                .into_iter()
                .filter_map(|kind| Distribution::new(records, kind))
                .collect(),
            published,
        }
    }

    /// Compares with what was published.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let published = self.published;
        Verdict {
            login: published.and_then(|row| Some(row.has_login(self.login_s?.median))),
            total: published.and_then(|row| Some(row.has_total(self.payload_bytes?.median))),
        }
    }
}

impl Verdict {
    /// Both at once: false if either is off, `None` if neither is off but one is not known.
    #[must_use]
    pub fn within(self) -> Option<bool> {
        match (self.login, self.total) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
