//! The report as one page of HTML that needs nothing else: no network, no script, no font.

mod again;
mod call;
mod chart;
mod ladder;
mod lines;
mod login;
mod material;
mod parts;
mod search;
pub mod sweep;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use material::{CallExample, Calls, Example, Material, Origin, SearchExample, Searches, SetUp};

/// The style of the page.
const STYLE: &str = include_str!("style.css");

/// The page about this.
#[must_use]
pub fn render(material: &Material) -> String {
    let title = title(material);
    let style = format!("{STYLE}{}", crate::graph::page_style());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Without it a browser asks the server for a picture.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                header {
                    h1 { (title) }
                    (contents(material))
                }
                main {
                    @if !material.logins.is_empty() { (login::sections(&material.logins)) }
                    @if !material.searches.is_empty() { (search::sections(&material.searches)) }
                    @if !material.calls.is_empty() { (call::sections(&material.calls)) }
                    (parts::topologies(material))
                    (parts::parameters(material))
                    (again::again(material))
                }
            }
        }
    };
    page.into_string()
}

fn title(material: &Material) -> String {
    let logins: Vec<&str> = material.logins.iter().map(|one| one.name.as_str()).collect();
    let searches: Vec<&str> = material.searches.iter().map(|one| one.name.as_str()).collect();
    let calls: Vec<String> = material.calls.iter().map(Calls::name).collect();
    let parts: Vec<String> =
        [("logins", logins.join(", ")), ("searches", searches.join(", ")), ("calls", calls.join("; "))]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} in {names}"))
            .collect();
    format!("Measured: {}", parts.join("; "))
}

/// Where the sections are.
fn contents(material: &Material) -> Markup {
    let here = |is_there: bool, sections: &'static [(&'static str, &'static str)]| {
        sections.iter().filter(move |_| is_there)
    };
    let sections = here(
        !material.logins.is_empty(),
        &[
            ("logins", "Logins"),
            ("login-times", "Login times"),
            ("login-phases", "Bytes by phase"),
            ("login-ladders", "One login"),
        ],
    )
    .chain(here(
        !material.searches.is_empty(),
        &[
            ("searches", "Searches"),
            ("search-latencies", "Latencies"),
            ("super-nodes", "Super nodes"),
            ("search-ladders", "One search"),
        ],
    ))
    .chain(here(
        !material.calls.is_empty(),
        &[
            ("calls", "Calls"),
            ("call-quality", "Media"),
            ("call-spread", "Times and MOS"),
            ("call-bytes", "Bytes of a call"),
            ("call-ladders", "One call"),
        ],
    ))
    .chain(here(
        true,
        &[("topologies", "Topologies"), ("parameters", "Parameters"), ("again", "To measure it again")],
    ));
    html! {
        nav aria-label="Contents" {
            ul { @for (id, name) in sections { li { a href=(format!("#{id}")) { (name) } } } }
        }
    }
}

#[cfg(test)]
mod tests;
