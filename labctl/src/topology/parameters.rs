//! Finds the overlay's parameter file.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use overlay_protocol::{ParameterFile, Parameters};

/// The parameter files that come with labctl.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../node-image/parameters");

/// The shipped parameter file with this name: values with their sources.
#[must_use]
pub fn shipped_parameters(name: &str) -> Option<ParameterFile> {
    let text = SHIPPED.get_file(format!("{name}.yaml"))?.contents_utf8()?;
    serde_yaml::from_str(text).ok()
}

/// Where parameter files are looked for.
#[derive(Debug, Default)]
pub(crate) struct Finder<'a> {
    /// Folder of the topology file; `None` if it comes from no file.
    pub(crate) beside: Option<&'a Path>,
}

impl Finder<'_> {
    /// The parameters with this name: a path if it looks like one, else `NAME.yaml` beside the topology,
    /// else the shipped one.
    ///
    /// # Errors
    ///
    /// What is wrong, and what mends it.
    pub(crate) fn find(&self, name: &str) -> Result<Parameters, (String, String)> {
        let (place, text) = self.text(name)?;
        let file: ParameterFile = serde_yaml::from_str(&text).map_err(|error| {
            (format!("{place} is no parameter file: {error}"), "mend that file".to_owned())
        })?;
        file.parameters().map_err(|error| (format!("{place}: {error}"), "mend that file".to_owned()))
    }

    fn text(&self, name: &str) -> Result<(String, String), (String, String)> {
        let read = |path: &Path| {
            let place = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => Ok((place, text)),
                Err(error) => Err((
                    format!("cannot read the parameter file {place}: {error}"),
                    "give the path of one, or the name of a shipped one".to_owned(),
                )),
            }
        };
        let folder = self.beside.unwrap_or(Path::new(""));
        let file = PathBuf::from(format!("{name}.yaml"));
        if name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "yaml") {
            return read(&folder.join(name));
        }
        if self.beside.is_some() && folder.join(&file).is_file() {
            return read(&folder.join(&file));
        }
        let shipped = SHIPPED.get_file(&file).and_then(include_dir::File::contents_utf8);
        shipped.map(|text| (format!("{name}.yaml"), text.to_owned())).ok_or_else(|| {
            let known: Vec<_> =
                SHIPPED.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
            let mend = super::problem::did_you_mean(name, known);
            (
                format!("unknown parameter file '{name}'"),
                format!("{mend} A file {name}.yaml beside the topology would be found too"),
            )
        })
    }
}
