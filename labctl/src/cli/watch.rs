//! `labctl watch`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use labctl::lab::{self, Lab};
use labctl::names::LabName;
use labctl::runtime::{RuntimeKind, Runtimes};
use labctl::watch::{App, Source, State, Terminal, View};

use super::interrupt::interrupted;

/// Shows a lab while it runs: nodes and gateways, links, NAT mappings, events.
///
/// The whole terminal is used; '?' shows the keys, 'q' ends. What is not on the screen is not asked for, so that a lab
/// of a thousand homes can be watched too.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    #[command(flatten)]
    lab: LabToSee,
    /// Take rates over this time.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
}

/// The lab that is looked at.
#[derive(Debug, clap::Args)]
pub struct LabToSee {
    /// The lab; not needed if there is only one.
    #[arg(add = super::completions::labs())]
    lab: Option<LabName>,
    /// The same, as other commands have it.
    #[arg(long = "lab", value_name = "NAME", conflicts_with = "lab", add = super::completions::labs())]
    named: Option<LabName>,
}

impl LabToSee {
    /// The lab, in whatever condition it is, and what runs its nodes.
    pub async fn find(&self, runtime: &Runtimes) -> anyhow::Result<(Lab, String)> {
        let found = lab::select(runtime, self.lab.as_ref().or(self.named.as_ref())).await?;
        let ran_by = found.runtime.as_ref().map(RuntimeKind::to_string).unwrap_or_default();
        Ok((Lab::to_look_at(found)?, ran_by))
    }
}

/// A time between two reports.
pub fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&time) {
        Ok(time)
    } else {
        Err("from 100ms to 1h are possible".to_owned())
    }
}

/// Runs `labctl watch`.
pub async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        Terminal::is_there(),
        "labctl watch needs a terminal\nmend: `labctl ps` and `labctl top --once` print what there is"
    );
    let runtime = Runtimes::find().await;
    let (lab, ran_by) = args.lab.find(&runtime).await?;
    let state = State::new(lab.plan(), &ran_by, View::Lab);
    show(state, Source::new(lab, Arc::new(runtime), args.interval)).await
}

/// Shows it on the terminal until the user or a signal ends it.
pub async fn show(state: State, source: Source) -> anyhow::Result<ExitCode> {
    let interrupt = interrupted()?;
    let app = App { state, terminal: Terminal::open()?, source };
    // The terminal is as before when this returns.
    match app.run(interrupt).await? {
        None => Ok(ExitCode::SUCCESS),
        Some(signal) => anyhow::bail!("ended by {signal}"),
    }
}
