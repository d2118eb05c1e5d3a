//! A command of the host inside a namespace of a lab.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::LabError;
use crate::net::NetNs;

/// Moves the calling thread into a namespace of a lab, with a `/sys` that shows that namespace's
/// interfaces, as `ip netns exec` does. For a thread that will run another program in its place.
pub fn enter(namespace: &str) -> Result<(), LabError> {
    let failed =
        |source| LabError::Network { doing: format!("entering {namespace}"), source: Box::new(source) };
    NetNs::open(namespace).map_err(failed)?.enter().map_err(failed)?;
    // A mount namespace of its own, of which nothing gets out.
    unshare(CloneFlags::CLONE_NEWNS).map_err(LabError::system("making a mount namespace"))?;
    let private = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(LabError::system("keeping mounts out of the host"))?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)
        .map_err(LabError::system("mounting /sys"))
}
