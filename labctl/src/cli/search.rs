//! `labctl experiment search`.

use labctl::experiment::search::record::Case;
use labctl::experiment::search::{Options, Progress};
use labctl::names::NodeName;
use labctl::plan::Plan;

use super::experiment::{TrialArgs, measured};
use super::measure::Watch;
use super::task::{self, LabArgs, OutputArgs, SweepArgs};

/// Lets clients search for users, and measures time, bytes and nodes from outside.
///
/// The default is all cases: a user who is online (cold, then warm: from the cache), one who has logged out, one
/// whose record has expired, and one who never existed.
#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    #[command(flatten)]
    pub lab: LabArgs,
    /// The client that searches; the default is all that the topology measures.
    #[arg(long, value_name = "NODE")]
    from: Option<NodeName>,
    /// Search for this user only, cold and warm. A client that stays online is logged in under its own name.
    #[arg(long, value_name = "NAME", value_parser = user_name)]
    user: Option<String>,
    /// Search only for users who never existed.
    #[arg(long, conflicts_with = "user")]
    missing: bool,
    /// Let the clients search for each other, all at once, cold and warm.
    #[arg(long, conflicts_with_all = ["user", "missing", "from"])]
    mutual: bool,
    #[command(flatten)]
    trials: TrialArgs,
    #[command(flatten)]
    sweep: SweepArgs,
}

fn user_name(text: &str) -> Result<String, String> {
    overlay_protocol::UserName::new(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

impl task::Experiment for SearchArgs {
    type Task = Options;

    fn lab(&self) -> &LabArgs {
        &self.lab
    }

    fn output(&self) -> &OutputArgs {
        &self.trials.output
    }

    fn sweep(&self) -> &SweepArgs {
        &self.sweep
    }

    fn seed(&self) -> Option<u64> {
        self.trials.seed
    }

    fn task(&self, plan: &Plan, seed: u64) -> anyhow::Result<Options> {
        let clients = if self.from.is_some() { 1 } else { measured(plan) };
        Ok(Options {
            trials: self.trials.trials.unwrap_or(clients),
            cases: match (self.missing, self.mutual || self.user.is_some()) {
                (true, _) => vec![Case::Unknown],
                (false, true) => vec![Case::Cold, Case::Warm],
                (false, false) => Case::ALL.to_vec(),
            },
            mutual: self.mutual,
            from: self.from.clone(),
            user: self.user.clone(),
            seed,
            parallel: self.trials.parallel.map(usize::from),
        })
    }

    fn show(watch: &Watch, event: Progress) {
        show(watch, event);
    }
}

fn show(watch: &Watch, event: Progress) {
    match event {
        Progress::GoingOnline(clients) => {
            watch.begin("logging in clients that stay online", clients);
        }
        Progress::Preparing { wave, waves, clients } => {
            watch.begin(&format!("clients and users of wave {wave} of {waves} log in"), clients);
        }
        Progress::Searching(case, clients) => watch.begin(&format!("searches, {}", case.as_str()), clients),
        Progress::Client(client, doing) => {
            watch.clients().search(client.as_str(), doing);
            watch.summarise();
        }
        Progress::Ended(record) => {
            watch.clients().end(record.client.as_str(), record.failure.is_some());
            watch.advance();
            let name = format!("{} {} on {}", record.case.as_str(), record.trial, record.client);
            if let Some(failure) = &record.failure {
                watch.line(&format!("{name}: FAILED: {}", failure.detail));
            }
        }
    }
}
