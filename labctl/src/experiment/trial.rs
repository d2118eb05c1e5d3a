//! One login of one client, measured from outside.

use std::path::Path;
use std::time::Duration;

use overlay_control::{LoginEvent, LoginRequest};
use tokio::time::timeout;

use super::control::{Control, ControlError, Events};
use super::live::Doing;
use super::login::Ground;
use super::observe::ClientSink;
use super::record::{EventRecord, FailureReason, Kind, TrialRecord};
use super::stopped::Stopped;
use crate::meter::pcapng::Section;
use crate::meter::{Capture, Timestamp};
use crate::plan::NodePlan;

/// What a trial is made from.
#[derive(Clone, Debug)]
pub(super) struct Trial<'a> {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) client: &'a NodePlan,
    pub(super) request: LoginRequest,
    /// The longest that the login may take.
    pub(super) patience: Duration,
}

/// What came of a trial.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) record: TrialRecord,
    pub(super) events: Vec<EventRecord>,
    /// When the login ended, by the packets' clock.
    pub(super) ended: Timestamp,
}

impl Trial<'_> {
    /// Runs it. The client must be idle; it is so again afterwards if [`Control::logout`] says so.
    ///
    /// `directory` takes the packets.
    pub(super) async fn run(
        &self,
        ground: &impl Ground,
        control: &Control,
        directory: &Path,
        told: &(dyn Fn(Doing<LoginEvent>) + Sync),
    ) -> Result<Outcome, ControlError> {
        let packets = format!("{}-{}-{:03}.pcapng", self.client.name, self.kind.as_str(), self.number);
        let mut outcome = Outcome {
            record: TrialRecord {
                kind: self.kind,
                trial: self.number,
                client: self.client.name.clone(),
                gateway: self.client.gateway.clone(),
                user: self.request.user.clone(),
                seed: self.request.seed,
                host_cache_entries: self.request.host_cache.len(),
                started: None,
                login_s: None,
                finished_s: None,
                seen: None,
                outside: None,
                summary: None,
                packets,
                failure: None,
            },
            events: Vec::new(),
            ended: Timestamp::now(),
        };
        let measured = self.measure(ground, control, directory, told, &mut outcome).await;
        outcome.record.failure = measured.err().map(Stopped::into);
        // Also ends a login that timed out. A client that cannot be reset spoils what follows.
        control.logout().await?;
        Ok(outcome)
    }

    async fn measure(
        &self,
        ground: &impl Ground,
        control: &Control,
        directory: &Path,
        told: &(dyn Fn(Doing<LoginEvent>) + Sync),
        outcome: &mut Outcome,
    ) -> Result<(), Stopped> {
        let path = directory.join(&outcome.record.packets);
        let meter_failed = |error: std::io::Error| {
            Stopped(FailureReason::Meter, format!("writing {}: {error}", path.display()))
        };
        let section = Section {
            application: concat!("labctl ", env!("CARGO_PKG_VERSION")),
            os: &super::kernel(),
            comment: &format!(
                "{}, {} login {}, seed {}",
                self.client.name,
                self.kind.as_str(),
                self.number,
                self.request.seed
            ),
            node: self.client.name.as_str(),
        };
        let sink = ClientSink::create(&path, &section, ground.plan()).map_err(meter_failed)?;
        let live = sink.live();
        let capture = Capture::start(&self.client.namespace, "eth0", sink)?;
        let limit = ground.plan().overlay.as_ref().map(|overlay| overlay.parameters.udp_probe_limit.get());
        let most_probes = limit.map(|limit| limit.min(self.request.host_cache.len()));
        told(Doing::Begins { count: live, most_probes });
        let mut sent = Timestamp::now();
        let login = timeout(self.patience, async {
            let mut events = control.login(&self.request).await?;
            sent = events.sent_at();
            outcome.record.started = Some(sent);
            self.follow(&mut events, told, outcome).await
        });
        let login = login.await.unwrap_or_else(|_| {
            let limit = self.patience.as_secs();
            let detail =
                format!("the login did not end within {limit} s, the most that its time limits allow");
            Err(Stopped(FailureReason::TimedOut, detail))
        });
        // What was seen of a failed login is worth a look too.
        outcome.ended = Timestamp::now();
        let stopped = capture.stop().await;
        let seen = stopped
            .map_err(Stopped::from)
            .and_then(|(sink, kernel)| sink.finish(sent, kernel).map_err(meter_failed));
        login?;
        outcome.record.seen = Some(seen?);
        Ok(())
    }

    /// Follows the events to the last one.
    async fn follow(
        &self,
        events: &mut Events,
        told: &(dyn Fn(Doing<LoginEvent>) + Sync),
        outcome: &mut Outcome,
    ) -> Result<(), Stopped> {
        loop {
            let received = events.next().await?;
            told(Doing::Told(received.line.event.clone()));
            let since = received.at.duration_since(events.sent()).as_secs_f64();
            outcome.events.push(EventRecord {
                kind: self.kind,
                trial: self.number,
                client: self.client.name.clone(),
                received_s: since,
                line: received.line.clone(),
            });
            let record = &mut outcome.record;
            match received.line.event {
                LoginEvent::LoggedIn => record.login_s = Some(since),
                LoginEvent::Finished { summary } => {
                    record.finished_s = Some(since);
                    record.summary = Some(summary);
                    if record.login_s.is_none() {
                        let detail = "the client finished its login without having logged in".to_owned();
                        return Err(Stopped(FailureReason::Control, detail));
                    }
                    return Ok(());
                }
                LoginEvent::Failed { reason, detail } => {
                    let reason = serde_json::to_value(reason).unwrap_or_default();
                    let reason = reason.as_str().unwrap_or("failed").to_owned();
                    return Err(Stopped(FailureReason::Login, format!("{reason}: {detail}")));
                }
                _ => {}
            }
        }
    }
}
