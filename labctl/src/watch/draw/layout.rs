//! Where what stands.

use std::ops::Range;

use ratatui::layout::{Constraint, Layout as Split, Rect};

use crate::watch::state::{Pane, State};

/// Less than this shows nothing useful.
const SMALLEST: (u16, u16) = (20, 6);
/// Less than this shows one pane at a time.
const FOR_ALL: (u16, u16) = (60, 20);
/// From here on nodes stand beside links and mappings rather than above them.
const SIDE_BY_SIDE: u16 = 130;

/// The parts of a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// One line.
    pub header: Rect,
    /// What is seen, with its frames.
    pub panes: Vec<(Pane, Rect)>,
    /// One line.
    pub footer: Rect,
}

impl Layout {
    /// Of a screen of this size; `None` if it is too small for anything.
    pub fn of(state: &State, area: Rect) -> Option<Self> {
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            return None;
        }
        let [header, body, footer] =
            Split::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
        let one = state.zoomed || area.width < FOR_ALL.0 || area.height < FOR_ALL.1;
        let panes = match (one, area.width >= SIDE_BY_SIDE) {
            (true, _) => vec![(state.focus, body)],
            (false, true) => side_by_side(body),
            (false, false) => stacked(state, body),
        };
        Some(Self { header, panes, footer })
    }

    /// True if there is one pane only, where there could be more.
    pub fn is_single(&self) -> bool {
        self.panes.len() == 1
    }
}

fn side_by_side(body: Rect) -> Vec<(Pane, Rect)> {
    let [upper, events] = Split::vertical([Constraint::Fill(5), Constraint::Fill(2)]).areas(body);
    let [nodes, right] = Split::horizontal([Constraint::Fill(9), Constraint::Fill(10)]).areas(upper);
    let [links, mappings] = Split::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(right);
    vec![(Pane::Nodes, nodes), (Pane::Links, links), (Pane::Mappings, mappings), (Pane::Events, events)]
}

fn stacked(state: &State, body: Rect) -> Vec<(Pane, Rect)> {
    // A small lab leaves its room to the others.
    let rows = u16::try_from(state.members.len()).unwrap_or(u16::MAX).saturating_add(2);
    let nodes = rows.min(body.height * 2 / 5);
    let [nodes, middle, events] =
        Split::vertical([Constraint::Length(nodes), Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
    let [links, mappings] = Split::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle);
    vec![(Pane::Nodes, nodes), (Pane::Links, links), (Pane::Mappings, mappings), (Pane::Events, events)]
}

/// Rows of a pane in this area, without its frame and without a line of headers.
pub fn rows_of(pane: Pane, area: Rect) -> usize {
    let headers = match pane {
        Pane::Nodes | Pane::Events => 0,
        Pane::Links | Pane::Mappings => 1,
    };
    usize::from(area.height).saturating_sub(2 + headers)
}

/// The rows that are seen, so that the selected one is among them, in the middle where that can be.
pub fn window(selected: usize, rows: usize, height: usize) -> Range<usize> {
    let selected = selected.min(rows.saturating_sub(1));
    let begin = selected.saturating_sub(height / 2).min(rows.saturating_sub(height));
    begin..rows.min(begin + height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_selected_is_seen() {
        for (rows, height) in [(0, 5), (3, 5), (50, 7), (50, 1), (5, 0)] {
            for selected in 0..rows + 2 {
                let seen = window(selected, rows, height);
                assert!(seen.len() <= height && seen.end <= rows);
                let selected: usize = selected.min(rows.max(1) - 1);
                assert!(
                    rows == 0 || height == 0 || seen.contains(&selected),
                    "{selected} of {rows}: {seen:?}"
                );
            }
        }
    }
}
