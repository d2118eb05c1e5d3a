//! The call experiment: one client calls another, while meters outside see which way signalling and media go.
#![expect(clippy::similar_names, reason = "caller and callee are the words of the field")]

mod analysis;
mod matrix;
mod media;
mod meters;
mod online;
pub mod record;
pub mod replay;
mod task;

use std::fs;
use std::path::Path;
use std::time::Duration;

use overlay_control::{AwaitCallRequest, CallEvent, CallLine, CallRequest, SoundFiles};
use tokio::time::{Instant, timeout};

use self::analysis::{End, connections, node, way};
pub use self::matrix::{Behind, Cell, MediaWay, matrix_topology, run_matrix};
use self::meters::{Meters, SeenByAll, gateway_shares, node_shares, other_traffic};
use self::record::{CallEventRecord, CallRecord};
pub use self::task::{Calls, Progress};
use super::control::{CallLines, Control, ControlError};
use super::host_cache::HostCacheError;
use super::live::Doing;
use super::login::{Ground, forget_results};
use super::run::RunError;
use crate::meter::{CaptureError, Timestamp};
use crate::names::NodeName;
use crate::plan::{NodePlan, Plan};

/// What is to be called.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// The caller's node.
    pub from: NodeName,
    /// The callee's node.
    pub to: NodeName,
    /// How long they talk.
    pub talk: Duration,
    /// A WAV file that both say; none: the built-in sample.
    pub said: Option<std::path::PathBuf>,
    /// Seed of the logins.
    pub seed: u64,
}

/// Why there was no call to measure.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum CallError {
    /// No such client.
    #[error("lab {lab} has no client {name}; its clients are: {clients}")]
    NoClient { lab: String, name: NodeName, clients: String },
    /// One and the same.
    #[error("{0} cannot call itself; give another name with '--to'")]
    Itself(NodeName),
    /// A host cache cannot be made.
    #[error(transparent)]
    HostCache(#[from] HostCacheError),
    /// A node does not do what it is told.
    #[error("node {node}: {error}")]
    Control { node: NodeName, error: ControlError },
    /// A client did not log in.
    #[error("{client} could not log in: {why}")]
    NotOnline { client: NodeName, why: String },
    /// A meter.
    #[error(transparent)]
    Meter(#[from] CaptureError),
    /// The lab is damaged.
    #[error(
        "the lab is not healthy: {0}; figures of such a lab are not to be trusted ('labctl ps' shows what runs)"
    )]
    Unhealthy(String),
    /// The WAN's schedule.
    #[error("the schedule of the WAN cannot begin: {0}")]
    Schedule(String),
    /// A sound file.
    #[error("{path}: {error}", path = .path.display())]
    Sound { path: std::path::PathBuf, error: std::io::Error },
    /// Records cannot be written.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What each end hears, in its own directory.
const HEARD: &str = "heard.wav";
/// What both say, if it is not the sample.
const SAID: &str = "said.wav";
/// How long a callee rings: as long as a node needs, no longer.
const ANSWER_AFTER_MS: u64 = 0;
/// What may come late of a call that has ended, before the meters stop.
const GRACE: Duration = Duration::from_millis(500);

/// One call between two clients that are logged in.
#[derive(Debug)]
pub struct Measured {
    /// Its figures.
    pub record: CallRecord,
    /// What the nodes told.
    pub events: Vec<CallEventRecord>,
}

/// Looks the two clients up.
pub fn ends<'a>(plan: &'a Plan, options: &CallOptions) -> Result<[&'a NodePlan; 2], CallError> {
    let client = |name: &NodeName| {
        let is_client = |node: &&NodePlan| node.role() == Some(overlay_control::Role::Client);
        node(plan, name).filter(is_client).ok_or_else(|| {
            let clients: Vec<_> =
                plan.nodes.iter().filter(is_client).map(|node| node.name.to_string()).collect();
            CallError::NoClient { lab: plan.lab.to_string(), name: name.clone(), clients: clients.join(", ") }
        })
    };
    if options.from == options.to {
        return Err(CallError::Itself(options.to.clone()));
    }
    Ok([client(&options.from)?, client(&options.to)?])
}

/// Logs both ends in.
pub async fn log_in(ground: &impl Ground, options: &CallOptions) -> Result<(), CallError> {
    let ends = ends(ground.plan(), options)?;
    ground.check_health().await.map_err(CallError::Unhealthy)?;
    let both = ends.map(|client| client.name.clone());
    let logins = online::log_in(ground, &both, options.seed, None).await?;
    for (client, login) in both.iter().zip(logins) {
        login.map_err(|why| CallError::NotOnline { client: client.clone(), why })?;
    }
    // Users have logged in anew since earlier runs, at other super nodes.
    forget_results(ground).await.map_err(|(node, error)| CallError::Control { node, error })
}

/// Measures a call between two clients that are logged in. The run's directory gets the packets and what was heard, in
/// files whose names begin with `prefix`.
pub async fn measure(
    ground: &impl Ground,
    options: &CallOptions,
    directory: &Path,
    prefix: &str,
    told: Told<'_>,
) -> Result<Measured, CallError> {
    let plan = ground.plan();
    let ends = ends(plan, options)?;
    ground.check_health().await.map_err(CallError::Unhealthy)?;
    let said = place_sound(ground, options)?;
    let super_nodes: Vec<_> = plan.super_nodes().collect();
    let meters = Meters::start(plan, ends, &super_nodes, directory, prefix, told)?;
    let talk = Talk::run(ground, options, said, told).await;
    // What is under way when both have hung up still belongs to the call.
    tokio::time::sleep(GRACE).await;
    let seen = meters.stop().await?;
    let talk = talk?;
    let mut record = talk.record(options);
    record.packets.clone_from(&seen.files);
    figures(plan, ends, &talk, &seen, &mut record);
    for (client, name) in ends.iter().zip(["heard-by-caller.wav", "heard-by-callee.wav"]) {
        let heard = node_file(ground, &client.name, HEARD);
        let name = format!("{prefix}{name}");
        if fs::copy(&heard, directory.join(&name)).is_ok() {
            record.heard.push(name);
        }
    }
    Ok(Measured { record, events: talk.events })
}

fn node_file(ground: &impl Ground, node: &NodeName, name: &str) -> std::path::PathBuf {
    ground.control_socket(node).with_file_name(name)
}

/// Copies the sound file to both ends.
fn place_sound(ground: &impl Ground, options: &CallOptions) -> Result<Option<String>, CallError> {
    let Some(path) = &options.said else {
        return Ok(None);
    };
    for client in [&options.from, &options.to] {
        fs::copy(path, node_file(ground, client, SAID))
            .map_err(|error| CallError::Sound { path: path.clone(), error })?;
    }
    Ok(Some(SAID.to_owned()))
}

/// What the nodes told of a call, by labctl's clock.
struct Talk {
    started: Timestamp,
    events: Vec<CallEventRecord>,
    answered: Option<Timestamp>,
    /// When each end told that the call is over.
    ended: [Option<Timestamp>; 2],
    lines: [Vec<CallLine>; 2],
    failure: Option<String>,
}

impl Talk {
    async fn run(
        ground: &impl Ground,
        options: &CallOptions,
        said: Option<String>,
        told: Told<'_>,
    ) -> Result<Self, CallError> {
        let names = [&options.from, &options.to];
        let [caller, callee] = names.map(|name| Control::new(&ground.control_socket(name)));
        let sound = SoundFiles { said, heard: Some(HEARD.to_owned()) };
        let waits = AwaitCallRequest { answer_after_ms: Some(ANSWER_AFTER_MS), sound: sound.clone() };
        let of = |node: &NodeName| {
            let node = node.clone();
            move |error| CallError::Control { node, error }
        };
        let at_callee = callee.await_call(&waits).await.map_err(of(names[1]))?;
        let talk_ms = u64::try_from(options.talk.as_millis()).unwrap_or(u64::MAX);
        let call = CallRequest { user: options.to.to_string(), talk_ms: Some(talk_ms), sound };
        let (started, clock) = (Timestamp::now(), Instant::now());
        let at_caller = caller.call_user(&call).await.map_err(of(names[0]))?;
        let limit = options.talk + LONGEST_SETUP;
        let follow = |mut lines: CallLines, node: NodeName| async move {
            let mut seen = Vec::new();
            let followed = timeout(limit, async {
                loop {
                    let line = lines.next().await?.line;
                    seen.push((Timestamp::now(), clock.elapsed(), line.clone()));
                    told(&node, Doing::Told(line.event.clone()));
                    if matches!(line.event, CallEvent::Ended { .. }) {
                        return Ok::<_, ControlError>(());
                    }
                }
            });
            let failure = match followed.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{node}: {error}")),
                Err(_) => Some(format!("{node}: the call did not end within {} s", limit.as_secs())),
            };
            (seen, failure)
        };
        let from_caller = follow(at_caller, options.from.clone());
        let from_callee = follow(at_callee, options.to.clone());
        // A callee that is never called would be waited for in vain.
        let stop = async {
            let seen = from_caller.await;
            if !seen.0.iter().any(|(_, _, line)| matches!(line.event, CallEvent::Answered {})) {
                let _ = callee.hang_up().await;
            }
            seen
        };
        let both = async {
            tokio::pin!(from_callee);
            tokio::pin!(stop);
            tokio::select! {
                seen = &mut stop => {
                    let rest = timeout(TEARDOWN, &mut from_callee).await;
                    (seen, rest.unwrap_or_else(|_| (Vec::new(), Some("the callee did not end the call".to_owned()))))
                }
                seen = &mut from_callee => (stop.await, seen),
            }
        };
        let (at_caller, at_callee) = both.await;
        Ok(Self::of(options, started, [at_caller, at_callee]))
    }

    fn of(options: &CallOptions, started: Timestamp, seen: [(Vec<Line>, Option<String>); 2]) -> Self {
        let mut talk = Self {
            started,
            events: Vec::new(),
            answered: None,
            ended: [None, None],
            lines: [Vec::new(), Vec::new()],
            failure: None,
        };
        for (place, ((lines, failure), node)) in
            seen.into_iter().zip([&options.from, &options.to]).enumerate()
        {
            if talk.failure.is_none() {
                talk.failure = failure;
            }
            for (at, since, line) in lines {
                match &line.event {
                    CallEvent::Answered {} if place == 0 => talk.answered = Some(at),
                    CallEvent::Ended { .. } => talk.ended[place] = Some(at),
                    _ => {}
                }
                let received_s = since.as_secs_f64();
                talk.events.push(CallEventRecord { node: node.clone(), received_s, line: line.clone() });
                talk.lines[place].push(line);
            }
        }
        talk.events.sort_by(|one, two| one.received_s.total_cmp(&two.received_s));
        talk
    }

    fn ended_how(&self, place: usize) -> Option<String> {
        self.lines[place].iter().find_map(|line| match &line.event {
            CallEvent::Ended { reason, .. } => Some(reason.to_string()),
            _ => None,
        })
    }

    fn voice(&self, place: usize) -> Option<overlay_control::VoiceSummary> {
        self.lines[place].iter().rev().find_map(|line| line.voice)
    }

    /// The figures that do not come from the meters.
    fn record(&self, options: &CallOptions) -> CallRecord {
        let since = |at: Option<Timestamp>| at.map(|at| at.seconds_since(self.started));
        let rings = self.events.iter().find(|event| matches!(event.line.event, CallEvent::Ringing { .. }));
        let never = || {
            let why = self.ended_how(0).unwrap_or_else(|| "nothing was told".to_owned());
            format!("the call was not answered: {why}")
        };
        let failure = self.failure.clone().or_else(|| self.answered.is_none().then(never));
        CallRecord {
            from: options.from.clone(),
            to: options.to.clone(),
            started: Some(self.started),
            talk_s: Some(options.talk.as_secs_f64()),
            ringing_s: rings.map(|event| event.received_s),
            setup_s: since(self.answered),
            teardown_s: self.ended[0].zip(self.ended[1]).map(|(here, there)| there.seconds_since(here)),
            ended: [self.ended_how(0), self.ended_how(1)],
            failure,
            signalling: Vec::new(),
            until_answer: crate::meter::Traffic::default(),
            during: crate::meter::Traffic::default(),
            media: None,
            legs: Vec::new(),
            ways: Vec::new(),
            nodes: Vec::new(),
            gateways: Vec::new(),
            packets: Vec::new(),
            heard: Vec::new(),
        }
    }
}

/// Is told what the ends of a call are doing, for whoever watches.
pub type Told<'a> = &'a (dyn Fn(&NodeName, Doing<CallEvent>) + Sync);

type Line = (Timestamp, Duration, CallLine);

/// Search, signalling, three ports of several nodes: more than any of it takes.
const LONGEST_SETUP: Duration = Duration::from_secs(120);
/// How long the callee may take to notice that the call is over: the longest silence, and some.
const TEARDOWN: Duration = Duration::from_secs(40);

/// The figures that come from the meters.
fn figures(plan: &Plan, nodes: [&NodePlan; 2], talk: &Talk, seen: &SeenByAll, record: &mut CallRecord) {
    let [caller, callee] = [0, 1].map(|place| End::new(nodes[place], &seen.clients[place]));
    let over = talk.ended[0].unwrap_or_else(Timestamp::now);
    let answered = talk.answered.unwrap_or(over);
    for (end, other, sink) in [(&caller, nodes[1], &seen.clients[0]), (&callee, nodes[0], &seen.clients[1])] {
        record.legs.extend(end.legs(plan, other, talk.started));
        record.signalling.extend(connections(plan, end, sink, talk.started, over));
    }
    record.ways.extend(way(&caller, &callee, talk.voice(1)));
    record.ways.extend(way(&callee, &caller, talk.voice(0)));
    let is_media = |flow: &_| caller.flows.contains_key(flow);
    record.until_answer = other_traffic(&seen.clients[0], is_media, talk.started, answered);
    record.during = other_traffic(&seen.clients[0], is_media, answered, Timestamp::now());
    let is_other = |flow: &_| !is_media(flow);
    record.media = Some(other_traffic(&seen.clients[0], is_other, talk.started, Timestamp::now()));
    record.nodes = node_shares(plan, &seen.super_nodes, talk.started, over);
    record.gateways = gateway_shares(&seen.gateways, talk.started, over);
    if record.failure.is_none() && record.ways.len() < 2 {
        record.failure = Some("the call was answered, but no media passed both ends".to_owned());
    }
}
