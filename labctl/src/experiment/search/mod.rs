//! The search experiment: clients search for users in every state that a user can be in, while meters outside
//! count.
//!
//! For each wave of trials every client that searches first makes the users that its trials need (one that logs
//! out, one whose record is made older than a record's lifetime), then logs in. Then all clients make the same
//! search side by side, one case after another.

mod overlay;
mod prepare;
pub mod record;
mod stretch;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use overlay_control::{AgeRequest, SearchEvent};

use self::record::{Case, SearchEventRecord, SearchRecord, SuperNodeRecord};
use self::trial::{Outcome, Trial};
use super::live::Doing;
use super::login::{Ground, LoginError, LoginExperiment, Options as LoginOptions};
use super::observe::OutsideSink;
use super::record::{Failure, FailureReason};
use super::run::Run;
use crate::meter::Capture;
use crate::names::NodeName;
use crate::plan::NodePlan;

/// How many clients of a wave log in at a time before it. Each generates keys, on one machine's processors: with hundreds
/// at once a login server's answer comes when its client waits for it no longer. The searches themselves are all at once.
const PREPARED_AT_ONCE: usize = 32;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Trials of each case, at least 1.
    pub trials: u32,
    /// Which cases, in this order.
    pub cases: Vec<Case>,
    /// The client that searches; `None`: all that the topology measures.
    pub from: Option<NodeName>,
    /// The user who is searched for in the cases of an existing user; `None`: the first client that is online.
    pub user: Option<String>,
    /// In the cases of an existing user, each client searches for the next one of its wave, all at once.
    pub mutual: bool,
    /// Seed that the trials' seeds are made from.
    pub seed: u64,
    /// How many clients search side by side at the most; `None`: all.
    pub parallel: Option<usize>,
}

/// What goes on, for whoever watches.
#[derive(Clone, Debug)]
pub enum Progress {
    /// So many clients are being logged in, to stay online.
    GoingOnline(usize),
    /// A wave of clients makes the users that it searches for, and logs in.
    Preparing {
        /// Its number, from 1.
        wave: u32,
        /// How many there are.
        waves: u32,
        /// How many clients are in it.
        clients: usize,
    },
    /// The clients of a wave search.
    Searching(Case, usize),
    /// A client that searches is at this point.
    Client(NodeName, Doing<SearchEvent>),
    /// A trial ended.
    Ended(Box<SearchRecord>),
}

/// Why the experiment stopped. Records of trials that ended before are written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SearchError {
    /// The lab cannot be used, or a client cannot log in.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Nobody is there to be found.
    #[error(
        "lab {lab} has no client that is online to be searched for; add one to 'experiment.online' in its \
         topology, or search for a user of your own with '--user NAME'"
    )]
    NobodyOnline { lab: String },
    /// The client that is to search is not one.
    #[error("'{node}' is not a client that the lab measures; these are: {known}")]
    NoSuchClient { node: NodeName, known: String },
    /// It is searched for without an account.
    #[error("the client {client} could not be prepared: {why}")]
    NotPrepared { client: NodeName, why: String },
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Measurements {
    /// Every search.
    pub records: Vec<SearchRecord>,
    /// Every super node of the overlay: what its part of the directory held and did.
    pub super_nodes: Vec<SuperNodeRecord>,
}

/// The experiment on one lab.
pub struct SearchExperiment<'a, G> {
    login: LoginExperiment<'a, G>,
    options: &'a Options,
    clients: Vec<&'a NodePlan>,
    /// Who is found in the cases of an existing user.
    existing: String,
    patience: Duration,
}

/// The options of the logins that a search experiment makes.
#[must_use]
pub fn login_options(options: &Options) -> LoginOptions {
    LoginOptions { first: 1, trials: 1, kinds: Vec::new(), seed: options.seed, parallel: options.parallel }
}

impl<'a, G: Ground> SearchExperiment<'a, G> {
    /// Looks whether the lab can be used. `login` are [`login_options`].
    pub async fn new(
        ground: &'a G,
        options: &'a Options,
        login: &'a LoginOptions,
    ) -> Result<Self, SearchError> {
        let login = LoginExperiment::new(ground, login).await?;
        let clients = searchers(login.clients(), options.from.as_ref())?;
        let online = login.overlay().online.first().map(ToString::to_string);
        let wanted = !options.mutual && options.cases.iter().any(|case| case.is_of_existing_user());
        let existing = match (&options.user, online) {
            (Some(user), _) => user.clone(),
            (None, Some(user)) => user,
            (None, None) if !wanted => String::new(),
            (None, None) => return Err(SearchError::NobodyOnline { lab: ground.plan().lab.to_string() }),
        };
        // The protocol's own limit, and what a busy machine adds.
        let limit = login.overlay().parameters.search_time_limit.duration();
        Ok(Self { login, options, clients, existing, patience: limit + Duration::from_secs(30) })
    }

    /// Measures, and writes every search down as soon as all clients have made it.
    pub async fn run(
        &self,
        run: &mut Run,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Measurements, SearchError> {
        self.login.check("before the first login".to_owned()).await?;
        self.login.go_online(&|clients| progress(Progress::GoingOnline(clients))).await?;
        let before = self.super_nodes().await?;
        let numbers: Vec<u32> = (1..=self.options.trials).collect();
        let most = self.options.parallel.unwrap_or(usize::MAX).clamp(1, self.clients.len());
        let waves = u32::try_from(numbers.chunks(most).len()).unwrap_or(u32::MAX);
        self.login.begin().await?;
        let mut records = Vec::new();
        for (wave, numbers) in (1..).zip(numbers.chunks(most)) {
            progress(Progress::Preparing { wave, waves, clients: numbers.len() });
            let searchers: Vec<_> = numbers.iter().copied().zip(self.clients.iter().copied()).collect();
            let prepared = searchers.iter().map(|&(number, client)| self.prepare(number, client));
            stream::iter(prepared).buffer_unordered(PREPARED_AT_ONCE).try_collect::<()>().await?;
            for &case in &self.options.cases {
                progress(Progress::Searching(case, searchers.len()));
                self.login.check(format!("before the searches ({})", case.as_str())).await?;
                let outcomes = self.search(case, &searchers, run.directory(), progress).await?;
                for (record, events) in &outcomes {
                    run.add(record, events).map_err(LoginError::from)?;
                }
                self.login.check(format!("after the searches ({})", case.as_str())).await?;
                records.extend(outcomes.into_iter().map(|(record, _)| record));
            }
            try_join_all(searchers.iter().map(|(_, client)| self.log_out(client))).await?;
        }
        let super_nodes = overlay::since(&before, self.super_nodes().await?);
        run.write("super-nodes.ndjson", &super_nodes).map_err(LoginError::from)?;
        Ok(Measurements { records, super_nodes })
    }

    /// The same search by every client of a wave, side by side.
    async fn search(
        &self,
        case: Case,
        searchers: &[(u32, &NodePlan)],
        directory: &Path,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<(SearchRecord, Vec<SearchEventRecord>)>, SearchError> {
        match case {
            Case::Warm => self.let_results_arrive().await,
            _ => self.login.forget_results().await?,
        }
        let plan = self.login.plan();
        let mut gateways = BTreeMap::new();
        for name in
            searchers.iter().filter_map(|(_, client)| client.gateway.as_ref()).collect::<BTreeSet<_>>()
        {
            if let Some(gateway) = plan.gateways.iter().find(|gateway| gateway.name == *name) {
                let capture = Capture::start(&gateway.namespace, "wan", OutsideSink::default());
                gateways.insert(name.clone(), capture.map_err(LoginError::from)?);
            }
        }
        let next = searchers.iter().cycle().skip(1);
        let running = searchers.iter().zip(next).map(|(&(number, client), &next)| async move {
            let other = if self.options.mutual { Some(next) } else { None };
            let trial = Trial {
                case,
                number,
                client,
                searcher: self.searcher(number),
                target: self.target(case, number, other),
                any_outcome: self.options.user.is_some() && case.is_of_existing_user(),
                patience: self.patience,
                direct: self.direct(case, client, other),
            };
            let told = |doing| progress(Progress::Client(client.name.clone(), doing));
            let outcome = trial.run(plan, &self.login.control(&client.name), directory, &told).await;
            progress(Progress::Ended(Box::new(outcome.record.clone())));
            outcome
        });
        let outcomes: Vec<Outcome> = join_all(running).await;
        let mut outside = BTreeMap::new();
        for (name, capture) in gateways {
            outside.insert(name, capture.stop().await.map(|(sink, _)| sink));
        }
        let mut ended = Vec::new();
        for Outcome { mut record, events, ended: end } in outcomes {
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

    /// The round trip between a client and the one that it searches for, if that is a node of the lab.
    fn direct(&self, case: Case, client: &NodePlan, other: Option<(u32, &NodePlan)>) -> Option<Duration> {
        let plan = self.login.plan();
        let existing = || plan.nodes.iter().find(|node| node.name.as_str() == self.existing);
        let other = other.map(|(_, node)| node).or_else(existing)?;
        case.is_of_existing_user().then(|| stretch::round_trip(plan, client, other)).flatten()
    }

    /// Makes a user's records older by their lifetime, wherever they are.
    async fn expire(&self, user: String) -> Result<(), SearchError> {
        let lifetime = self.login.overlay().parameters.directory_record_lifetime.duration().as_secs();
        let by_s = u32::try_from(lifetime).unwrap_or(u32::MAX);
        let request = AgeRequest { user, by_s };
        let aged =
            self.login.super_nodes().map(|node| {
                let request = &request;
                async move {
                    self.login.control(&node.name).age(request).await.map_err(super::login::of(&node.name))
                }
            });
        try_join_all(aged).await.map(drop).map_err(SearchError::from)
    }
}

/// The clients that search.
fn searchers<'a>(
    clients: &[&'a NodePlan],
    from: Option<&NodeName>,
) -> Result<Vec<&'a NodePlan>, SearchError> {
    let Some(from) = from else {
        return Ok(clients.to_vec());
    };
    match clients.iter().find(|client| client.name == *from) {
        Some(client) => Ok(vec![client]),
        None => Err(SearchError::NoSuchClient {
            node: from.clone(),
            known: clients.iter().map(|client| client.name.as_str()).collect::<Vec<_>>().join(", "),
        }),
    }
}
