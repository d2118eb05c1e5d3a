//! Labs without root: an ordinary user's labs live in a user namespace of that user, the user's *world*, which
//! has its own mounts and its own network.
//!
//! 1. In the world the user is root, over what belongs to the world and over nothing else. `/run` is a file
//!    system of its own there, so that `/run/labctl` and `/run/netns` are the user's; everything else in `/run`
//!    is seen as before. After [`enter`] all of labctl is the same code as for root.
//! 2. There is one world per user. It lives as long as any process in it: the keeper of a lab, or the labctl
//!    that made it. No file says where it is: the kernel does ([`find`]), so that there is nothing to go stale.
//! 3. Who makes a world, or looks for it, holds a lock meanwhile ([`registry`]), or two would be made.
//!
//! No range of subordinate ids is asked for (`newuidmap`): a node runs as one user, and one is enough for it.

mod error;
mod find;
mod make;
mod registry;
mod users;

pub use error::WorldError;
pub use users::{has_all_users, has_user};

use std::fs;

use nix::unistd::{Uid, geteuid};

/// `CAP_SYS_ADMIN` of `linux/capability.h`: without it nothing of a lab can be made.
const CAP_SYS_ADMIN: u32 = 21;

/// True for a user who cannot make a lab outside of a world.
#[must_use]
pub fn is_needed() -> bool {
    !geteuid().is_root() && effective_capabilities().is_none_or(|set| set & (1 << CAP_SYS_ADMIN) == 0)
}

/// Moves this process into its user's world, which is made if there is none. The working directory and the
/// owner of new files stay what they are.
///
/// Must be called while this process has one thread: the kernel moves no other into a user namespace.
pub fn enter() -> Result<(), WorldError> {
    let user: Uid = geteuid();
    let lock = registry::lock(user)?;
    match find::living(user)? {
        Some(world) => world.join()?,
        None => make::make()?,
    }
    drop(lock);
    Ok(())
}

/// Moves this process into its user's world if there is one; says whether there is. Makes none, and waits for
/// nobody who makes one at this moment.
///
/// Must be called while this process has one thread, as [`enter`].
pub fn enter_existing() -> Result<bool, WorldError> {
    let Some(world) = find::living(geteuid())? else { return Ok(false) };
    world.join()?;
    Ok(true)
}

/// The capabilities of this process, as bits by their numbers.
#[must_use]
pub fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
