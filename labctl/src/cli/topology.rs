//! The arguments that change a topology, the same for every subcommand that reads one.

use std::path::{Path, PathBuf};

use labctl::names::LabName;
use labctl::profile::Catalogue;
use labctl::topology::{self, Overrides, Setting, Topology};

/// What the command line changes in a topology.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TopologyArgs {
    /// Name of the lab, in place of the one in the file.
    #[arg(long, value_name = "NAME")]
    name: Option<LabName>,
    /// Seed of everything random, in place of the one in the file.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Change one value of the file, such as `overlay.host_cache.stale=10%`. Can be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,
    /// A folder with profiles of your own in nat/ and firewall/; they win over the shipped ones.
    #[arg(long, value_name = "FOLDER")]
    profiles: Option<PathBuf>,
}

impl TopologyArgs {
    /// Loads a topology: a file, or a shipped one by its name.
    ///
    /// # Errors
    ///
    /// If the file or the profiles cannot be read or are not valid.
    pub fn load(&self, path: &Path) -> anyhow::Result<Topology> {
        let catalogue = match &self.profiles {
            Some(folder) => Catalogue::with_directory(folder)?,
            None => Catalogue::shipped(),
        };
        let overrides = Overrides { name: self.name.clone(), seed: self.seed, set: self.set.clone() };
        Ok(topology::load(path, &catalogue, &overrides)?)
    }
}
