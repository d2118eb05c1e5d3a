//! Records -> table, JSON and HTML.

pub mod call;
mod call_trials;
pub mod compare;
pub mod csv;
mod distribution;
pub mod figure;
pub mod html;
pub mod json;
mod ladder;
mod phase;
mod published;
mod row;
pub mod runs;
pub mod search;
mod shift;
pub mod statistics;
pub mod sweep;
pub mod table;

pub use call_trials::{CALLS, CallTrials, calls_text};
pub use distribution::Distribution;
pub use ladder::{Ladder, Message};
pub use phase::{Phase, PhaseBytes, Phases};
pub use published::{Published, Source, TABLE, find as find_published};
pub use row::{Row, Verdict};
pub use search::SearchReport;
pub use shift::Shift;
pub use statistics::Spread;
pub use sweep::SweepReport;
