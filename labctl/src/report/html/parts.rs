//! Parts of the page that all experiments share: tables, topologies, parameters, and how to measure again.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};

use super::material::{Material, Origin};
use crate::graph::{Picture, svg_in_page};
use crate::plan::Plan;
use crate::report::published::BYTES_PER_KB;
use crate::report::statistics::Spread;
use crate::topology::shipped_parameters;

/// What a box is.
pub const HOW_TO_READ_A_BOX: &str = "A box reaches from the lower to the upper quarter, its thick line is the median, its \
    whiskers reach to the least and the greatest; every dot is one trial.";

/// What the arrows of a ladder are.
pub fn how_to_read_a_ladder() -> Markup {
    html! {
        p {
            "Time flows down. Broken blue arrows are UDP, whole brown ones TCP. Opening packets of TCP connections (SYN) carry \
            no payload; acknowledgements are not drawn."
        }
    }
}

/// A table that can be scrolled sideways where it is too wide. `labelled_by` is the id of its heading.
pub fn table(labelled_by: &str, caption: &str, columns: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-labelledby=(labelled_by) {
            table {
                caption { span { (caption) } }
                thead { tr { @for title in columns { th scope="col" { (title) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A picture that can be scrolled sideways where it is too wide. `title` is the id of its title.
pub fn figure(title: &str, picture: &Markup) -> Markup {
    html! { figure.scroll tabindex="0" role="group" aria-labelledby=(title) { (picture) } }
}

/// Whether a figure is as published.
pub fn judged(within: Option<bool>) -> Markup {
    match within {
        Some(true) => html! { span.pass { "✓ pass" } },
        Some(false) => html! { span.fail { "✗ FAIL" } },
        None => html! { "not compared" },
    }
}

/// A number of trials that failed.
pub fn failed(count: usize) -> Markup {
    html! { @if count > 0 { span.fail { (count) } } @else { "0" } }
}

/// Trials that failed, each with its name and why; nothing of none.
pub fn failures(failures: Vec<(String, String)>) -> Markup {
    html! {
        @if !failures.is_empty() {
            details {
                summary { "What failed" }
                ul { @for (name, why) in failures { li { (name) ": " (why) } } }
            }
        }
    }
}

/// Where there is no figure.
pub fn nothing() -> String {
    "–".to_owned()
}

/// The cell of a spread: the median, and below it, where they differ, the least and the most.
pub fn cell<T>(spread: Option<Spread<T>>, words: impl Fn(T) -> String) -> Markup {
    html! { td.number { (in_cell(spread, words)) } }
}

/// What is in such a cell.
pub fn in_cell<T>(spread: Option<Spread<T>>, words: impl Fn(T) -> String) -> Markup {
    html! {
        @match spread {
            None => "–",
            Some(Spread { min, median, max }) => {
                (words(median))
                @let (least, most) = (words(min), words(max));
                @if least != most { " " span.range { "(" (least) " to " (most) ")" } }
            }
        }
    }
}

/// The cell of real numbers with so many places.
pub fn reals(spread: Option<Spread<f64>>, places: usize) -> Markup {
    cell(spread, |value| format!("{value:.places$}"))
}

/// The cell of whole numbers.
pub fn counts(spread: Option<Spread<u64>>) -> Markup {
    cell(spread, |value| value.to_string())
}

/// The cell of a median alone.
pub fn median<T>(spread: Option<Spread<T>>, words: impl FnOnce(T) -> String) -> Markup {
    html! { td.number { (spread.map_or_else(nothing, |spread| words(spread.median))) } }
}

/// Bytes as KB.
pub fn kilobyte(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / BYTES_PER_KB)
}

/// The first run of each set-up.
fn one_of_each(material: &Material) -> Vec<Origin<'_>> {
    let mut known = BTreeSet::new();
    material.origins().filter(|origin| known.insert(origin.set_up)).collect()
}

/// Each set-up's lab as a picture.
pub fn topologies(material: &Material) -> Markup {
    html! {
        section aria-labelledby="topologies" {
            h2 id="topologies" { "Topologies" }
            @for origin in one_of_each(material) {
                h3 { (origin.set_up) }
                @let id = format!("topology-{}", origin.set_up);
                (figure(&format!("{id}-title"), &PreEscaped(svg_in_page(&Picture::of(origin.plan), &id))))
            }
        }
    }
}

/// The overlay's parameters with their sources, once for each set of values.
pub fn parameters(material: &Material) -> Markup {
    let mut tables: Vec<(&Plan, Vec<&str>)> = Vec::new();
    for origin in one_of_each(material) {
        let Some(overlay) = &origin.plan.overlay else { continue };
        let same = |plan: &Plan| {
            plan.overlay.as_ref().is_some_and(|other| {
                (&other.profile, &other.parameters) == (&overlay.profile, &overlay.parameters)
            })
        };
        match tables.iter_mut().find(|(plan, _)| same(plan)) {
            Some((_, names)) => names.push(origin.set_up),
            None => tables.push((origin.plan, vec![origin.set_up])),
        }
    }
    html! {
        section aria-labelledby="parameters" {
            h2 id="parameters" { "Parameters and their sources" }
            @if tables.is_empty() { p { "The labs have no overlay." } }
            @for (plan, names) in tables { (parameter_table(plan, &names.join(", "))) }
        }
    }
}

/// A parameter of a run: name, value, unit, source, why.
fn parameter_rows(plan: &Plan) -> Vec<[String; 5]> {
    let Some(overlay) = &plan.overlay else { return Vec::new() };
    let values = serde_json::to_value(&overlay.parameters).unwrap_or_default();
    let shipped = shipped_parameters(&overlay.profile).and_then(|file| serde_json::to_value(file).ok());
    let fields = values.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| {
            let said = shipped.as_ref().and_then(|file| file.get(name));
            let text = |field: &str| {
                let text = said.and_then(|said| said.get(field)).and_then(serde_json::Value::as_str);
                text.unwrap_or("–").to_owned()
            };
            // What a file beside the topology said is not in the run's directory.
            if said.and_then(|said| said.get("value")) == Some(value) {
                [name.clone(), value.to_string(), text("unit"), text("source"), text("why")]
            } else {
                let why = "Not the value of the parameter file that comes with labctl.";
                [name.clone(), value.to_string(), text("unit"), "the run".to_owned(), why.to_owned()]
            }
        })
        .collect()
}

fn parameter_table(plan: &Plan, names: &str) -> Markup {
    let profile = plan.overlay.as_ref().map_or("", |overlay| overlay.profile.as_str());
    let rows = html! {
        @for [name, value, unit, source, why] in parameter_rows(plan) {
            tr {
                th scope="row" { (name) }
                td.number { (value) }
                td { (unit) }
                td { (source) }
                td { (why) }
            }
        }
    };
    let caption = "Source: course = the course material; paper = what the paper is cited for; calibrated = chosen so that the \
        whole comes out as published; open = nobody published it.";
    html! {
        details open {
            summary { "Overlay " code { (profile) } ", in " (names) }
            (table("parameters", caption, &["parameter", "value", "unit", "source", "why"], &rows))
        }
    }
}
