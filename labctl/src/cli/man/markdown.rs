//! The command line as a page of Markdown.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, Command};

const HEAD: &str = "# Commands

What `labctl --help` and `labctl COMMAND --help` say, on one page. `labctl man --markdown` writes it, and a test keeps
it in step.
";

/// The reference of a command and of all that is below it.
pub(super) fn reference(command: Command) -> String {
    let mut text = HEAD.to_owned();
    for command in super::visible(command) {
        section(&command, &mut text);
    }
    text
}

fn section(command: &Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace("\n       ", "\n");
    put(text, format_args!("\n## {name}\n"));
    if let Some(about) = about(command.get_long_about().or_else(|| command.get_about())) {
        put(text, format_args!("\n{about}\n"));
    }
    put(text, format_args!("\n```\n{}\n```\n", usage.trim()));
    let subcommands: Vec<&Command> = command.get_subcommands().filter(|below| !below.is_hide_set()).collect();
    if !subcommands.is_empty() {
        put(text, format_args!("\n| command | does |\n| --- | --- |\n"));
        for below in subcommands {
            let about = about(below.get_about()).unwrap_or_default();
            put(text, format_args!("| [`{}`](#{}) | {about} |\n", below.get_name(), anchor(name, below)));
        }
    }
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| is_shown(arg)).collect();
    if !arguments.is_empty() {
        put(text, format_args!("\n| argument | meaning |\n| --- | --- |\n"));
        for argument in arguments {
            put(text, format_args!("| {} | {} |\n", form(argument), meaning(argument)));
        }
    }
}

/// What every command has says nothing about this one.
fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

/// The name that Markdown viewers give to a heading.
fn anchor(name: &str, below: &Command) -> String {
    format!("{name} {}", below.get_name()).replace(' ', "-")
}

fn form(argument: &Arg) -> String {
    if argument.is_positional() {
        return format!("`{argument}`").replace('|', "\\|");
    }
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    format!("{short}`{argument}`").replace('|', "\\|")
}

fn meaning(argument: &Arg) -> String {
    let mut text = about(argument.get_long_help().or_else(|| argument.get_help())).unwrap_or_default();
    let values = argument.get_possible_values();
    if argument.get_action().takes_values() && !values.is_empty() {
        let values = values.iter().filter(|value| !value.is_hide_set());
        let values: Vec<String> = values.map(|value| format!("`{}`", value.get_name())).collect();
        put(&mut text, format_args!(" One of {}.", values.join(", ")));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        put(&mut text, format_args!(" Left out: `{}`.", defaults.join(" ")));
    }
    text.trim().replace('|', "\\|")
}

/// Help as one line that ends with a full stop.
fn about(text: Option<&StyledStr>) -> Option<String> {
    let mut text = text?.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    // Left as a tag, a viewer would hide it.
    text = text.replace('<', "&lt;");
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    Some(text)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a text takes all that is written to it");
}
