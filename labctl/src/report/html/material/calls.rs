//! Calls, put together by set-up and the two who talk.

use std::collections::BTreeMap;

use super::{nearest_to_median, set_up_of};
use crate::experiment::call::record::CallRecord;
use crate::experiment::call::replay::{self, OverTime};
use crate::experiment::recorded::CallRun;
use crate::meter::Packet;
use crate::names::NodeName;
use crate::report::{CallTrials, Ladder};

/// Every call between two clients of one set-up.
#[derive(Debug)]
pub struct Calls {
    /// What the set-up is called: `expA`, or the lab's name.
    pub set_up: String,
    /// Who calls.
    pub from: NodeName,
    /// Who is called.
    pub to: NodeName,
    /// The figures.
    pub trials: CallTrials,
    /// The runs, at least one.
    pub runs: Vec<CallRun>,
    /// The call that is drawn; `None` if none came about with its packets kept.
    pub example: Option<CallExample>,
}

/// One call, to be drawn.
#[derive(Debug)]
pub struct CallExample {
    /// Its record.
    pub record: CallRecord,
    /// Its messages at the caller.
    pub ladder: Ladder,
    /// How media fared: caller to callee, and back.
    pub ways: Vec<OverTime>,
    /// Index of its run.
    pub run: usize,
}

impl Calls {
    /// Puts runs together, as [`super::SetUp::gather`] does.
    ///
    /// `packets` gives the packets at the caller and at the callee; `None` if there are none any more.
    ///
    /// # Errors
    ///
    /// What `packets` returns.
    pub fn gather<E>(
        runs: Vec<CallRun>,
        mut packets: impl FnMut(&CallRun, &CallRecord) -> Result<Option<[Vec<Packet>; 2]>, E>,
    ) -> Result<Vec<Self>, E> {
        let mut groups: BTreeMap<(String, NodeName, NodeName), Vec<CallRun>> = BTreeMap::new();
        for run in runs {
            // All calls of a run are between the same two. A run without any was interrupted.
            let Some(call) = run.calls.first() else { continue };
            let key = (set_up_of(&run.plan).to_owned(), call.from.clone(), call.to.clone());
            groups.entry(key).or_default().push(run);
        }
        groups.into_iter().map(|(key, runs)| Self::new(key, runs, &mut packets)).collect()
    }

    fn new<E>(
        (set_up, from, to): (String, NodeName, NodeName),
        runs: Vec<CallRun>,
        packets: &mut impl FnMut(&CallRun, &CallRecord) -> Result<Option<[Vec<Packet>; 2]>, E>,
    ) -> Result<Self, E> {
        let all: Vec<_> = runs
            .iter()
            .enumerate()
            .flat_map(|(index, run)| run.calls.iter().map(move |call| (index, call)))
            .collect();
        let set_up_times: Vec<_> =
            all.iter().map(|(_, call)| call.setup_s.filter(|_| call.failure.is_none())).collect();
        let mut example = None;
        if let Some(&(run, call)) = nearest_to_median(&set_up_times).and_then(|place| all.get(place))
            && let (Some(started), Some(captures)) = (call.started, packets(&runs[run], call)?)
        {
            let plan = &runs[run].plan;
            let caller = plan.nodes.iter().find(|node| node.name == call.from);
            example = caller.map(|caller| CallExample {
                record: call.clone(),
                ladder: Ladder::of_call(&replay::packets(caller, &captures[0], started), started),
                ways: replay::over_time(plan, call, &captures),
                run,
            });
        }
        let records: Vec<CallRecord> = all.iter().map(|(_, call)| (*call).clone()).collect();
        Ok(Self { set_up, from, to, trials: CallTrials::new(&records), runs, example })
    }

    /// What it is called in the page.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}, {} to {}", self.set_up, self.from, self.to)
    }

    /// Calls that came about.
    pub fn good(&self) -> impl Iterator<Item = &CallRecord> {
        self.records().filter(|call| call.failure.is_none())
    }

    /// All calls.
    pub fn records(&self) -> impl Iterator<Item = &CallRecord> {
        self.runs.iter().flat_map(|run| &run.calls)
    }
}
