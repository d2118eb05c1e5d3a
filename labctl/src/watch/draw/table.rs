//! Rows of cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::put;

/// A cell of a row.
pub struct Cell<'a> {
    /// What stands in it.
    pub text: &'a str,
    /// Characters that it takes.
    pub width: usize,
    /// Numbers stand to the right.
    pub right: bool,
    /// What it looks like.
    pub style: Style,
}

impl<'a> Cell<'a> {
    /// To the left.
    pub const fn new(text: &'a str, width: usize) -> Self {
        Self { text, width, right: false, style: Style::new() }
    }

    /// Looking like this.
    pub const fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

/// Draws a row into the first line of an area.
pub fn row(buffer: &mut Buffer, area: Rect, cells: &[Cell<'_>], selected: bool) {
    let mut left = area.x;
    for cell in cells {
        let width = u16::try_from(cell.width).unwrap_or(u16::MAX).min(area.right().saturating_sub(left));
        let place = Rect { x: left, y: area.y, width, height: 1 };
        let text_width = u16::try_from(Line::raw(cell.text).width()).unwrap_or(u16::MAX);
        let shift = if cell.right { width.saturating_sub(text_width) } else { 0 };
        put(buffer, Rect { x: left + shift, width: width - shift, ..place }, cell.text, cell.style);
        left = left.saturating_add(width).saturating_add(1).min(area.right());
    }
    if selected {
        buffer.set_style(Rect { height: 1, ..area }, Style::new().reversed());
    }
}

/// The line of an area with this number; `None` below its end.
pub fn line(area: Rect, number: usize) -> Option<Rect> {
    let number = u16::try_from(number).ok().filter(|number| *number < area.height)?;
    Some(Rect { y: area.y + number, height: 1, ..area })
}
