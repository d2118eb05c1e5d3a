//! Drives nodes through their control sockets, with meters beside them, and writes records.

pub mod call;
pub mod control;
mod ground;
pub mod host_cache;
pub mod live;
pub mod login;
pub(crate) mod observe;
mod patience;
mod random;
pub mod record;
pub mod recorded;
mod run;
pub mod search;
pub mod session;
pub mod shares;
mod stopped;
pub mod sweep;
mod task;
mod trial;
pub mod wan_events;

pub use ground::RunningLab;
pub use random::{Purpose, derive_seed};
pub use run::{Run, RunDescription, RunError};

/// The kernel and its version, as `uname` says.
#[must_use]
pub fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
    )
}
