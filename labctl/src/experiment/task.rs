//! Logins and searches as tasks of a session.

use super::RunningLab;
use super::login::{self, LoginError, LoginExperiment};
use super::record::TrialRecord;
use super::run::{Run, RunError};
use super::search::record::Case;
use super::search::{self, Measurements, SearchError, SearchExperiment, login_options};
use super::session::{Measured, Outline, SessionError, Task};
use crate::names::NodeName;
use crate::plan::Plan;

fn measured(plan: &Plan) -> Vec<NodeName> {
    plan.overlay.as_ref().map(|overlay| overlay.measure.clone()).unwrap_or_default()
}

impl Task for login::Options {
    type Progress = login::Progress;
    type Records = Vec<TrialRecord>;

    fn outline(&self) -> Outline {
        Outline {
            experiment: "login",
            seed: self.seed,
            trials: self.trials,
            parallel: self.parallel,
            kinds: self.kinds.iter().map(|kind| kind.as_str()).collect(),
        }
    }

    fn measured(&self, plan: &Plan) -> Vec<NodeName> {
        measured(plan)
    }

    async fn measure(
        &self,
        ground: &RunningLab<'_>,
        create: impl FnOnce() -> Result<Run, RunError>,
        progress: &(dyn Fn(Self::Progress) + Sync),
    ) -> Result<Measured<Self::Records>, SessionError> {
        let experiment = LoginExperiment::new(ground, self).await?;
        let mut run = create().map_err(LoginError::from)?;
        let records = experiment.run(&mut run, progress).await?;
        Ok(Measured { directory: run.directory().to_owned(), records })
    }
}

impl Task for search::Options {
    type Progress = search::Progress;
    type Records = Measurements;

    fn outline(&self) -> Outline {
        Outline {
            experiment: "search",
            seed: self.seed,
            trials: self.trials,
            parallel: self.parallel,
            kinds: self.cases.iter().copied().map(Case::as_str).collect(),
        }
    }

    fn measured(&self, plan: &Plan) -> Vec<NodeName> {
        self.from.clone().map_or_else(|| measured(plan), |from| vec![from])
    }

    async fn measure(
        &self,
        ground: &RunningLab<'_>,
        create: impl FnOnce() -> Result<Run, RunError>,
        progress: &(dyn Fn(Self::Progress) + Sync),
    ) -> Result<Measured<Self::Records>, SessionError> {
        let login = login_options(self);
        let experiment = SearchExperiment::new(ground, self, &login).await?;
        let mut run = create().map_err(LoginError::from).map_err(SearchError::from)?;
        let records = experiment.run(&mut run, progress).await?;
        Ok(Measured { directory: run.directory().to_owned(), records })
    }
}
