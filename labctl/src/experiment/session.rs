//! A login experiment from beginning to end: on a lab that runs, or on one made for it.

use std::path::{Path, PathBuf};

use super::login::{LoginError, LoginExperiment, Options, Progress};
use super::record::TrialRecord;
use super::run::{Run, RunDescription};
use super::{RunningLab, kernel};
use crate::lab::{self, Lab, LabError, Observer, Programs};
use crate::plan::Plan;
use crate::runtime::{Runtime, RuntimeError};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// What to measure.
    pub options: &'a Options,
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
pub struct Measured {
    /// The run's directory.
    pub directory: PathBuf,
    /// Every trial.
    pub records: Vec<TrialRecord>,
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
    /// A signal.
    #[error("interrupted by {0}; trials that ended before are in the run's directory")]
    Interrupted(&'static str),
    /// The experiment stopped, and then the lab could not be removed.
    #[error("{0}; and then the lab could not be taken down: {1} ('labctl down' tries again)")]
    AndDown(Box<SessionError>, LabError),
}

impl Session<'_> {
    /// Measures on a lab that runs.
    pub async fn on_running(
        &self,
        lab: &Lab,
        runtime: &dyn Runtime,
        progress: &(dyn Fn(Progress) + Sync),
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<Measured, SessionError> {
        let measure = async {
            let ground = RunningLab { lab, runtime };
            let experiment = LoginExperiment::new(&ground, self.options).await?;
            let description = RunDescription {
                experiment: "login",
                labctl: env!("CARGO_PKG_VERSION"),
                kernel: kernel(),
                engine: runtime.check().await?,
                topology: self.topology,
                seed: self.options.seed,
                trials: self.options.trials,
                parallel: self.options.parallel,
                kinds: &self.options.kinds,
            };
            let mut run = Run::create(self.runs, lab.plan(), &description).map_err(LoginError::from)?;
            let records = experiment.run(&mut run, progress).await?;
            Ok(Measured { directory: run.directory().to_owned(), records })
        };
        tokio::select! {
            measured = measure => measured,
            signal = interrupt => Err(SessionError::Interrupted(signal)),
        }
    }

    /// Makes a lab, measures on it, and takes it down, also if measuring fails or a signal comes.
    pub async fn on_fresh(
        &self,
        fresh: Fresh<'_>,
        runtime: &dyn Runtime,
        observer: &dyn Observer,
        progress: &(dyn Fn(Progress) + Sync),
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<Measured, SessionError> {
        tokio::pin!(interrupt);
        let made = lab::up(runtime, fresh.plan, fresh.programs, observer, &mut interrupt).await?;
        let measured = self.on_running(&made.lab, runtime, progress, interrupt).await;
        if fresh.keep {
            return measured;
        }
        match (measured, lab::down(runtime, &fresh.plan.lab, observer).await) {
            (measured, Ok(_)) => measured,
            (Ok(_), Err(error)) => Err(error.into()),
            (Err(measured), Err(error)) => Err(SessionError::AndDown(Box::new(measured), error)),
        }
    }
}
