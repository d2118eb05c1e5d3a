//! A screen of a state: pure, so that tests look at it without a terminal.

mod chrome;
mod events;
mod layout;
mod links;
mod mappings;
mod nodes;
mod table;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Widget as _};

use self::layout::{Layout, rows_of, window};
use super::member::Kind;
use super::state::{Pane, State, View, Wants};

/// A lab with so many nodes has all of their logs followed; in a larger one those on the screen.
const FOLLOWED: usize = 64;

/// What good, bad and changed things look like. Colours say nothing that a word does not say as well.
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red);
const CHANGED: Style = Style::new().fg(Color::Yellow);
const QUIET: Style = Style::new().fg(Color::DarkGray);
const NAME: Style = Style::new().fg(Color::Cyan);

/// Draws all of it.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(layout) = Layout::of(state, area) else {
        put(buffer, Rect { height: area.height.min(1), ..area }, "larger, please", Style::new());
        return;
    };
    chrome::header(state, &layout, buffer);
    for (pane, area) in &layout.panes {
        let inner = frame(state, *pane, *area, buffer);
        match pane {
            Pane::Nodes => nodes::draw(state, inner, buffer),
            Pane::Links => links::draw(state, inner, buffer),
            Pane::Mappings => mappings::draw(state, inner, buffer),
            Pane::Events => events::draw(state, inner, buffer),
        }
    }
    chrome::footer(state, layout.footer, buffer);
    if state.help {
        chrome::help(state, area, buffer);
    }
}

/// What a screen of this size shows, and so what is to be asked.
pub fn wants(state: &State, area: Rect) -> Wants {
    let Some(layout) = Layout::of(state, area).filter(|_| !state.paused) else { return Wants::default() };
    if state.view == View::Links {
        return Wants { links: true, ..Wants::default() };
    }
    let seen = |pane| layout.panes.iter().find(|(seen, _)| *seen == pane).map(|(_, area)| *area);
    let shown = state.shown_members();
    let height = seen(Pane::Nodes).map_or(usize::from(area.height), |area| rows_of(Pane::Nodes, area));
    let visible = window(state.places.nodes, shown.len(), height);
    let on_screen: Vec<_> = shown[visible].iter().collect();
    let is_node = |kind: &Kind| !matches!(kind, Kind::Gateway { .. });
    let status = on_screen.iter().filter(|member| matches!(member.kind, Kind::Overlay(_)));
    let nodes = || state.members.iter().filter(|member| is_node(&member.kind));
    let logs = if seen(Pane::Events).is_none() {
        Vec::new()
    } else if nodes().count() <= FOLLOWED {
        nodes().map(|member| member.name.clone()).collect()
    } else {
        on_screen.iter().filter(|m| is_node(&m.kind)).map(|member| member.name.clone()).collect()
    };
    Wants {
        links: true,
        members: true,
        status: seen(Pane::Nodes)
            .map_or_else(Vec::new, |_| status.map(|member| member.name.clone()).collect()),
        logs,
        gateway: seen(Pane::Mappings).and_then(|_| state.selected_gateway()).map(str::to_owned),
    }
}

/// Draws the frame of a pane with its title; what is inside of it is the answer.
fn frame(state: &State, pane: Pane, area: Rect, buffer: &mut Buffer) -> Rect {
    let focused = state.focus == pane && state.view == View::Lab;
    let number = Pane::ALL.iter().position(|known| *known == pane).map_or(0, |place| place + 1);
    let title = match pane {
        Pane::Nodes => nodes::title(state),
        Pane::Links => links::title(state),
        Pane::Mappings => mappings::title(state),
        Pane::Events => events::title(state),
    };
    let title = if state.view == View::Links { format!(" {title} ") } else { format!(" {number} {title} ") };
    let (border, style) = if focused { (BorderType::Thick, NAME) } else { (BorderType::Plain, QUIET) };
    let mut block = Block::bordered()
        .border_type(border)
        .border_style(style)
        .title(Line::styled(title, if focused { NAME.bold() } else { Style::new() }));
    if pane == Pane::Nodes
        && let Some(detail) = nodes::detail(state)
    {
        block = block.title_bottom(Line::styled(format!(" {detail} "), Style::new()));
    }
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// Writes a text into the first line of an area; what does not fit is left out, and an ellipsis says so.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let line = Line::raw(text);
    let too_long = line.width() > usize::from(area.width);
    let width = usize::from(area.width) - usize::from(too_long);
    buffer.set_stringn(area.x, area.y, text, width, style);
    if too_long {
        buffer.set_stringn(area.right() - 1, area.y, "…", 1, style);
    }
}
