//! The WAN: a namespace that routes between its attachments, and the engine that delays, queues and
//! loses what passes.
//!
//! [`Core`] is the namespace. [`spawn_engine`], [`find_engine`] and [`stop_engine`] are about the engine's
//! process, which runs `labctl engine`: [`engine::run`] takes packets from the kernel ([`nfqueue`]) and asks
//! a [`model`] when each of them goes on.

pub mod access;
mod core;
pub mod counters;
pub mod engine;
pub mod model;
pub mod nfqueue;
mod process;

pub use self::core::{AttachmentId, Core};
pub use model::CAPACITY;
pub use process::{
    READY, RunningEngine, SUBCOMMAND, find_engine, running_engines, spawn_engine, stop_engine,
};

/// Packet queues between the kernel and the engine. The kernel looks a packet up in its queue one by one
/// when the engine is done with it, so that many short queues are quicker than a long one.
pub const QUEUES: u16 = 64;
