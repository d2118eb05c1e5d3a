//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{Pane, State, View};

/// How far a page goes; a screen is drawn without the state knowing how large it is.
const PAGE: usize = 10;

/// What a key has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Stay,
    /// The user has seen enough.
    Quit,
}

/// The keys and what they do, for the footer and the help.
pub(super) const KEYS: [(&str, &str); 12] = [
    ("q", "quit"),
    ("?", "help"),
    ("Tab", "next pane (Shift-Tab: the one before; 1-4: this one)"),
    ("↑↓", "move (also j and k; PgUp, PgDn, Home, End)"),
    ("z", "zoom the pane, or all panes again"),
    ("/", "show only rows with a text; Enter keeps it, Esc ends it"),
    ("s", "sort links: plan, name, rate, drops, queue"),
    ("r", "reverse the order of links"),
    ("p", "pause: nothing is asked, nothing moves"),
    ("Home", "first row; of the events, the oldest"),
    ("End", "last row; of the events, follow what comes"),
    ("^L", "draw the screen anew"),
];

impl State {
    /// Does what a key says.
    pub fn press(&mut self, key: KeyEvent) -> Verdict {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // In raw mode the terminal makes no signal of it.
            return if key.code == KeyCode::Char('c') { Verdict::Quit } else { Verdict::Stay };
        }
        if self.typing {
            self.type_filter(key.code);
            return Verdict::Stay;
        }
        if self.help {
            self.help = false;
            return Verdict::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Verdict::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = true,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Esc => self.back(),
            KeyCode::Char('z') | KeyCode::Enter if self.view == View::Lab => self.zoomed = !self.zoomed,
            KeyCode::Tab if self.view == View::Lab => self.turn(1),
            KeyCode::BackTab if self.view == View::Lab => self.turn(Pane::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='4') if self.view == View::Lab => {
                self.focus = Pane::ALL[digit as usize - '1' as usize];
            }
            KeyCode::Up | KeyCode::Char('k') => self.move_by(1, false),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1, true),
            KeyCode::PageUp => self.move_by(PAGE, false),
            KeyCode::PageDown => self.move_by(PAGE, true),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(usize::MAX, false),
            KeyCode::End | KeyCode::Char('G') => self.move_by(usize::MAX, true),
            _ => {}
        }
        Verdict::Stay
    }

    /// One step out: of the filter, then of the zoom.
    fn back(&mut self) {
        if !self.filter.is_empty() {
            self.filter.clear();
        } else if self.view == View::Lab {
            self.zoomed = false;
        }
    }

    fn turn(&mut self, by: usize) {
        let place = Pane::ALL.iter().position(|pane| *pane == self.focus).unwrap_or(0);
        self.focus = Pane::ALL[(place + by) % Pane::ALL.len()];
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
    }

    fn move_by(&mut self, rows: usize, down: bool) {
        let count = match self.focus {
            Pane::Nodes => self.shown_members().len(),
            Pane::Links => self.shown_links().len(),
            Pane::Mappings => self.mappings.as_ref().map_or(0, |m| m.rows.as_ref().map_or(0, Vec::len)),
            Pane::Events => self.log.filtered(&self.filter).count(),
        };
        let (place, forward) = match self.focus {
            Pane::Nodes => (&mut self.places.nodes, down),
            Pane::Links => (&mut self.places.links, down),
            Pane::Mappings => (&mut self.places.mappings, down),
            // Events are counted from the newest, at the bottom.
            Pane::Events => (&mut self.places.events, !down),
        };
        // What was selected may have gone.
        let now = (*place).min(count.saturating_sub(1));
        *place = if forward {
            now.saturating_add(rows).min(count.saturating_sub(1))
        } else {
            now.saturating_sub(rows)
        };
    }
}
