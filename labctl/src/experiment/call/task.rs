//! Calls between the same two clients, one after another, as a task of a session.

use super::record::CallRecord;
use overlay_control::CallEvent;

use super::{CallError, CallOptions, Measured as Call, Told, ends, log_in, measure};
use crate::experiment::RunningLab;
use crate::experiment::live::Doing;
use crate::experiment::login::Ground as _;
use crate::experiment::run::{Run, RunError};
use crate::experiment::session::{Measured, Outline, SessionError, Task};
use crate::names::NodeName;
use crate::plan::Plan;

/// Some calls.
#[derive(Clone, Debug)]
pub struct Calls {
    /// What each is like.
    pub options: CallOptions,
    /// How many, at least 1.
    pub trials: u32,
}

/// What goes on, for whoever watches.
#[derive(Clone, Debug)]
pub enum Progress {
    /// So many clients log in.
    LoggingIn(usize),
    /// Calls begin: so many, one after another.
    Calling(usize),
    /// An end of a call is at this point.
    Client(NodeName, Doing<CallEvent>),
    /// A call ended. It has this number, from 1.
    Ended(u32, Box<CallRecord>),
}

impl Task for Calls {
    type Progress = Progress;
    type Records = Vec<CallRecord>;

    fn outline(&self) -> Outline {
        let (seed, trials) = (self.options.seed, self.trials);
        Outline { experiment: "call", seed, trials, parallel: None, kinds: Vec::new() }
    }

    fn measured(&self, _: &Plan) -> Vec<NodeName> {
        vec![self.options.from.clone(), self.options.to.clone()]
    }

    async fn prepare(
        &self,
        ground: &RunningLab<'_>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), SessionError> {
        progress(Progress::LoggingIn(ends(ground.plan, &self.options)?.len()));
        Ok(log_in(ground, &self.options).await?)
    }

    async fn measure(
        &self,
        ground: &RunningLab<'_>,
        create: impl FnOnce() -> Result<Run, RunError>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Measured<Self::Records>, SessionError> {
        let mut run = create()?;
        ground.begin().await.map_err(CallError::Schedule)?;
        progress(Progress::Calling(self.trials as usize));
        let told: Told<'_> = &|client, doing| progress(Progress::Client(client.clone(), doing));
        let mut records = Vec::new();
        for number in 1..=self.trials {
            let prefix = if self.trials == 1 { String::new() } else { format!("{number:03}-") };
            let Call { record, events } =
                measure(ground, &self.options, run.directory(), &prefix, told).await?;
            run.write(&format!("{prefix}call-events.ndjson"), &events)?;
            progress(Progress::Ended(number, Box::new(record.clone())));
            // What there is is written down after each, should the next one be interrupted.
            run.add_call(&record)?;
            records.push(record);
        }
        Ok(Measured { directory: run.directory().to_owned(), records })
    }
}
