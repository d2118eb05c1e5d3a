//! The wheel: what comes in changes the state, the state is drawn, and says what to ask next.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyModifiers};
use tokio::time::{Instant, sleep_until};

use super::draw::wants;
use super::keys::Verdict;
use super::source::Source;
use super::state::State;
use super::terminal::{Input, Terminal};

/// The screen is drawn so often at the most. Keys are answered at once.
const FRAME: Duration = Duration::from_millis(100);

/// A state, a terminal to show it on, and a lab to ask.
pub struct App {
    /// What is shown.
    pub state: State,
    /// Where it is shown.
    pub terminal: Terminal,
    /// Where it comes from.
    pub source: Source,
}

impl App {
    /// Shows what goes on until the user has seen enough, or `interrupt` comes; says which signal it was, if any.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be written to.
    pub async fn run<S>(mut self, interrupt: impl Future<Output = S>) -> io::Result<Option<S>> {
        let mut interrupt = pin!(interrupt);
        let mut drawn = Instant::now();
        self.terminal.draw(&self.state)?;
        // Something came in that is not drawn yet.
        let mut stale = false;
        loop {
            self.source.ask_for(wants(&self.state, self.terminal.area()?));
            tokio::select! {
                signal = &mut interrupt => return Ok(Some(signal)),
                input = self.terminal.next() => match input {
                    Input::Gone => return Ok(None),
                    Input::Redraw => self.terminal.redraw(&self.state)?,
                    Input::Key(key) => {
                        let anew = key.code == KeyCode::Char('l') && key.modifiers == KeyModifiers::CONTROL;
                        if self.state.press(key) == Verdict::Quit {
                            return Ok(None);
                        }
                        if anew { self.terminal.redraw(&self.state)? } else { self.terminal.draw(&self.state)? }
                        (drawn, stale) = (Instant::now(), false);
                    }
                },
                // What comes during a pause waits, so that no event is lost.
                update = self.source.next(), if !self.state.is_paused() => {
                    self.state.apply(update);
                    stale = true;
                }
                () = sleep_until(drawn + FRAME), if stale => {
                    self.terminal.draw(&self.state)?;
                    (drawn, stale) = (Instant::now(), false);
                }
            }
        }
    }
}
