//! Searches, put together by set-up.

use std::collections::BTreeMap;

use super::{nearest_to_median, set_up_of};
use crate::experiment::recorded::SearchRun;
use crate::experiment::search::Measurements;
use crate::experiment::search::record::{Case, SearchRecord};
use crate::meter::Packet;
use crate::report::{Ladder, SearchReport};

/// Every search that was measured of one set-up.
#[derive(Debug)]
pub struct Searches {
    /// What it is called: `expA`, or the lab's name.
    pub name: String,
    /// The figures.
    pub report: SearchReport,
    /// The runs, at least one.
    pub runs: Vec<SearchRun>,
    /// Of each case the search that is drawn, where one succeeded with its packets kept.
    pub examples: Vec<SearchExample>,
}

/// One search, to be drawn.
#[derive(Debug)]
pub struct SearchExample {
    /// Its record.
    pub record: SearchRecord,
    /// Its messages.
    pub ladder: Ladder,
    /// Index of its run.
    pub run: usize,
}

impl Searches {
    /// Puts runs together, as [`super::SetUp::gather`] does.
    ///
    /// `packets` gives a search's packets; `None` if there are none any more.
    ///
    /// # Errors
    ///
    /// What `packets` returns.
    pub fn gather<E>(
        runs: Vec<SearchRun>,
        mut packets: impl FnMut(&SearchRun, &SearchRecord) -> Result<Option<Vec<Packet>>, E>,
    ) -> Result<Vec<Self>, E> {
        let mut groups: BTreeMap<String, Vec<SearchRun>> = BTreeMap::new();
        for run in runs {
            groups.entry(set_up_of(&run.plan).to_owned()).or_default().push(run);
        }
        groups.into_iter().map(|(name, runs)| Self::new(name, runs, &mut packets)).collect()
    }

    fn new<E>(
        name: String,
        runs: Vec<SearchRun>,
        packets: &mut impl FnMut(&SearchRun, &SearchRecord) -> Result<Option<Vec<Packet>>, E>,
    ) -> Result<Self, E> {
        let all = Measurements {
            records: runs.iter().flat_map(|run| run.measured.records.iter().cloned()).collect(),
            super_nodes: runs.iter().flat_map(|run| run.measured.super_nodes.iter().cloned()).collect(),
        };
        let mut examples = Vec::new();
        for case in Case::ALL {
            let of_case: Vec<_> = records(&runs).filter(|(_, record)| record.case == case).collect();
            let latencies: Vec<_> = of_case.iter().map(|(_, record)| latency(record)).collect();
            let Some(&(run, record)) = nearest_to_median(&latencies).and_then(|place| of_case.get(place))
            else {
                continue;
            };
            let (Some(started), Some(packets)) = (record.started, packets(&runs[run], record)?) else {
                continue;
            };
            let ladder = Ladder::of_all(&packets, started);
            examples.push(SearchExample { record: record.clone(), ladder, run });
        }
        Ok(Self { report: SearchReport::new(&name, &all), name, runs, examples })
    }

    /// All searches.
    pub fn records(&self) -> impl Iterator<Item = &SearchRecord> {
        records(&self.runs).map(|(_, record)| record)
    }

    /// Latencies of a case, of the searches that ended as they must, in seconds.
    pub fn latencies(&self, case: Case) -> impl Iterator<Item = f64> {
        self.records().filter(move |record| record.case == case).filter_map(latency)
    }
}

fn records(runs: &[SearchRun]) -> impl Iterator<Item = (usize, &SearchRecord)> {
    runs.iter().enumerate().flat_map(|(index, run)| run.measured.records.iter().map(move |one| (index, one)))
}

fn latency(record: &SearchRecord) -> Option<f64> {
    record.latency_s.filter(|_| record.failure.is_none())
}
