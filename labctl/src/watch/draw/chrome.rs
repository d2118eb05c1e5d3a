//! The lines above and below the panes, and the help over them.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget as _};

use super::layout::Layout;
use super::table::line;
use super::{BAD, CHANGED, NAME, QUIET};
use crate::watch::keys::KEYS;
use crate::watch::state::{Pane, State, View};
use crate::watch::units::{bytes, count, span};

/// The lab on the left, its totals on the right; what is out of order before them.
pub fn header(state: &State, layout: &Layout, buffer: &mut Buffer) {
    let area = layout.header;
    let mut left = vec![Span::styled(format!(" {} ", state.lab), Style::new().bold().reversed())];
    if state.paused {
        left.push(Span::styled(" PAUSED ", CHANGED.bold().reversed()));
    }
    if state.wan_problem.is_some() {
        left.push(Span::styled(" WAN SILENT ", BAD.bold().reversed()));
    }
    if layout.is_single() && state.view == View::Lab {
        for (number, pane) in (1..).zip(Pane::ALL) {
            let style = if pane == state.focus { NAME.bold().reversed() } else { Style::new() };
            left.push(Span::styled(format!(" {number} {} ", pane.title()), style));
        }
    } else {
        left.push(Span::raw(format!(" {}", state.title)));
    }
    // Totals give way part by part, the last one first.
    let parts = totals(state);
    let left = Line::from(left);
    // The title gives way to them, the names of the panes do not.
    let least = if layout.is_single() { usize::MAX } else { usize::from(area.width) / 2 };
    let needed = left.width().min(least) + 1;
    let mut right = Line::default();
    for (number, part) in parts.into_iter().enumerate() {
        let gap = if number == 0 { 0 } else { 2 };
        if needed + right.width() + gap + part.width() > usize::from(area.width) {
            break;
        }
        right.push_span(Span::raw(" ".repeat(gap)));
        right.push_span(part);
    }
    let room = area.width.saturating_sub(u16::try_from(right.width()).unwrap_or(u16::MAX));
    let shown = room.saturating_sub(u16::from(right.width() > 0));
    buffer.set_line(area.x, area.y, &left, shown);
    buffer.set_line(area.x + room, area.y, &right, area.width - room);
}

fn totals(state: &State) -> Vec<Span<'static>> {
    let Some(rates) = &state.rates else { return Vec::new() };
    let totals = rates.totals();
    let mut parts = Vec::new();
    if rates.partitions > 0 {
        parts.push(Span::styled(format!("{} PARTED", rates.partitions), CHANGED.bold()));
    }
    if totals.links_down > 0 {
        parts.push(Span::styled(format!("{} DOWN", totals.links_down), BAD.bold()));
    }
    parts.push(Span::raw(format!("{}/s", bytes(totals.up.bytes_s))));
    parts.push(Span::raw(format!("{} pkt/s", count(totals.up.packets_s))));
    let drops = format!("{} drop/s", count(totals.drops_s));
    parts.push(if totals.drops_s > 0.0 { Span::styled(drops, BAD) } else { Span::raw(drops) });
    if let Some(uptime) = state.uptime() {
        parts.push(Span::styled(format!("{} engine, {}", rates.engine, span(uptime)), QUIET));
    }
    parts.push(Span::styled(format!("{} in flight", rates.in_flight), QUIET));
    if totals.queue > 0 {
        parts.push(Span::raw(format!("{} queued", bytes(totals.queue as f64))));
    }
    if !state.runtime.is_empty() {
        parts.push(Span::styled(state.runtime.clone(), QUIET));
    }
    parts
}

/// The keys, as many as have room; or what is being typed.
pub fn footer(state: &State, area: Rect, buffer: &mut Buffer) {
    let mut said = Line::default();
    if state.typing {
        said.push_span(Span::styled(format!("/{}▏", state.filter), NAME.bold()));
        said.push_span(Span::styled("  Enter keeps it, Esc ends it", QUIET));
        buffer.set_line(area.x, area.y, &said, area.width);
        return;
    }
    if !state.filter.is_empty() {
        said.push_span(Span::styled(format!("/{} ", state.filter), CHANGED.bold()));
    }
    let all = state.view == View::Lab;
    let zoom = if state.zoomed { "all panes" } else { "zoom" };
    let keys: [(&str, &str, bool); 8] = [
        ("q", "quit", true),
        ("?", "help", true),
        ("Tab", "pane", all),
        ("↑↓", "move", true),
        ("z", zoom, all),
        ("/", "filter", true),
        ("s", "sort", true),
        ("p", if state.paused { "go on" } else { "pause" }, true),
    ];
    for (key, what, _) in keys.into_iter().filter(|(.., here)| *here) {
        let item = [Span::styled(key, Style::new().bold()), Span::styled(format!(" {what}  "), QUIET)];
        // Half of a key is worse than none.
        if said.width() + key.chars().count() + what.len() + 1 > usize::from(area.width) {
            break;
        }
        for span in item {
            said.push_span(span);
        }
    }
    buffer.set_line(area.x, area.y, &said, area.width);
}

/// All keys, and what the signs mean, over everything else.
pub fn help(state: &State, area: Rect, buffer: &mut Buffer) {
    let all = state.view == View::Lab;
    let here = |key: &str| all || !matches!(key, "Tab" | "z" | "Home" | "End");
    let mut lines: Vec<Line<'_>> = KEYS
        .iter()
        .filter(|(key, _)| here(key))
        .map(|(key, what)| {
            Line::from(vec![Span::styled(format!("{key:>5}  "), Style::new().bold()), Span::raw(*what)])
        })
        .collect();
    let mut notes =
        vec!["UP is what a node sends, DOWN what it gets, at IP level; WAIT is the mean time in a queue"];
    if all {
        notes.push("● up  ◐ not healthy  ✗ ended or missing  · not asked yet");
    }
    lines.push(Line::default());
    lines.extend(notes.into_iter().map(|note| Line::styled(note, QUIET)));
    let widest = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
    let width = u16::try_from(widest).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = area.centered(width.into(), height.into());
    Clear.render(place, buffer);
    let uptime = state.uptime().unwrap_or(Duration::ZERO);
    let block = Block::bordered()
        .border_style(NAME)
        .title(Line::styled(" keys; any of them ends this ", NAME.bold()))
        .title_bottom(Line::styled(format!(" lab {}, up {} ", state.lab, span(uptime)), QUIET));
    let inner = block.inner(place);
    block.render(place, buffer);
    for (number, text) in lines.iter().enumerate() {
        if let Some(line) = line(inner, number) {
            super::put(buffer, line, &text.to_string(), Style::new());
            buffer.set_line(line.x, line.y, text, line.width);
        }
    }
}
