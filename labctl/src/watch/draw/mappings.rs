//! The live mappings of the selected gateway.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::layout::window;
use super::table::{Cell, line, row};
use super::{BAD, NAME, QUIET, put};
use crate::lab::nat::MappingRow;
use crate::watch::state::{Mappings, Pane, State};

/// The mappings of what is selected; `None` while they are not known yet.
fn known(state: &State) -> Option<&Mappings> {
    let gateway = state.selected_gateway()?;
    state.mappings.as_ref().filter(|mappings| mappings.gateway == gateway)
}

pub fn title(state: &State) -> String {
    match (state.selected_gateway(), known(state)) {
        (Some(gateway), Some(Mappings { rows: Ok(rows), .. })) => match rows.len() {
            1 => format!("NAT of {gateway}: 1 mapping"),
            many => format!("NAT of {gateway}: {many} mappings"),
        },
        (Some(gateway), _) => format!("NAT of {gateway}"),
        (None, _) => Pane::Mappings.title().to_owned(),
    }
}

pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(top) = line(area, 0) else { return };
    let rows = match (state.selected_gateway(), known(state)) {
        (None, _) => return put(buffer, top, "select a gateway or a node behind one", QUIET),
        (Some(_), None) => return put(buffer, top, "asking the gateway ...", QUIET),
        (Some(_), Some(Mappings { rows: Err(problem), .. })) => return put(buffer, top, problem, BAD),
        (Some(_), Some(Mappings { rows: Ok(rows), .. })) if rows.is_empty() => {
            return put(buffer, top, "no mapping: nobody behind it has sent lately", QUIET);
        }
        (Some(_), Some(Mappings { rows: Ok(rows), .. })) => rows,
    };
    let mut texts: Vec<[String; COLUMNS.len()]> = rows.iter().map(texts).collect();
    let mut widths = widths_of(&texts, area);
    if widths.len() <= LEAST {
        // What all hosts of a site have in common can be left out; the outside end cannot.
        for row in &mut texts {
            shorten(&mut row[INSIDE]);
        }
        widths = widths_of(&texts, area);
    }
    let cells = |texts: &[&str]| -> Vec<(usize, String)> {
        widths.iter().map(|(column, width)| (*width, texts[*column].to_owned())).collect()
    };
    let draw_row = |buffer: &mut Buffer, line, texts: &[&str], header: bool, selected| {
        let texts = cells(texts);
        let cells: Vec<_> = texts
            .iter()
            .zip(&widths)
            .map(|((width, text), (column, _))| {
                let style = match (header, *column) {
                    (true, _) => QUIET.bold(),
                    (false, OUTSIDE) => NAME,
                    _ => Style::new(),
                };
                let right = (3..7).contains(column);
                Cell { text, width: *width, right, style }
            })
            .collect();
        row(buffer, line, &cells, selected);
    };
    draw_row(buffer, top, &COLUMNS, true, false);
    let selected = state.places.mappings.min(rows.len() - 1);
    for (number, index) in
        window(selected, rows.len(), usize::from(area.height).saturating_sub(1)).enumerate()
    {
        let Some(line) = line(area, number + 1) else { break };
        let texts: Vec<&str> = texts[index].iter().map(String::as_str).collect();
        draw_row(buffer, line, &texts, false, index == selected && state.focus == Pane::Mappings);
    }
}

/// Headers of the columns, in the order in which they are given room but for the last one, which takes what is left.
const COLUMNS: [&str; 8] = ["", "INSIDE", "OUTSIDE", "LEFT", "PEERS", "FLOWS", "IDLE", "IN CONTACT WITH"];

const INSIDE: usize = 1;
const OUTSIDE: usize = 2;
/// Without so many columns a mapping says nothing.
const LEAST: usize = OUTSIDE;

/// `192.168.1.2:5060` without the first half of the address.
fn shorten(end: &mut String) {
    if let Some((place, _)) = end.match_indices('.').nth(1) {
        end.replace_range(..place, "…");
    }
}

fn texts(row: &MappingRow) -> [String; COLUMNS.len()] {
    let seconds = |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), |s| format!("{s}s"));
    let peers: Vec<_> = row.peers.iter().map(ToString::to_string).collect();
    [
        row.protocol.to_owned(),
        row.inside.to_string(),
        row.outside.to_string(),
        seconds(row.left_s, "stays"),
        row.peers.len().to_string(),
        row.flows.to_string(),
        seconds(row.idle_s, "-"),
        if peers.is_empty() { "-".to_owned() } else { peers.join(" ") },
    ]
}

/// The columns that have room, each with its width.
fn widths_of(texts: &[[String; COLUMNS.len()]], area: Rect) -> Vec<(usize, usize)> {
    let mut room = usize::from(area.width);
    let mut widths: Vec<(usize, usize)> = Vec::new();
    let last = COLUMNS.len() - 1;
    for (column, header) in COLUMNS.iter().enumerate() {
        let longest = texts.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let needed = if column == last { header.len() } else { longest.max(header.len()) };
        let gap = usize::from(!widths.is_empty());
        if needed + gap > room {
            break;
        }
        let width = if column == last { room - gap } else { needed };
        widths.push((column, width));
        room -= width + gap;
    }
    widths
}
