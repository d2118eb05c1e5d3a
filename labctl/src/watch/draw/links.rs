//! The table of access links.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::layout::window;
use super::table::{Cell, line, row};
use super::{BAD, CHANGED, NAME, QUIET, put};
use crate::watch::columns::{Column, Sort};
use crate::watch::rates::LinkRates;
use crate::watch::state::{Pane, State};

pub fn title(state: &State) -> String {
    let shown = state.shown_links().len();
    let all = state.rates.as_ref().map_or(0, |rates| rates.links.len());
    let shown = if shown == all { String::new() } else { format!("{shown} of ") };
    let order = match (state.sort, state.reverse) {
        (Sort::Plan, false) => String::new(),
        (sort, false) => format!(", by {}", sort.as_str()),
        (sort, true) => format!(", by {}, reversed", sort.as_str()),
    };
    format!("{} {shown}{all}{order}", Pane::Links.title())
}

pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let links = state.shown_links();
    let Some(top) = line(area, 0) else { return };
    if links.is_empty() {
        let why = match (&state.wan_problem, &state.rates) {
            (Some(problem), _) => problem.as_str(),
            (None, None) => "asking the WAN ...",
            (None, Some(_)) => "no link has this text; Esc shows all",
        };
        put(buffer, top, why, if state.wan_problem.is_some() { BAD } else { QUIET });
        return;
    }
    let longest = links.iter().map(|link| link.name.len()).max().unwrap_or(0);
    let columns = Column::fitting(usize::from(area.width), longest);
    let headers: Vec<_> = columns
        .iter()
        .map(|(column, width)| Cell {
            text: column.header(),
            width: *width,
            right: column.is_number(),
            style: QUIET.bold(),
        })
        .collect();
    row(buffer, top, &headers, false);
    let selected = state.places.links.min(links.len() - 1);
    for (number, index) in
        window(selected, links.len(), usize::from(area.height).saturating_sub(1)).enumerate()
    {
        let Some(line) = line(area, number + 1) else { break };
        let texts: Vec<_> = columns.iter().map(|(column, _)| column.text(links[index])).collect();
        let cells: Vec<_> = columns
            .iter()
            .zip(&texts)
            .map(|((column, width), text)| Cell {
                text,
                width: *width,
                right: column.is_number(),
                style: style(*column, links[index], text),
            })
            .collect();
        row(buffer, line, &cells, index == selected && state.focus == Pane::Links);
    }
}

/// What rests is quiet, what is wrong is seen.
fn style(column: Column, link: &LinkRates, text: &str) -> Style {
    match column {
        Column::State if !link.works => BAD.bold(),
        Column::Name if !link.works => BAD,
        Column::Name => NAME,
        Column::Drops if link.drops_s > 0.0 => BAD,
        Column::Causes if link.dropped.total() > 0 => CHANGED,
        _ if text == "0" || text == "0 B" || text == "-" => QUIET,
        _ => Style::new(),
    }
}
