//! The WAN: a namespace that routes between its attachments, and the engine that delays, queues and
//! loses what passes.
//!
//! [`Core`] is the namespace. [`engine::run`], in a thread of the lab's keeper, carries its packets; [`control`] is
//! what it can be asked meanwhile. A [`model`] says what becomes of each packet: pure, in virtual time, repeatable.

pub mod barriers;
mod calendar;
pub mod control;
mod core;
pub mod counters;
pub mod engine;
pub mod events;
pub mod kernel;
pub mod lane;
pub mod model;
pub mod paths;
mod random;
mod user;

pub use self::core::{AttachmentId, Core};
pub use control::{LinkReport, Report, WanAnswer, WanRequest};
pub use engine::EngineKind;
pub use events::{Actor, Happening, WanEvent};
pub use model::CAPACITY;
