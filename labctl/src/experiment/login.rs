//! The login experiment: clients log in, side by side, again and again, while meters outside count.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use overlay_control::{LoginEvent, LoginRequest, Role, UserRecord};

use super::control::{Control, ControlError};
use super::host_cache::{self, HostCacheError};
use super::live::Doing;
use super::observe::OutsideSink;
use super::patience::longest_login;
use super::random::{Purpose, derive_seed};
use super::record::{EventRecord, Failure, FailureReason, Kind, TrialRecord};
use super::run::{Run, RunError};
use super::trial::{Outcome, Trial};
use crate::meter::{Capture, CaptureError};
use crate::names::NodeName;
use crate::plan::{NodePlan, OverlayPlan, Plan};

/// The lab that the experiment is done in.
pub trait Ground: Sync {
    /// What the lab was made from.
    fn plan(&self) -> &Plan;

    /// The control socket of a node.
    fn control_socket(&self, node: &NodeName) -> PathBuf;

    /// Is called when the first trial is about to begin: the time 0 of the WAN's schedule.
    fn begin(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// An error, with what is missing, if not all of the lab runs.
    fn check_health(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of the first trial: 1, unless other labs make those before it.
    pub first: u32,
    /// Trials of each kind, at least 1.
    pub trials: u32,
    /// Which kinds, in this order.
    pub kinds: Vec<Kind>,
    /// Seed that the trials' seeds are made from.
    pub seed: u64,
    /// How many clients log in side by side at the most; `None`: all that are measured. What they generate
    /// keys with is one machine's processor, so with many of them a login takes longer than alone.
    pub parallel: Option<usize>,
}

/// What goes on, for whoever watches.
#[derive(Clone, Debug)]
pub enum Progress {
    /// So many clients are being logged in, to stay online.
    GoingOnline(usize),
    /// A wave of trials begins.
    Wave {
        /// First-time or subsequent.
        kind: Kind,
        /// Its number among those of its kind, from 1.
        wave: u32,
        /// How many there are of its kind.
        waves: u32,
        /// How many clients log in side by side.
        clients: usize,
    },
    /// A client of the wave is at this point.
    Client(NodeName, Doing<LoginEvent>),
    /// A trial ended.
    Ended(Box<TrialRecord>),
}

/// Why the experiment stopped. Records of trials that ended before are written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum LoginError {
    /// Nothing to log in.
    #[error("lab {lab} has no client to measure; add a node with 'role: client' to its topology")]
    NoClient { lab: String },
    /// The plan says to measure a client that is to stay online.
    #[error(
        "{client} is to be measured and to be online before: it cannot be both; take it out of \
         'experiment.online' or of 'experiment.measure'"
    )]
    MeasuredAndOnline { client: NodeName },
    /// A host cache cannot be made.
    #[error(transparent)]
    HostCache(#[from] HostCacheError),
    /// A node does not do what it is told.
    #[error("node {node}: {error}")]
    Control { node: NodeName, error: ControlError },
    /// A client that is to be online did not log in.
    #[error("{client} is to be online before the first trial, but could not log in: {why}")]
    NotOnline { client: NodeName, why: String },
    /// A gateway's meter could not be started.
    #[error(transparent)]
    Meter(#[from] CaptureError),
    /// The lab is damaged.
    #[error(
        "the lab is not healthy {when}: {why}; figures of such a lab are not to be trusted ('labctl ps' shows \
         what runs)"
    )]
    Unhealthy { when: String, why: String },
    /// The WAN's schedule.
    #[error("the schedule of the WAN cannot begin: {0}")]
    Schedule(String),
    /// Records cannot be written.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The experiment on one lab.
pub struct LoginExperiment<'a, G> {
    ground: &'a G,
    overlay: &'a OverlayPlan,
    options: &'a Options,
    clients: Vec<&'a NodePlan>,
    containers: Vec<Vec<std::net::SocketAddrV4>>,
    patience: Duration,
    /// The first part of this run's user names.
    users: String,
}

impl<'a, G: Ground> LoginExperiment<'a, G> {
    /// Looks whether the lab can be used, and resets clients that are logged in but should not be.
    pub async fn new(ground: &'a G, options: &'a Options) -> Result<Self, LoginError> {
        let plan = ground.plan();
        let nobody = || LoginError::NoClient { lab: plan.lab.to_string() };
        let overlay = plan.overlay.as_ref().ok_or_else(nobody)?;
        let clients: Vec<&NodePlan> = overlay.measure.iter().filter_map(|name| node(plan, name)).collect();
        if clients.is_empty() {
            return Err(nobody());
        }
        if let Some(client) = overlay.measure.iter().find(|name| overlay.online.contains(name)) {
            return Err(LoginError::MeasuredAndOnline { client: client.clone() });
        }
        let mut experiment = Self {
            ground,
            overlay,
            options,
            clients,
            containers: host_cache::super_nodes_by_container(plan),
            patience: longest_login(&overlay.parameters),
            users: String::new(),
        };
        for client in &experiment.clients {
            if experiment.state(&client.name).await?.0 != "idle" {
                let control = experiment.control(&client.name);
                control.logout().await.map_err(of(&client.name))?;
            }
        }
        experiment.users = experiment.name_users().await?;
        Ok(experiment)
    }

    /// Measures, and writes every trial down as soon as its wave is over.
    pub async fn run(
        &self,
        run: &mut Run,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<TrialRecord>, LoginError> {
        self.check("before the first login".to_owned()).await?;
        self.go_online(&|clients| progress(Progress::GoingOnline(clients))).await?;
        self.begin().await?;
        let mut records = Vec::new();
        for &kind in &self.options.kinds {
            let numbers: Vec<u32> = (self.options.first..).take(self.options.trials as usize).collect();
            let most = self.options.parallel.unwrap_or(usize::MAX).clamp(1, self.clients.len());
            let waves = numbers.chunks(most);
            let count = u32::try_from(waves.len()).unwrap_or(u32::MAX);
            for (wave, numbers) in (1..).zip(waves) {
                progress(Progress::Wave { kind, wave, waves: count, clients: numbers.len() });
                let which = format!("wave {wave} of the {} logins", kind.as_str());
                self.check(format!("before {which}")).await?;
                let outcomes = self.wave(kind, numbers, run.directory(), progress).await?;
                for (record, events) in &outcomes {
                    run.add(record, events)?;
                }
                // What was measured on a damaged lab is written down, for whoever looks for the reason, but
                // it makes no row.
                self.check(format!("after {which}")).await?;
                records.extend(outcomes.into_iter().map(|(record, _)| record));
            }
        }
        Ok(records)
    }

    /// Says that the first trial begins.
    pub(super) async fn begin(&self) -> Result<(), LoginError> {
        self.ground.begin().await.map_err(LoginError::Schedule)
    }

    pub(super) async fn check(&self, when: String) -> Result<(), LoginError> {
        self.ground.check_health().await.map_err(|why| LoginError::Unhealthy { when, why })
    }

    /// One trial on each client, side by side.
    async fn wave(
        &self,
        kind: Kind,
        numbers: &[u32],
        directory: &Path,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<(TrialRecord, Vec<EventRecord>)>, LoginError> {
        let mut trials = Vec::new();
        for (&number, client) in numbers.iter().zip(&self.clients) {
            trials.push(self.prepare(kind, number, client).await?);
        }
        let mut gateways = BTreeMap::new();
        for name in trials.iter().filter_map(|trial| trial.client.gateway.as_ref()).collect::<BTreeSet<_>>() {
            let Some(gateway) = self.ground.plan().gateways.iter().find(|gateway| gateway.name == *name)
            else {
                continue;
            };
            let capture = Capture::start(&gateway.namespace, "wan", OutsideSink::default())?;
            gateways.insert(name.clone(), capture);
        }
        let running = trials.iter().map(|trial| async {
            let control = self.control(&trial.client.name);
            let told = |doing| progress(Progress::Client(trial.client.name.clone(), doing));
            let outcome = trial.run(self.ground, &control, directory, &told).await;
            let outcome = outcome.map_err(of(&trial.client.name))?;
            progress(Progress::Ended(Box::new(outcome.record.clone())));
            Ok::<_, LoginError>(outcome)
        });
        let outcomes: Vec<Result<Outcome, LoginError>> = join_all(running).await;
        let mut outside = BTreeMap::new();
        for (name, capture) in gateways {
            outside.insert(name, capture.stop().await.map(|(sink, _)| sink));
        }
        let mut ended = Vec::new();
        for outcome in outcomes {
            let Outcome { mut record, events, ended: end } = outcome?;
            match record.gateway.as_ref().and_then(|name| outside.get(name)) {
                Some(Ok(sink)) => {
                    record.outside = record.started.map(|started| sink.between(started, end));
                }
                Some(Err(error)) => {
                    let failure = Failure { reason: FailureReason::Meter, detail: error.to_string() };
                    record.failure.get_or_insert(failure);
                }
                None => {}
            }
            ended.push((record, events));
        }
        Ok(ended)
    }

    /// What a trial begins with.
    async fn prepare<'b>(
        &self,
        kind: Kind,
        number: u32,
        client: &'b NodePlan,
    ) -> Result<Trial<'b>, LoginError> {
        let user = self.user_name(if kind == Kind::FirstTime { 'f' } else { 's' }, number);
        let which: [&[u8]; 2] = [kind.as_str().as_bytes(), &number.to_le_bytes()];
        let buddies = client.buddies().iter().map(ToString::to_string).collect();
        let request = self.request(kind, user, &which, buddies)?;
        if kind == Kind::Subsequent {
            self.enter(&request).await?;
        }
        Ok(Trial { kind, number, client, request, patience: self.patience })
    }

    /// A login request, made from the seed.
    pub(super) fn request(
        &self,
        kind: Kind,
        user: String,
        which: &[&[u8]],
        buddies: Vec<String>,
    ) -> Result<LoginRequest, LoginError> {
        let seed = |purpose| derive_seed(self.options.seed, purpose, which);
        let bootstrap = self.overlay.parameters.bootstrap_entries.get();
        let host_cache = match kind {
            Kind::FirstTime => host_cache::first_time(&self.containers, bootstrap, seed(Purpose::HostCache))?,
            Kind::Subsequent => {
                host_cache::subsequent(self.overlay, &self.containers, seed(Purpose::HostCache))?
            }
        };
        Ok(LoginRequest {
            user,
            password: format!("{:014x}", seed(Purpose::Password)),
            seed: seed(Purpose::Login),
            first_time: kind == Kind::FirstTime,
            host_cache,
            buddies,
        })
    }

    /// Enters a user at every login server.
    pub(super) async fn enter(&self, request: &LoginRequest) -> Result<(), LoginError> {
        let user = UserRecord { user: request.user.clone(), password: request.password.clone() };
        for server in self.login_servers() {
            self.control(&server.name).enter_user(&user).await.map_err(of(&server.name))?;
        }
        Ok(())
    }

    /// Logs in the clients that are to be online, unless they are.
    pub(super) async fn go_online(&self, progress: &(dyn Fn(usize) + Sync)) -> Result<(), LoginError> {
        let mut absent = Vec::new();
        for name in &self.overlay.online {
            if self.state(name).await?.0 != "logged-in" {
                absent.push(name);
            }
        }
        if absent.is_empty() {
            return Ok(());
        }
        progress(absent.len());
        try_join_all(absent.into_iter().map(|name| self.bring_online(name))).await.map(drop)
    }

    async fn bring_online(&self, client: &NodeName) -> Result<(), LoginError> {
        let buddies = node(self.ground.plan(), client).map(NodePlan::buddies).unwrap_or_default();
        let buddies = buddies.iter().map(ToString::to_string).collect();
        let which: [&[u8]; 2] = [b"online", client.as_str().as_bytes()];
        // A known user on a machine where nobody logged in before: where UDP is blocked, the few entries of such
        // a host cache are gone through in a third of the time.
        let request = LoginRequest {
            first_time: false,
            ..self.request(Kind::FirstTime, client.to_string(), &which, buddies)?
        };
        let control = self.control(client);
        control.logout().await.map_err(of(client))?;
        self.enter(&request).await?;
        let failed = |why| LoginError::NotOnline { client: client.clone(), why };
        let login = async {
            let mut events = control.login(&request).await.map_err(of(client))?;
            loop {
                match events.next().await.map_err(of(client))?.line.event {
                    LoginEvent::Finished { .. } => return Ok(()),
                    LoginEvent::Failed { detail, .. } => return Err(failed(detail)),
                    _ => {}
                }
            }
        };
        let limit = self.patience.as_secs();
        let late = |_| failed(format!("it did not end within {limit} s"));
        tokio::time::timeout(self.patience, login).await.map_err(late)?
    }

    /// The first part of user names that the login server does not know yet: made from the seed and the
    /// number of users that it knows, so that a run on a fresh lab has the same names every time, and a
    /// second run on the same lab others. All names are equally long, and so are the messages with them.
    async fn name_users(&self) -> Result<String, LoginError> {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut known = 0;
        for server in self.login_servers() {
            known += self.state(&server.name).await?.1;
        }
        let seed = derive_seed(self.options.seed, Purpose::Users, &[&known.to_le_bytes()]);
        let letter = |place: u32| char::from(LETTERS[(seed >> (5 * place) & 31) as usize]);
        Ok((0..5).map(letter).collect())
    }

    fn login_servers(&self) -> impl Iterator<Item = &NodePlan> {
        self.ground.plan().nodes.iter().filter(|node| node.role() == Some(Role::LoginServer))
    }

    /// The containers of super nodes.
    pub(super) fn super_nodes(&self) -> impl Iterator<Item = &NodePlan> {
        self.ground.plan().super_nodes()
    }

    /// See [`forget_results`].
    pub(super) async fn forget_results(&self) -> Result<(), LoginError> {
        forget_results(self.ground).await.map_err(|(node, error)| LoginError::Control { node, error })
    }

    /// A name that this run alone has, for a purpose that the letter stands for.
    pub(super) fn user_name(&self, letter: char, number: u32) -> String {
        format!("{}-{letter}{number:03}", self.users)
    }

    pub(super) fn plan(&self) -> &'a Plan {
        self.ground.plan()
    }

    pub(super) fn overlay(&self) -> &'a OverlayPlan {
        self.overlay
    }

    /// The clients that the topology measures.
    pub(super) fn clients(&self) -> &[&'a NodePlan] {
        &self.clients
    }

    /// The longest that a login can take.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn control(&self, node: &NodeName) -> Control {
        Control::new(&self.ground.control_socket(node))
    }

    /// A node's state, and how many records it has.
    async fn state(&self, node: &NodeName) -> Result<(String, usize), LoginError> {
        let status = self.control(node).status().await.map_err(of(node))?;
        let instance = status.instances.into_iter().next();
        Ok(instance.map_or_else(Default::default, |instance| (instance.state, instance.records)))
    }
}

fn node<'a>(plan: &'a Plan, name: &NodeName) -> Option<&'a NodePlan> {
    plan.nodes.iter().find(|node| node.name == *name)
}

/// Puts the node's name to what went wrong.
/// Makes every super node forget what earlier searches found. The error says which one did not.
pub(super) async fn forget_results(ground: &impl Ground) -> Result<(), (NodeName, ControlError)> {
    let forgotten = ground.plan().super_nodes().map(|node| async move {
        let control = Control::new(&ground.control_socket(&node.name));
        control.forget_results().await.map_err(|error| (node.name.clone(), error))
    });
    try_join_all(forgotten).await.map(drop)
}

pub(super) fn of(node: &NodeName) -> impl FnOnce(ControlError) -> LoginError {
    move |error| LoginError::Control { node: node.clone(), error }
}
