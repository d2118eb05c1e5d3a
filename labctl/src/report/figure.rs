//! The figures of a run: for each one a value of every trial that came about, to be summed up, drawn and compared.

use crate::experiment::call::record::{CallRecord, Way};
use crate::experiment::record::{Kind, TrialRecord};
use crate::experiment::recorded::Records;
use crate::experiment::search::record::{Case, SearchRecord};
use crate::meter::Traffic;

/// What is measured of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name in JSON.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
    /// Decimal places that are worth printing.
    pub places: usize,
    /// True if it is one of the two to four that a reader looks for first.
    pub main: bool,
}

impl Figure {
    const fn new(key: &'static str, name: &'static str, unit: &'static str, places: usize) -> Self {
        Self { key, name, unit, places, main: false }
    }

    const fn main(self) -> Self {
        Self { main: true, ..self }
    }

    /// Its name with its unit.
    #[must_use]
    pub fn title(&self) -> String {
        if self.unit.is_empty() { self.name.to_owned() } else { format!("{}, {}", self.name, self.unit) }
    }
}

const LOGIN: Figure = Figure::new("login_s", "login time", "s", 2).main();
const PAYLOAD: Figure = Figure::new("payload_bytes", "payload", "bytes", 0).main();
const UDP: Figure = Figure::new("udp_payload_bytes", "UDP payload", "bytes", 0);
const TCP: Figure = Figure::new("tcp_payload_bytes", "TCP payload", "bytes", 0);
const IP: Figure = Figure::new("ip_bytes", "IP level", "bytes", 0);
const LATENCY: Figure = Figure::new("latency_s", "search time", "s", 3).main();
const CONTACTED: Figure = Figure::new("contacted", "nodes contacted", "", 0);
const STRETCH: Figure = Figure::new("path_stretch", "path stretch", "", 1);
const MOS: Figure = Figure::new("mos", "MOS", "", 2).main();
const R: Figure = Figure::new("r", "R", "", 1).main();
const LOSS: Figure = Figure::new("loss_percent", "loss", "%", 2).main();
const MOUTH_TO_EAR: Figure = Figure::new("mouth_to_ear_ms", "mouth to ear", "ms", 1).main();
const NETWORK: Figure = Figure::new("network_ms", "one way", "ms", 1);
const JITTER: Figure = Figure::new("jitter_ms", "jitter", "ms", 2);
const SETUP: Figure = Figure::new("setup_s", "set-up", "s", 3);
const UNTIL_ANSWER: Figure = Figure::new("until_answer_bytes", "payload until the answer", "bytes", 0);

/// A figure of one kind of trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What was measured.
    pub figure: Figure,
    /// Of which trials: `first-time`, `cold`; empty where all are of one kind.
    pub of: &'static str,
    /// A value for each trial that came about, in the order of the trials.
    pub values: Vec<f64>,
}

impl Sample {
    /// The kind of trial and the figure's name, without the unit.
    #[must_use]
    pub fn name(&self) -> String {
        if self.of.is_empty() {
            self.figure.name.to_owned()
        } else {
            format!("{} {}", self.of, self.figure.name)
        }
    }
}

/// The figures of records. Trials that failed are in none; a figure that no trial has is not there.
#[must_use]
pub fn samples(records: &Records) -> Vec<Sample> {
    let mut all = match records {
        Records::Login(trials) => logins(trials),
        Records::Search(measured) => searches(&measured.records),
        Records::Call(calls) => of_calls(calls),
    };
    all.retain(|sample| !sample.values.is_empty());
    all
}

fn sample<'a, T: 'a>(
    figure: Figure,
    of: &'static str,
    trials: impl Iterator<Item = &'a T>,
    value: impl Fn(&T) -> Option<f64>,
) -> Sample {
    Sample { figure, of, values: trials.filter_map(value).collect() }
}

fn bytes(traffic: &Traffic) -> [(Figure, u64); 4] {
    let total = traffic.total();
    [
        (PAYLOAD, total.payload_bytes),
        (UDP, traffic.udp.both().payload_bytes),
        (TCP, traffic.tcp.both().payload_bytes),
        (IP, total.ip_bytes),
    ]
}

fn logins(trials: &[TrialRecord]) -> Vec<Sample> {
    let mut all = Vec::new();
    for kind in [Kind::FirstTime, Kind::Subsequent] {
        let good = || trials.iter().filter(|trial| trial.kind == kind && trial.failure.is_none());
        all.push(sample(LOGIN, kind.as_str(), good(), |trial| trial.login_s));
        for (place, figure) in [PAYLOAD, UDP, TCP, IP].into_iter().enumerate() {
            all.push(sample(figure, kind.as_str(), good(), |trial| {
                trial.seen.as_ref().map(|seen| bytes(&seen.traffic)[place].1 as f64)
            }));
        }
    }
    all
}

fn searches(trials: &[SearchRecord]) -> Vec<Sample> {
    let mut all = Vec::new();
    for case in Case::ALL {
        let good = || trials.iter().filter(|trial| trial.case == case && trial.failure.is_none());
        all.push(sample(LATENCY, case.as_str(), good(), |trial| trial.latency_s));
        for (place, figure) in [PAYLOAD, UDP, TCP, IP].into_iter().enumerate() {
            let figure = Figure { main: false, ..figure };
            all.push(sample(figure, case.as_str(), good(), |trial| {
                trial.traffic().map(|traffic| bytes(&traffic)[place].1 as f64)
            }));
        }
        all.push(sample(CONTACTED, case.as_str(), good(), |trial| trial.contacted.map(|nodes| nodes as f64)));
        all.push(sample(STRETCH, case.as_str(), good(), |trial| trial.path_stretch));
    }
    all
}

/// Of a call that has two ways: the mean of both, so that each call has one value and values do not depend on each
/// other.
fn of_calls(calls: &[CallRecord]) -> Vec<Sample> {
    let good = || calls.iter().filter(|call| call.failure.is_none());
    let ways = |figure, value: &dyn Fn(&Way) -> Option<f64>| {
        sample(figure, "", good(), |call| {
            let ways: Vec<f64> = call.ways.iter().filter_map(value).collect();
            (!ways.is_empty()).then(|| ways.iter().sum::<f64>() / ways.len() as f64)
        })
    };
    vec![
        ways(MOS, &|way| way.rating.map(|rating| rating.mos)),
        ways(R, &|way| way.rating.map(|rating| rating.r)),
        ways(LOSS, &|way| Some(100.0 * way.loss)),
        ways(MOUTH_TO_EAR, &|way| way.mouth_to_ear_ms),
        ways(NETWORK, &|way| Some(way.network_ms[0])),
        ways(JITTER, &|way| Some(way.jitter_ms)),
        sample(SETUP, "", good(), |call| call.setup_s),
        sample(UNTIL_ANSWER, "", good(), |call| Some(call.until_answer.total().payload_bytes as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{failed, trial};
    use super::*;

    #[test]
    fn failed_trials_are_in_no_figure_and_kinds_are_kept_apart() {
        let trials = vec![
            trial(Kind::FirstTime, 1, 1.5, 100, 20),
            trial(Kind::Subsequent, 1, 4.0, 300, 0),
            trial(Kind::Subsequent, 2, 5.0, 301, 0),
            failed(Kind::Subsequent, 3),
        ];
        let all = samples(&Records::Login(trials));
        let of = |key: &str, kind: &str| {
            all.iter().find(|one| one.figure.key == key && one.of == kind).unwrap().values.clone()
        };
        assert_eq!(of("login_s", "subsequent"), [4.0, 5.0]);
        assert_eq!(of("payload_bytes", "first-time"), [120.0]);
        assert_eq!(of("tcp_payload_bytes", "first-time"), [20.0]);
        assert_eq!(all.iter().find(|one| one.of == "first-time").unwrap().name(), "first-time login time");
    }

    #[test]
    fn a_figure_that_nothing_was_measured_of_is_not_there() {
        assert_eq!(samples(&Records::Login(vec![failed(Kind::FirstTime, 1)])), []);
        assert_eq!(samples(&Records::Call(Vec::new())), []);
    }
}
