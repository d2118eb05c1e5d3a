//! `--set overlay.host_cache.stale=10%`: changes one value of a topology before it is read.

use std::str::FromStr;

use super::document::{Key, Tree, Value};
use super::problem::{Mark, Problem};

/// One value to set: the keys that lead to it, and its YAML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    path: Vec<String>,
    value: String,
}

/// Why a text is no [`Setting`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{found}' sets nothing; write the keys with dots between them, '=' and the value: overlay.host_cache.stale=10%"
)]
pub struct SetError {
    found: String,
}

impl FromStr for Setting {
    type Err = SetError;

    fn from_str(text: &str) -> Result<Self, SetError> {
        let error = || SetError { found: text.to_owned() };
        let (path, value) = text.split_once('=').ok_or_else(error)?;
        let path: Vec<String> = path.split('.').map(|key| key.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            Err(error())
        } else {
            Ok(Self { path, value: value.to_owned() })
        }
    }
}

impl Setting {
    /// What stands in messages in the place of a file's name.
    pub(super) fn source_name(&self) -> String {
        format!("--set {}={}", self.path.join("."), self.value)
    }

    /// Sets the value; keys that are not there yet are made. `source` is its index among the texts.
    pub(super) fn apply(&self, tree: &mut Tree, source: usize) -> Result<(), Problem> {
        let value = Tree::parse(&self.value, source)?;
        let at = Mark { source, ..Mark::default() };
        let mut target = tree;
        for name in &self.path {
            if target.value == Value::Null {
                target.value = Value::Map(Vec::new());
            }
            let found = target.value.describe();
            let Value::Map(entries) = &mut target.value else {
                return Err(Problem::new(at, format!("there is no key '{name}' to set in {found}"))
                    .mend("give the keys from the top of the file on, with dots between them"));
            };
            let index = entries.iter().position(|(key, _)| key.name == *name).unwrap_or_else(|| {
                entries.push((Key { at, name: name.clone() }, Tree { at, value: Value::Null }));
                entries.len() - 1
            });
            target = &mut entries[index].1;
        }
        *target = value;
        Ok(())
    }
}
