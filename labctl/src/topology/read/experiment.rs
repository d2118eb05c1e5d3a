//! The `experiment:` section.

use std::collections::BTreeMap;

use super::super::document::Value;
use super::super::fields::{Item, Located};
use super::nodes::words;

/// The `experiment:` section.
#[derive(Debug, Default)]
pub(crate) struct RawExperiment {
    /// `None`: every client that is not in `online`.
    pub(crate) measure: Option<Vec<Located<String>>>,
    pub(crate) online: Vec<Located<String>>,
    pub(crate) notes: BTreeMap<String, String>,
}

pub(super) fn read(item: &Item<'_>) -> Option<RawExperiment> {
    let mut fields = item.fields("experiment")?;
    let measure = fields.take("measure").as_ref().map(words);
    let online = fields.take("online").as_ref().map(words).unwrap_or_default();
    let mut notes = BTreeMap::new();
    if let Some(mut block) = fields.take("notes").and_then(|item| item.fields("experiment: notes")) {
        for (key, item) in block.rest() {
            let text = match &item.tree.value {
                Value::Text(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::Whole(value) => value.to_string(),
                Value::Fraction(value) => value.to_string(),
                Value::Null | Value::List(_) | Value::Map(_) => {
                    item.expected("one line of text", "");
                    continue;
                }
            };
            notes.insert(key.name.clone(), text);
        }
    }
    fields.close();
    Some(RawExperiment { measure, online, notes })
}
