//! Which runtime a new lab gets.

use labctl::lab::{EngineChoice, LabError, Programs};
use labctl::runtime::{RuntimeChoice, RuntimeError, Runtimes};

/// The argument of every command that makes a lab.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct RuntimeArgs {
    /// What runs the nodes: 'docker', 'embedded' (no daemon), or 'auto': Docker Engine where this user may use
    /// it, else embedded. Without this, the environment variable
    /// `LABCTL_RUNTIME` says it.
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<RuntimeChoice>,
    /// What carries the WAN's packets: 'user' (labctl's own), 'kernel' (netem), or 'auto': the kernel where the result
    /// is exactly the same, packet by packet. Without this, the environment variable `LABCTL_WAN_ENGINE` says it.
    #[arg(long, value_name = "ENGINE")]
    wan_engine: Option<EngineChoice>,
}

impl RuntimeArgs {
    /// What is wanted: by the command line, else by the environment.
    pub fn choice(self) -> Result<RuntimeChoice, RuntimeError> {
        self.runtime.map_or_else(RuntimeChoice::from_environment, Ok)
    }

    /// What a new lab is made of.
    pub fn programs(self) -> Result<Programs, LabError> {
        let found = Programs::find()?;
        Ok(Programs { wan: self.wan_engine.unwrap_or(found.wan), ..found })
    }

    /// The runtimes of this machine, with the one chosen that new labs get.
    pub async fn connect(self) -> Result<Runtimes, RuntimeError> {
        Runtimes::connect(self.choice()?).await
    }
}
