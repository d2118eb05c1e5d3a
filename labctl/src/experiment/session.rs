//! An experiment from beginning to end: on a lab that runs, or on one made for it. The same for all experiments.

use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::call::CallError;
use super::login::LoginError;
use super::run::{Run, RunDescription, RunError};
use super::search::SearchError;
use super::sweep::SweepError;
use super::wan_events::{WanEventsError, WanWatch};
use super::{RunningLab, kernel};
use crate::lab::{self, Lab, LabError, Observer, Programs};
use crate::names::NodeName;
use crate::plan::Plan;
use crate::runtime::{Runtime, RuntimeError};

/// An experiment with its options: what a session has done on a lab.
pub trait Task: Sync {
    /// What goes on, for whoever watches.
    type Progress;
    /// What comes of it.
    type Records;

    /// What a run's `run.json` says of it.
    fn outline(&self) -> Outline;

    /// The clients whose figures it yields.
    fn measured(&self, plan: &Plan) -> Vec<NodeName>;

    /// What is done before on a network that is as the topology says, also if it is worse while the experiment
    /// measures.
    fn prepare(
        &self,
        ground: &RunningLab<'_>,
        progress: &(dyn Fn(Self::Progress) + Sync),
    ) -> impl Future<Output = Result<(), SessionError>> {
        let _ = (ground, progress);
        async { Ok(()) }
    }

    /// Looks whether the lab can be used, has the run's directory made, and measures.
    fn measure(
        &self,
        ground: &RunningLab<'_>,
        create: impl FnOnce() -> Result<Run, RunError>,
        progress: &(dyn Fn(Self::Progress) + Sync),
    ) -> impl Future<Output = Result<Measured<Self::Records>, SessionError>>;
}

/// An experiment in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// `login`, `search` or `call`.
    pub experiment: &'static str,
    /// Seed that the trials' seeds are made from.
    pub seed: u64,
    /// Trials of each kind.
    pub trials: u32,
    /// How many clients are measured side by side at the most; `None`: all.
    pub parallel: Option<usize>,
    /// What kinds of login, or which cases of search.
    pub kinds: Vec<&'static str>,
}

/// The point of a sweep that a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// What is swept: `loss`, `overlay.host_cache.stale`.
    pub parameter: String,
    /// Its value at this point, as it would be written: `5%`.
    pub value: String,
    /// The access links that have it, both ways; empty if it is no property of links.
    pub links: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a, T> {
    /// What to measure.
    pub options: &'a T,
    /// Where runs go.
    pub runs: &'a Path,
    /// The text of the topology file, if it is known.
    pub topology: Option<&'a str>,
}

/// A lab that is made for the session.
#[derive(Clone, Copy, Debug)]
pub struct Fresh<'a> {
    /// What it is made from.
    pub plan: &'a Plan,
    /// The programs that it is made of.
    pub programs: &'a Programs,
    /// Whether it stays afterwards.
    pub keep: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Measured<R> {
    /// The run's directory.
    pub directory: PathBuf,
    /// What was measured.
    pub records: R,
}

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The lab could not be made or removed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The runtime does not answer.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The experiment stopped.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The search experiment stopped.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The call experiment stopped.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The sweep cannot be made.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The experiment stopped, and then links could not be put back.
    #[error("{0}; and then {1}")]
    AndRestore(Box<SessionError>, SweepError),
    /// Records cannot be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What happened to the WAN could not be written down.
    #[error(transparent)]
    Wan(#[from] WanEventsError),
    /// A signal.
    #[error("interrupted by {0}; trials that ended before are in the run's directory")]
    Interrupted(&'static str),
    /// The experiment stopped, and then the lab could not be removed.
    #[error("{0}; and then the lab could not be taken down: {1} ('labctl down' tries again)")]
    AndDown(Box<SessionError>, LabError),
}

impl SessionError {
    /// True if a client could not log in: what a bad network can lead to, and is no fault of the lab's.
    #[must_use]
    pub fn is_a_clients(&self) -> bool {
        matches!(
            self,
            Self::Login(LoginError::NotOnline { .. })
                | Self::Search(
                    SearchError::NotPrepared { .. } | SearchError::Login(LoginError::NotOnline { .. })
                )
                | Self::Call(CallError::NotOnline { .. })
        )
    }
}

impl<T: Task> Session<'_, T> {
    /// Measures on a lab that runs.
    pub async fn on_running(
        &self,
        lab: &Lab,
        runtime: &dyn Runtime,
        progress: &(dyn Fn(T::Progress) + Sync),
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<Measured<T::Records>, SessionError> {
        let measure = async {
            let ground = RunningLab::new(lab, runtime);
            self.options.prepare(&ground, progress).await?;
            self.measure(&ground, None, &OnceLock::new(), progress).await
        };
        tokio::select! {
            measured = measure => measured,
            signal = interrupt => Err(SessionError::Interrupted(signal)),
        }
    }

    /// One run, all that must be done before having been done. `directory` gets the run's as soon as it is made.
    pub(super) async fn measure(
        &self,
        ground: &RunningLab<'_>,
        point: Option<&SweepPoint>,
        directory: &OnceLock<PathBuf>,
        progress: &(dyn Fn(T::Progress) + Sync),
    ) -> Result<Measured<T::Records>, SessionError> {
        let Outline { experiment, seed, trials, parallel, kinds } = self.options.outline();
        let description = RunDescription {
            experiment,
            labctl: env!("CARGO_PKG_VERSION"),
            kernel: kernel(),
            engine: ground.runtime.describe(ground.lab.name()).await?,
            topology: self.topology,
            seed,
            trials,
            parallel,
            kinds,
            sweep: point,
        };
        let mut events = WanWatch::begin(ground.lab).await?;
        let create = || {
            let run = Run::create(self.runs, ground.plan, &description)?;
            directory.get_or_init(|| run.directory().to_owned());
            events.write_to(run.directory())?;
            Ok(run)
        };
        let measured = self.options.measure(ground, create, progress).await;
        let written = events.end().await;
        let measured = measured?;
        written?;
        Ok(measured)
    }

    /// Makes a lab, measures on it, and takes it down, also if measuring fails or a signal comes.
    pub async fn on_fresh(
        &self,
        fresh: Fresh<'_>,
        runtime: &dyn Runtime,
        observer: &dyn Observer,
        progress: &(dyn Fn(T::Progress) + Sync),
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<Measured<T::Records>, SessionError> {
        let mut interrupt = pin!(interrupt);
        with_fresh_lab(fresh, runtime, observer, interrupt.as_mut(), async |lab, interrupt| {
            self.on_running(lab, runtime, progress, interrupt).await
        })
        .await
    }
}

/// Makes a lab, has something done on it, and takes it down, also if that fails or a signal comes.
pub async fn with_fresh_lab<T, I: Future<Output = &'static str>>(
    fresh: Fresh<'_>,
    runtime: &dyn Runtime,
    observer: &dyn Observer,
    mut interrupt: Pin<&mut I>,
    measure: impl AsyncFnOnce(&Lab, Pin<&mut I>) -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    let made = lab::up(runtime, fresh.plan, fresh.programs, observer, &mut interrupt).await?;
    let measured = measure(&made.lab, interrupt).await;
    if fresh.keep {
        return measured;
    }
    match (measured, lab::down(runtime, &fresh.plan.lab, observer).await) {
        (measured, Ok(_)) => measured,
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(measured), Err(error)) => Err(SessionError::AndDown(Box::new(measured), error)),
    }
}
