//! Logins, put together by set-up.

use std::collections::BTreeMap;

use crate::experiment::record::{Kind, TrialRecord};
use crate::experiment::recorded::LoginRun;
use crate::meter::Packet;
use crate::report::{Ladder, PhaseBytes, Phases, Row, find_published};

/// Every login that was measured of one set-up.
#[derive(Debug)]
pub struct SetUp {
    /// What it is called: `expA`, or the lab's name.
    pub name: String,
    /// The figures.
    pub row: Row,
    /// The runs, at least one.
    pub runs: Vec<LoginRun>,
    /// The login that is drawn; `None` if none succeeded with its packets kept.
    pub example: Option<Example>,
    /// Bytes by phase of each first-time login that succeeded and has its packets.
    pub phases: Vec<PhaseBytes>,
}

/// One login, to be drawn.
#[derive(Debug)]
pub struct Example {
    /// Its record.
    pub trial: TrialRecord,
    /// Its messages.
    pub ladder: Ladder,
    /// Index of its run.
    pub run: usize,
}

impl SetUp {
    /// Puts runs together: those that are compared with the same published row are of one set-up, and so are
    /// those of one lab. In the order in which set-ups come first, or as published.
    ///
    /// `packets` gives a trial's packets; `None` if there are none any more.
    ///
    /// # Errors
    ///
    /// What `packets` returns.
    pub fn gather<E>(
        runs: Vec<LoginRun>,
        mut packets: impl FnMut(&LoginRun, &TrialRecord) -> Result<Option<Vec<Packet>>, E>,
    ) -> Result<Vec<Self>, E> {
        let mut groups: BTreeMap<String, Vec<LoginRun>> = BTreeMap::new();
        for run in runs {
            groups.entry(super::set_up_of(&run.plan).to_owned()).or_default().push(run);
        }
        groups.into_iter().map(|(name, runs)| Self::new(name, runs, &mut packets)).collect()
    }

    fn new<E>(
        name: String,
        runs: Vec<LoginRun>,
        packets: &mut impl FnMut(&LoginRun, &TrialRecord) -> Result<Option<Vec<Packet>>, E>,
    ) -> Result<Self, E> {
        let records: Vec<TrialRecord> = runs.iter().flat_map(|run| run.trials.iter().cloned()).collect();
        let published = runs.first().and_then(|run| run.plan.published.as_deref()).and_then(find_published);
        let row = Row::new(&name, &records, published);
        let median = row.payload_bytes.map_or(0, |spread| spread.median);
        let (mut phases, mut nearest) = (Vec::new(), None);
        for (index, run) in runs.iter().enumerate() {
            for trial in run.trials.iter().filter(|trial| trial.failure.is_none()) {
                let (Some(seen), Some(started)) = (&trial.seen, trial.started) else { continue };
                // Where there are only subsequent logins, one of them is drawn.
                if trial.kind != Kind::FirstTime && row.payload_bytes.is_some() {
                    continue;
                }
                let Some(packets) = packets(run, trial)? else { continue };
                let ladder = Ladder::of(&packets, started);
                if let Some(ends) = Phases::of(run.events_of(trial)) {
                    phases.push(PhaseBytes::of(&ladder, &ends));
                }
                let off = seen.traffic.total().payload_bytes.abs_diff(median);
                if nearest.as_ref().is_none_or(|(least, _)| off < *least) {
                    nearest = Some((off, Example { trial: trial.clone(), ladder, run: index }));
                }
            }
        }
        Ok(Self { name, row, runs, example: nearest.map(|(_, example)| example), phases })
    }

    /// Login times of a kind, of the logins that succeeded, in seconds, sorted.
    #[must_use]
    pub fn login_times(&self, kind: Kind) -> Vec<f64> {
        let trials = self.runs.iter().flat_map(|run| &run.trials);
        let good = trials.filter(|trial| trial.failure.is_none() && trial.kind == kind);
        let mut times: Vec<f64> = good.filter_map(|trial| trial.login_s).collect();
        times.sort_by(f64::total_cmp);
        times
    }
}
