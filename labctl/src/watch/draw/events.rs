//! The log of events: the newest at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::table::{Cell, line, row};
use super::{BAD, CHANGED, GOOD, NAME, QUIET, put};
use crate::watch::event::{Event, Grade};
use crate::watch::state::{Pane, State};

pub fn title(state: &State) -> String {
    let title = Pane::Events.title();
    match state.places.events {
        0 => format!("{title} {}, UTC", state.log.len()),
        above => format!("{title} {}, UTC, {above} newer ones below (End follows)", state.log.len()),
    }
}

pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let height = usize::from(area.height);
    let events: Vec<&Event> =
        state.log.filtered(&state.filter).rev().skip(state.places.events).take(height).collect();
    if events.is_empty()
        && let Some(top) = line(area, 0)
    {
        put(buffer, top, "nothing has happened yet", QUIET);
    }
    let longest = state.members.iter().map(|member| member.name.len()).max().unwrap_or(0).clamp(4, 16);
    for (number, event) in events.iter().rev().enumerate() {
        let Some(line) = line(area, number) else { break };
        let time = event.time_of_day();
        let style = match event.grade {
            Grade::Plain => Style::new(),
            Grade::Good => GOOD,
            Grade::Bad => BAD,
            Grade::Change => CHANGED,
        };
        let room = usize::from(area.width).saturating_sub(time.len() + longest + 2);
        let cells = [
            Cell::new(&time, time.len()).style(QUIET),
            Cell::new(&event.source, longest).style(NAME),
            Cell::new(&event.text, room).style(style),
        ];
        row(buffer, line, &cells, false);
    }
}
