//! Drives nodes through their control sockets, with meters beside them, and writes records.

pub mod control;
mod ground;
pub mod host_cache;
pub mod login;
mod observe;
mod patience;
mod random;
pub mod record;
mod run;
pub mod session;
mod trial;

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
