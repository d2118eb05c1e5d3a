//! Where a topology comes from: a file, a shipped one, or text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::document::{MAX_BYTES, Tree};
use super::fields::Reporter;
use super::parameters::Finder;
use super::problem::{Problem, Problems, Source, TopologyErrors};
use super::{Setting, Topology, read, resolve};
use crate::names::LabName;
use crate::profile::Catalogue;

/// The topologies that come with labctl.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../topologies");

/// What the command line changes in a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Name of the lab (`--name`).
    pub name: Option<LabName>,
    /// Seed (`--seed`).
    pub seed: Option<u64>,
    /// Any other value (`--set`), in the order in which they take effect.
    pub set: Vec<Setting>,
}

/// The shipped topologies: name (`expC`) and text, by name.
pub fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED
        .files()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?)))
}

/// Loads a topology from a file. If there is no such file, `expC`, `expC.yaml` and `topologies/expC.yaml`
/// mean the shipped topology of that name.
///
/// # Errors
///
/// If there is no such file, or it cannot be read, or is no valid topology.
pub fn load(path: &Path, catalogue: &Catalogue, overrides: &Overrides) -> Result<Topology, TopologyErrors> {
    let name = path.display().to_string();
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(TopologyErrors::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
        }
        Err(error) => {
            let shipped = (error.kind() == io::ErrorKind::NotFound).then(|| find_shipped(path)).flatten();
            return match shipped {
                Some(text) => parse_beside(text, &name, None, catalogue, overrides),
                None => Err(TopologyErrors::Read { path: path.to_owned(), error, shipped: shipped_names() }),
            };
        }
    };
    parse_beside(&text, &name, Some(path.parent().unwrap_or(Path::new(""))), catalogue, overrides)
}

/// Parses and checks the text of a topology; `name` stands for it in messages.
///
/// # Errors
///
/// All mistakes in it.
pub fn parse(
    text: &str,
    name: &str,
    catalogue: &Catalogue,
    overrides: &Overrides,
) -> Result<Topology, TopologyErrors> {
    parse_beside(text, name, None, catalogue, overrides)
}

fn shipped_names() -> String {
    shipped().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

fn find_shipped(path: &Path) -> Option<&'static str> {
    let folder = path.parent()?;
    if folder != Path::new("") && folder != Path::new("topologies") {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    if path.extension().is_some_and(|extension| extension != "yaml") {
        return None;
    }
    shipped().find(|(name, _)| *name == stem).map(|(_, text)| text)
}

fn read_text(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mut text = String::new();
    // One byte more than is allowed tells a file that is too large, without trusting its length.
    let bytes = file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if bytes > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

fn parse_beside(
    text: &str,
    name: &str,
    beside: Option<&Path>,
    catalogue: &Catalogue,
    overrides: &Overrides,
) -> Result<Topology, TopologyErrors> {
    if text.len() > MAX_BYTES {
        return Err(TopologyErrors::TooLarge { path: name.into(), limit: MAX_BYTES });
    }
    let mut sources = vec![Source { name: name.to_owned(), text: text.to_owned() }];
    // The name of such a source shows its value, so that there is no line to show.
    sources.extend(overrides.set.iter().map(|set| Source { name: set.source_name(), text: String::new() }));
    let (topology, problems) = check(text, beside, catalogue, overrides);
    match topology {
        Some(topology) if problems.is_empty() => Ok(topology),
        _ => Err(TopologyErrors::Invalid(Problems::new(sources, problems))),
    }
}

fn check(
    text: &str,
    beside: Option<&Path>,
    catalogue: &Catalogue,
    overrides: &Overrides,
) -> (Option<Topology>, Vec<Problem>) {
    let mut tree = match Tree::parse(text, 0) {
        Ok(tree) => tree,
        Err(problem) => return (None, vec![problem]),
    };
    for (index, setting) in overrides.set.iter().enumerate() {
        if let Err(problem) = setting.apply(&mut tree, index + 1) {
            return (None, vec![problem]);
        }
    }
    let reporter = Reporter::default();
    let topology = read::topology(&tree, catalogue, &reporter).and_then(|mut raw| {
        raw.seed = overrides.seed.unwrap_or(raw.seed);
        resolve::topology(raw, overrides.name.clone(), &Finder { beside }, &reporter)
    });
    (topology, reporter.into_problems())
}
