//! One search by one client, measured from outside.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use overlay_control::{SearchEvent, SearchLine, SearchRequest};
use tokio::time::timeout;

use super::record::{Case, Ending, SearchEventRecord, SearchRecord};
use crate::experiment::control::{Control, Events};
use crate::experiment::live::Doing;
use crate::experiment::observe::ClientSink;
use crate::experiment::record::{FailureReason, Seen};
use crate::experiment::stopped::Stopped;
use crate::meter::pcapng::Section;
use crate::meter::{Capture, Timestamp};
use crate::plan::{NodePlan, Plan};

/// What a trial is made from.
#[derive(Clone, Debug)]
pub(super) struct Trial<'a> {
    pub(super) case: Case,
    pub(super) number: u32,
    pub(super) client: &'a NodePlan,
    /// The user who is logged in.
    pub(super) searcher: String,
    /// The user who is searched for.
    pub(super) target: String,
    /// The target is somebody's choice: nothing is known of how the search should end.
    pub(super) any_outcome: bool,
    /// The longest that the search may take.
    pub(super) patience: Duration,
    /// The round trip to the one that is searched for.
    pub(super) direct: Option<Duration>,
}

/// What came of a trial.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) record: SearchRecord,
    pub(super) events: Vec<SearchEventRecord>,
    /// When the search ended, by the packets' clock.
    pub(super) ended: Timestamp,
}

impl Trial<'_> {
    /// Runs it. The client must be logged in. `directory` takes the packets.
    pub(super) async fn run(
        &self,
        plan: &Plan,
        control: &Control,
        directory: &Path,
        told: &(dyn Fn(Doing<SearchEvent>) + Sync),
    ) -> Outcome {
        let packets = format!("{}-{}-{:03}.pcapng", self.client.name, self.case.as_str(), self.number);
        let mut outcome = Outcome {
            record: SearchRecord {
                case: self.case,
                trial: self.number,
                client: self.client.name.clone(),
                gateway: self.client.gateway.clone(),
                searcher: self.searcher.clone(),
                user: self.target.clone(),
                started: None,
                latency_s: None,
                ending: None,
                seen: None,
                outside: None,
                contacted: None,
                path_stretch: None,
                found: None,
                summary: None,
                packets,
                failure: None,
            },
            events: Vec::new(),
            ended: Timestamp::now(),
        };
        let measured = self.measure(plan, control, directory, told, &mut outcome).await;
        let judged = measured.and_then(|()| self.judge(&mut outcome.record));
        outcome.record.failure = judged.err().map(Stopped::into);
        outcome
    }

    async fn measure(
        &self,
        plan: &Plan,
        control: &Control,
        directory: &Path,
        told: &(dyn Fn(Doing<SearchEvent>) + Sync),
        outcome: &mut Outcome,
    ) -> Result<(), Stopped> {
        let path = directory.join(&outcome.record.packets);
        let meter_failed = |error: std::io::Error| {
            Stopped(FailureReason::Meter, format!("writing {}: {error}", path.display()))
        };
        let (client, case, number) = (&self.client.name, self.case.as_str(), self.number);
        let section = Section {
            application: concat!("labctl ", env!("CARGO_PKG_VERSION")),
            os: &crate::experiment::kernel(),
            comment: &format!("{client}, search {number}, {case}: {} for {}", self.searcher, self.target),
            node: client.as_str(),
        };
        let sink = ClientSink::create(&path, &section, plan).map_err(meter_failed)?;
        let live = sink.live();
        let capture = Capture::start(&self.client.namespace, "eth0", sink)?;
        told(Doing::Begins { count: live, most_probes: None });
        let mut sent = Timestamp::now();
        let search = timeout(self.patience, async {
            let request = SearchRequest { user: self.target.clone() };
            let mut events = control.search(&request).await?;
            sent = events.sent_at();
            outcome.record.started = Some(sent);
            self.follow(&mut events, told, outcome).await
        });
        let search = search.await.unwrap_or_else(|_| {
            let limit = self.patience.as_secs();
            Err(Stopped(FailureReason::TimedOut, format!("the search did not end within {limit} s")))
        });
        outcome.ended = Timestamp::now();
        let stopped = capture.stop().await;
        let seen = stopped
            .map_err(Stopped::from)
            .and_then(|(sink, kernel)| sink.finish(sent, kernel).map_err(meter_failed));
        search?;
        let seen = seen?;
        outcome.record.contacted = Some(contacted(&seen));
        outcome.record.seen = Some(seen);
        Ok(())
    }

    /// Follows the events to the last one.
    async fn follow(
        &self,
        events: &mut Events<SearchLine>,
        told: &(dyn Fn(Doing<SearchEvent>) + Sync),
        outcome: &mut Outcome,
    ) -> Result<(), Stopped> {
        loop {
            let received = events.next().await?;
            told(Doing::Told(received.line.event.clone()));
            let since = received.at.duration_since(events.sent()).as_secs_f64();
            outcome.events.push(SearchEventRecord {
                case: self.case,
                trial: self.number,
                client: self.client.name.clone(),
                received_s: since,
                line: received.line.clone(),
            });
            let record = &mut outcome.record;
            match received.line.event {
                SearchEvent::Found { found, summary } => {
                    record.ending = Some(if found.online { Ending::Online } else { Ending::Offline });
                    (record.found, record.summary) = (Some(found), Some(summary));
                }
                SearchEvent::Unknown { summary, .. } => {
                    (record.ending, record.summary) = (Some(Ending::Unknown), Some(summary));
                }
                SearchEvent::Failed { reason, summary, .. } => {
                    record.summary = Some(summary);
                    return Err(Stopped(FailureReason::Search, reason.to_string()));
                }
                SearchEvent::Asked { .. } | SearchEvent::Batch { .. } | SearchEvent::Answer { .. } => {
                    continue;
                }
            }
            record.latency_s = Some(since);
            return Ok(());
        }
    }

    /// Whether it ended as it must.
    fn judge(&self, record: &mut SearchRecord) -> Result<(), Stopped> {
        let expected = match self.case {
            Case::Cold | Case::Warm => Ending::Online,
            Case::Offline => Ending::Offline,
            Case::Expired | Case::Unknown => Ending::Unknown,
        };
        if record.ending != Some(expected) && !self.any_outcome {
            let detail =
                format!("{} should be {expected:?}, but the search says {:?}", self.target, record.ending);
            return Err(Stopped(FailureReason::Search, detail));
        }
        let direct = self.direct.map(|direct| direct.as_secs_f64()).filter(|direct| *direct > 0.0);
        record.path_stretch = record.latency_s.zip(direct).map(|(latency, direct)| latency / direct);
        Ok(())
    }
}

/// Nodes that a client exchanged packets with.
fn contacted(seen: &Seen) -> u64 {
    seen.flows.iter().map(|flow| flow.key.remote).collect::<BTreeSet<_>>().len() as u64
}
