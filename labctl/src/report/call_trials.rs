//! Several calls between the same two clients: medians and spread.

use std::fmt::Write as _;

use serde::Serialize;

use super::statistics::Spread;
use crate::experiment::call::record::{CallRecord, Way};

/// Schema of `labctl experiment call --trials N --json`.
pub const CALLS: &str = "labctl.calls/1";

/// Least, median and most of each figure over the calls that came about. Figures of a way are of both ways together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallTrials {
    /// Calls that were made.
    pub trials: usize,
    /// Of these, calls that did not come about; they are in no figure.
    pub failed: usize,
    /// Seconds from the command to ringing.
    pub ringing_s: Option<Spread<f64>>,
    /// Seconds from the command to the answer.
    pub setup_s: Option<Spread<f64>>,
    /// Bytes of UDP and TCP payload at the caller until the answer.
    pub until_answer_bytes: Option<Spread<u64>>,
    /// Bytes of media payload a second.
    pub payload_bytes_s: Option<Spread<f64>>,
    /// Share of packets lost, 0 to 1.
    pub loss: Option<Spread<f64>>,
    /// Mean jitter of a way, in milliseconds.
    pub jitter_ms: Option<Spread<f64>>,
    /// Mean one-way delay, in milliseconds.
    pub network_ms: Option<Spread<f64>>,
    /// Longest silence, in milliseconds.
    pub longest_gap_ms: Option<Spread<f64>>,
    /// Mouth to ear, in milliseconds.
    pub mouth_to_ear_ms: Option<Spread<f64>>,
    /// R of the E-model.
    pub r: Option<Spread<f64>>,
    /// Mean opinion score.
    pub mos: Option<Spread<f64>>,
    /// How late this machine was at the most in a call, in milliseconds.
    pub machine_late_ms: Option<Spread<f64>>,
}

impl CallTrials {
    /// Of the records of an experiment.
    #[must_use]
    pub fn new(records: &[CallRecord]) -> Self {
        let good: Vec<_> = records.iter().filter(|record| record.failure.is_none()).collect();
        let spread = |figure: &dyn Fn(&CallRecord) -> Option<f64>| {
            Spread::of_seconds(good.iter().filter_map(|record| figure(record)))
        };
        let ways = |figure: &dyn Fn(&Way) -> Option<f64>| {
            Spread::of_seconds(good.iter().flat_map(|record| &record.ways).filter_map(figure))
        };
        let bytes = good.iter().map(|record| {
            let until = &record.until_answer;
            until.udp.both().payload_bytes + until.tcp.both().payload_bytes
        });
        Self {
            trials: records.len(),
            failed: records.len() - good.len(),
            ringing_s: spread(&|record| record.ringing_s),
            setup_s: spread(&|record| record.setup_s),
            until_answer_bytes: Spread::of_counts(bytes),
            payload_bytes_s: ways(&|way| Some(way.payload_bytes_s)),
            loss: ways(&|way| Some(way.loss)),
            jitter_ms: ways(&|way| Some(way.jitter_ms)),
            network_ms: ways(&|way| Some(way.network_ms[0])),
            longest_gap_ms: ways(&|way| Some(way.longest_gap_ms)),
            mouth_to_ear_ms: ways(&|way| way.mouth_to_ear_ms),
            r: ways(&|way| way.rating.map(|rating| rating.r)),
            mos: ways(&|way| way.rating.map(|rating| rating.mos)),
            machine_late_ms: ways(&|way| way.voice.map(|voice| voice.machine_late_ms)),
        }
    }

    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let (made, failed) = (self.trials, self.failed);
        let _ = writeln!(out, "{:<18} {made}, {failed} failed; median (least to most)", "calls");
        let mut line = |name: &str, spread: Option<Spread<f64>>, unit: &str, places: usize| {
            let value = spread.map_or_else(
                || "-".to_owned(),
                |Spread { min, median, max }| {
                    format!("{median:.places$} ({min:.places$} to {max:.places$}) {unit}")
                },
            );
            let _ = writeln!(out, "{name:<18} {}", value.trim_end());
        };
        let percent = |Spread { min, median, max }| Spread {
            min: 100.0 * min,
            median: 100.0 * median,
            max: 100.0 * max,
        };
        line("rings after", self.ringing_s, "s", 3);
        line("answered after", self.setup_s, "s", 3);
        line("media", self.payload_bytes_s, "bytes/s each way", 0);
        line("loss", self.loss.map(percent), "%", 2);
        line("jitter", self.jitter_ms, "ms", 2);
        line("one way", self.network_ms, "ms", 1);
        line("longest gap", self.longest_gap_ms, "ms", 0);
        line("mouth to ear", self.mouth_to_ear_ms, "ms", 1);
        line("R", self.r, "", 1);
        line("MOS", self.mos, "", 2);
        line("this machine late", self.machine_late_ms, "ms", 0);
        if let Some(Spread { min, median, max }) = self.until_answer_bytes {
            let _ = writeln!(out, "{:<18} {median} ({min} to {max}) bytes", "until the answer");
        }
        out
    }

    /// As JSON, with each call's record.
    ///
    /// # Panics
    ///
    /// Never: records are plain data with text keys.
    #[must_use]
    pub fn json(&self, records: &[CallRecord]) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: &'static str,
            summary: &'a CallTrials,
            calls: &'a [CallRecord],
        }
        let document = Document { schema: CALLS, summary: self, calls: records };
        let mut text = serde_json::to_string_pretty(&document).expect("plain data with text keys");
        text.push('\n');
        text
    }
}

/// Several calls as text: what failed, then the figures.
#[must_use]
pub fn calls_text(records: &[CallRecord]) -> String {
    let mut out = String::new();
    if let Some(first) = records.first() {
        let _ = writeln!(out, "{:<18} {} to {}", "call", first.from, first.to);
    }
    for (number, record) in (1..).zip(records) {
        if let Some(why) = &record.failure {
            let _ = writeln!(out, "{:<18} call {number}: {why}", "FAILED");
        }
    }
    out + &CallTrials::new(records).text()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::meter::Traffic;

    pub(in crate::report) fn call(setup_s: Option<f64>, delay: f64, failure: Option<&str>) -> CallRecord {
        let way = Way {
            from: "alice".parse().unwrap(),
            to: "bob".parse().unwrap(),
            sent: 100,
            received: 100,
            packets_s: 66.7,
            payload_bytes_s: 4_733.0,
            payload_bytes: 71.0,
            loss: 0.0,
            jitter_ms: 1.0,
            network_ms: [delay, delay],
            longest_gap_ms: 20.0,
            voice: None,
            mouth_to_ear_ms: Some(delay + 80.0),
            rating: None,
        };
        CallRecord {
            from: "alice".parse().unwrap(),
            to: "bob".parse().unwrap(),
            started: None,
            talk_s: None,
            ringing_s: setup_s,
            setup_s,
            teardown_s: None,
            ended: [None, None],
            failure: failure.map(str::to_owned),
            signalling: Vec::new(),
            until_answer: Traffic::default(),
            during: Traffic::default(),
            media: None,
            legs: Vec::new(),
            ways: vec![way],
            nodes: Vec::new(),
            gateways: Vec::new(),
            packets: Vec::new(),
            heard: Vec::new(),
        }
    }

    #[test]
    fn medians_are_of_the_calls_that_came_about() {
        let calls = [
            call(Some(0.3), 50.0, None),
            call(Some(0.5), 60.0, None),
            call(Some(0.4), 52.0, None),
            call(Some(9.0), 900.0, Some("lost")),
        ];
        let trials = CallTrials::new(&calls);
        assert_eq!((trials.trials, trials.failed), (4, 1));
        assert_eq!(trials.setup_s, Some(Spread { min: 0.3, median: 0.4, max: 0.5 }));
        assert_eq!(trials.network_ms, Some(Spread { min: 50.0, median: 52.0, max: 60.0 }));
        assert_eq!(trials.mos, None);
        let text = trials.text();
        assert!(text.contains("4, 1 failed") && text.contains("0.400 (0.300 to 0.500) s"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&trials.json(&calls)).unwrap();
        assert_eq!((&json["schema"], json["calls"].as_array().unwrap().len()), (&CALLS.into(), 4));
    }

    #[test]
    fn without_a_call_there_is_no_figure() {
        let trials = CallTrials::new(&[call(None, 1.0, Some("busy"))]);
        assert_eq!((trials.failed, trials.setup_s, trials.until_answer_bytes), (1, None, None));
        assert!(trials.text().contains("answered after     -\n"), "{}", trials.text());
    }
}
