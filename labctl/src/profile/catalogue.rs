//! The profiles that a topology can name: those that come with labctl, and the user's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::read;
use super::{FirewallProfile, NatProfile};
use crate::topology::document::Tree;
use crate::topology::problem::{Problem, Problems, Source};

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../nat-profiles");

/// Folder of the NAT profiles, in the shipped catalogue and in a user's.
const NAT: &str = "nat";
/// Folder of the firewall profiles.
const FIREWALL: &str = "firewall";

/// NAT and firewall profiles by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    nat: BTreeMap<String, NatProfile>,
    firewall: BTreeMap<String, FirewallProfile>,
}

/// Why a user's profiles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A folder or file cannot be read.
    #[error("cannot read the profiles in {}: {source}\nmend: give a folder that has `nat/` or `firewall/` with .yaml files in it", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder has none of the two folders that hold profiles.
    #[error("{} has no profiles\nmend: put NAT profiles in {}/nat and firewall profiles in {}/firewall", path.display(), path.display(), path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// Files that are no valid profiles.
    #[error("{0}")]
    Invalid(Problems),
}

/// A profile file before it is read.
struct File {
    /// Name of the profile.
    name: String,
    /// For messages.
    path: String,
    text: String,
}

impl Catalogue {
    /// The profiles that come with labctl.
    ///
    /// # Panics
    ///
    /// Never: a test reads every one of them.
    #[must_use]
    pub fn shipped() -> Self {
        let files = |folder| {
            let entries = SHIPPED.get_dir(folder).into_iter().flat_map(Dir::files);
            entries
                .filter_map(|file| {
                    Some(File {
                        name: file.path().file_stem()?.to_str()?.to_owned(),
                        path: format!("nat-profiles/{}", file.path().display()),
                        text: file.contents_utf8()?.to_owned(),
                    })
                })
                .collect()
        };
        let mut catalogue = Self::default();
        catalogue.add(files(NAT), files(FIREWALL)).expect("a test reads every shipped profile");
        catalogue
    }

    /// The shipped profiles and those of a folder, which win where both have a name.
    ///
    /// The folder has `nat/*.yaml`, `firewall/*.yaml` or both.
    ///
    /// # Errors
    ///
    /// [`CatalogueError`], with file, line and column of every mistake in every file.
    pub fn with_directory(directory: &Path) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::shipped();
        let nat = read_folder(&directory.join(NAT))?;
        let firewall = read_folder(&directory.join(FIREWALL))?;
        if nat.is_empty() && firewall.is_empty() {
            // A folder that is not there at all says so itself.
            std::fs::read_dir(directory)
                .map_err(|source| CatalogueError::Read { path: directory.to_owned(), source })?;
            return Err(CatalogueError::Empty { path: directory.to_owned() });
        }
        catalogue.add(nat, firewall).map_err(CatalogueError::Invalid)?;
        Ok(catalogue)
    }

    /// The NAT profile of that name.
    #[must_use]
    pub fn nat(&self, name: &str) -> Option<&NatProfile> {
        self.nat.get(name)
    }

    /// The firewall profile of that name.
    #[must_use]
    pub fn firewall(&self, name: &str) -> Option<&FirewallProfile> {
        self.firewall.get(name)
    }

    /// Names of the NAT profiles, sorted.
    pub fn nat_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.nat.keys().map(String::as_str)
    }

    /// Names of the firewall profiles, sorted.
    pub fn firewall_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.firewall.keys().map(String::as_str)
    }

    fn add(&mut self, nat: Vec<File>, firewall: Vec<File>) -> Result<(), Problems> {
        let mut reading = Reading::default();
        for file in nat {
            if let Some(profile) = reading.read(&file, read::nat_file) {
                self.nat.insert(file.name, profile);
            }
        }
        for file in firewall {
            if let Some(profile) = reading.read(&file, read::firewall_file) {
                self.firewall.insert(file.name, profile);
            }
        }
        if reading.problems.is_empty() {
            Ok(())
        } else {
            Err(Problems::new(reading.sources, reading.problems))
        }
    }
}

/// What was found wrong so far, over several files.
#[derive(Default)]
struct Reading {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

impl Reading {
    fn read<T>(
        &mut self,
        file: &File,
        profile: impl FnOnce(&str, &Tree) -> Result<T, Vec<Problem>>,
    ) -> Option<T> {
        let source = self.sources.len();
        self.sources.push(Source { name: file.path.clone(), text: file.text.clone() });
        let read = Tree::parse(&file.text, source).map_err(|problem| vec![problem]);
        match read.and_then(|tree| profile(&file.name, &tree)) {
            Ok(profile) => Some(profile),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }
}

/// The profile files of a folder; none if there is no such folder.
fn read_folder(folder: &Path) -> Result<Vec<File>, CatalogueError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CatalogueError::Read { path, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(folder))?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
        if path.extension().is_some_and(|extension| extension == "yaml")
            && let Some(name) = name
        {
            let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
            files.push(File { name, path: path.display().to_string(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
