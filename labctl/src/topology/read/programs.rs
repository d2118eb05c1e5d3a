//! What a node runs that is not the overlay's: `command:`, `image:` and `environment:`; with what is around it:
//! `root:`, `mounts:`, `restart:` and `health:`.

mod surroundings;

use super::super::document::Value;
use super::super::fields::{Fields, Item, Located};
use super::super::program::{Mount, Template, TemplateError, split};
use overlay_control::restart::RestartPolicy;
use std::path::PathBuf;
pub(crate) use surroundings::RawHealth;

/// A program of the file, its placeholders not yet resolved.
#[derive(Debug)]
pub(crate) struct RawProgram {
    pub(crate) image: Option<String>,
    pub(crate) command: Vec<Located<Template>>,
    pub(crate) environment: Vec<(String, Located<Template>)>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) restart: RestartPolicy,
    pub(crate) health: Option<RawHealth>,
}

/// The keys of a program.
const KEYS: [&str; 7] = ["command", "image", "environment", "root", "mounts", "restart", "health"];

/// The program of a node without a role; `None` if the node has none either, or if it could not be read.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<RawProgram> {
    let command = fields.take("command");
    let image = fields.take("image");
    let environment = fields.take("environment");
    let around = surroundings::read(fields, image.is_some());
    if command.is_none() && image.is_none() {
        let misspelt = fields.has_like(&["role", "command", "image"]);
        if !misspelt {
            fields.report(
                fields.at(),
                "nothing says what it runs",
                "give it a role (client, super-node, login-server), a command: [program, argument], or an image",
            );
        }
        return None;
    }
    let has_command = command.is_some();
    let words = command.as_ref().map(command_words);
    let name = image.as_ref().map(image_name);
    let environment = environment.map(|item| variables(&item)).unwrap_or_default();
    let command = words.unwrap_or(Some(Vec::new()))?;
    let image = name.map_or(Some(None), |name| name.map(Some))?;
    if has_command && command.is_empty() {
        return None;
    }
    let surroundings::Surroundings { root, mounts, restart, health } = around;
    Some(RawProgram { image, command, environment, root, mounts, restart, health })
}

/// The words of a command: a list of them, or a line that is split. Reported and `None` if there is no
/// program.
fn command_words(item: &Item<'_>) -> Option<Vec<Located<Template>>> {
    const EXPECTED: &str = "a program and its arguments, such as [stund, -v] or 'stund -v'";
    let words = match &item.tree.value {
        Value::Text(text) => match split(text) {
            Ok(words) => words.into_iter().map(|word| template(item, &word)).collect::<Option<Vec<_>>>()?,
            Err(error) => {
                item.report(format_args!("cannot be split into words: {error}"), error.mend());
                return None;
            }
        },
        Value::List(_) => {
            let words = item.list().into_iter().map(|item| word(&item)).collect::<Vec<_>>();
            words.into_iter().collect::<Option<Vec<_>>>()?
        }
        _ => {
            item.expected(EXPECTED, "");
            return None;
        }
    };
    if words.first().is_none_or(|program| program.value.0.is_empty()) {
        item.report("the command names no program", format!("write {EXPECTED}"));
        return None;
    }
    Some(words)
}

/// Text or a number, with placeholders.
fn word(item: &Item<'_>) -> Option<Located<Template>> {
    match &item.tree.value {
        Value::Text(text) => template(item, text),
        Value::Whole(number) => template(item, &number.to_string()),
        _ => {
            item.expected("text or a whole number", "put it in quotes if it is meant as text");
            None
        }
    }
}

fn template(item: &Item<'_>, text: &str) -> Option<Located<Template>> {
    if text.contains('\0') {
        item.report("no program can be given a NUL character", "leave it out");
        return None;
    }
    match Template::parse(text) {
        Ok(value) => Some(Located { at: item.at(), value }),
        Err(error) => {
            item.report(error, TemplateError::MEND);
            None
        }
    }
}

fn image_name(item: &Item<'_>) -> Option<String> {
    let name = item.text("the name of an image that the container engine has")?.value;
    if name.is_empty() || name.starts_with('-') || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        item.report(
            format_args!("'{name}' cannot be the name of an image"),
            "name one of those that 'docker image ls' shows, such as debian:12",
        );
        return None;
    }
    Some(name.to_owned())
}

fn variables(item: &Item<'_>) -> Vec<(String, Located<Template>)> {
    let Some(mut block) = item.fields(item.place()) else { return Vec::new() };
    let mut variables = Vec::new();
    for (key, item) in block.rest() {
        let mut chars = key.name.chars();
        let valid = chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            let message = format!("'{}' cannot be the name of an environment variable", key.name);
            block.report(key.at, message, "take letters, digits and '_', and no digit first");
            continue;
        }
        variables.extend(word(&item).map(|value| (key.name.clone(), value)));
    }
    variables
}

/// Reports keys of a program on a node that has a role.
pub(super) fn refuse(fields: &mut Fields<'_>, role: &str) {
    let why = format!("a node with the role '{role}' runs the overlay's own program");
    let mend = "keep either the role or the program";
    for key in KEYS {
        fields.refuse(key, &why, mend);
    }
}
