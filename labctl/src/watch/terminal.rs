//! The terminal in full-screen mode, and how it was before.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::sync::Once;
use std::thread;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{Event, KeyEvent, KeyEventKind};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::draw::draw;
use super::state::State;

/// What comes from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// It has another size, or wants to be drawn for another reason.
    Redraw,
    /// It has gone.
    Gone,
}

/// A terminal that shows one screen. It is as before when this is dropped, and when the program panics.
///
/// Not [`ratatui::Terminal`]: that asks the terminal for its cursor when its size changes, and waits for the answer in
/// vain, because it is read here, as a key.
pub struct Terminal {
    backend: CrosstermBackend<Stdout>,
    /// What is on it.
    shown: Buffer,
    input: UnboundedReceiver<Input>,
}

impl Terminal {
    /// True if there is a terminal to show something on, and to get keys from.
    #[must_use]
    pub fn is_there() -> bool {
        stdout().is_terminal() && io::stdin().is_terminal()
    }

    /// Takes the terminal.
    pub fn open() -> io::Result<Self> {
        restore_on_panic();
        enable_raw_mode()?;
        let opened = execute!(stdout(), EnterAlternateScreen, Hide);
        // Half of the way is no way.
        opened.inspect_err(|_| restore())?;
        let backend = CrosstermBackend::new(stdout());
        Ok(Self { backend, shown: Buffer::empty(Rect::ZERO), input: input() })
    }

    /// Draws what of the state is not on it yet. The terminal shows it at once, not line by line, if it can.
    pub fn draw(&mut self, state: &State) -> io::Result<()> {
        let area = self.area()?;
        let mut next = Buffer::empty(area);
        draw(state, area, &mut next);
        queue!(stdout(), BeginSynchronizedUpdate)?;
        if self.shown.area != area {
            self.backend.clear()?;
            self.shown = Buffer::empty(area);
        }
        self.backend.draw(self.shown.diff(&next).into_iter())?;
        self.shown = next;
        execute!(stdout(), EndSynchronizedUpdate)
    }

    /// Draws everything, whatever may be there.
    pub fn redraw(&mut self, state: &State) -> io::Result<()> {
        self.shown = Buffer::empty(Rect::ZERO);
        self.draw(state)
    }

    /// How large it is.
    pub fn area(&self) -> io::Result<Rect> {
        Ok(Rect::from((ratatui::layout::Position::ORIGIN, self.backend.size()?)))
    }

    /// What comes next.
    pub async fn next(&mut self) -> Input {
        self.input.recv().await.unwrap_or(Input::Gone)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back. It may be gone; then there is nothing to put back.
fn restore() {
    let mut out = stdout();
    drop(execute!(out, EndSynchronizedUpdate, LeaveAlternateScreen, Show));
    drop(disable_raw_mode());
    drop(out.flush());
}

/// What is said of a panic is to be read.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// Reads keys in a thread of its own, which ends with the program: nothing else can wait for a terminal and be woken.
fn input() -> UnboundedReceiver<Input> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        loop {
            let input = match crossterm::event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
                Ok(Event::Resize(..)) => Input::Redraw,
                Ok(_) => continue,
                Err(_) => Input::Gone,
            };
            if sender.send(input).is_err() || input == Input::Gone {
                break;
            }
        }
    });
    receiver
}
