//! Records -> table and JSON.

pub mod json;
mod published;
mod row;
mod statistics;
pub mod table;

pub use published::{Published, Source, TABLE, find as find_published};
pub use row::{Row, Verdict};
pub use statistics::Spread;
