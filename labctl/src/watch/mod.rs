//! What `labctl watch` and `labctl top` show: a running lab in the terminal.
//!
//! [`Source`] asks the lab without blocking, and only for what is on the screen; what it hears becomes an [`Update`] of
//! the [`State`]; [`draw`] makes a screen of the state and of nothing else, so that tests need no terminal.
//! [`Terminal`] is the real one, which is put back as it was however the program ends, and [`App`] turns the wheel.

mod app;
mod columns;
mod draw;
mod event;
mod keys;
mod member;
mod rates;
mod source;
mod state;
mod terminal;
mod units;

pub use app::App;
pub use columns::{Column, Sort, sorted};
pub use draw::draw;
pub use event::{Event, Grade};
pub use keys::Verdict;
pub use member::{Kind, Liveness, Member};
pub use rates::{Flow, LinkRates, Rates, Totals};
pub use source::Source;
pub use state::{Pane, State, Update, View, Wants};
pub use terminal::Terminal;
pub use units::{bytes, span};
