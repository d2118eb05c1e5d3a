//! Settings below `/proc/sys/net`. They are those of the namespace that the calling thread is in.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::{NetError, sys};

/// What every namespace of a lab has.
///
/// IPv6 is off before a link comes up, so that no router solicitation or multicast report is in a
/// capture. Bridged frames don't pass iptables: a site's nodes reach each other as on a switch.
const EVERYWHERE: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    ("net/bridge/bridge-nf-call-iptables", "0"),
    ("net/bridge/bridge-nf-call-ip6tables", "0"),
    ("net/bridge/bridge-nf-call-arptables", "0"),
];

/// What namespaces that forward have. A redirect would tell hosts a way around the router.
const ROUTER: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
];

/// What nodes have. Overlay nodes listen on ports 80 and 443 without a capability; and what TCP
/// remembers of a peer must not make the next trial different from this one.
const NODE: &[(&str, &str)] =
    &[("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/tcp_no_metrics_save", "1")];

/// Settings of every namespace of a lab. Those of parts that the kernel lacks are passed over: without
/// IPv6 there is none to turn off.
pub fn seal() -> Result<(), NetError> {
    for (path, value) in EVERYWHERE {
        match set(path, value) {
            Err(NetError::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Settings of a namespace that forwards. `strict`: packets whose source is not routed back through the
/// interface that they came from are dropped (BCP 38), as access networks do.
pub fn router(strict: bool) -> Result<(), NetError> {
    set_all(ROUTER)?;
    let filter = if strict { "1" } else { "0" };
    set("net/ipv4/conf/all/rp_filter", filter)?;
    set("net/ipv4/conf/default/rp_filter", filter)
}

/// Settings of the WAN's core, which routes nothing by itself: its engine does.
pub fn core() -> Result<(), NetError> {
    set("net/ipv4/ip_forward", "0")
}

/// Whether the kernel forwards in the calling thread's namespace, the core of a WAN: from an access link only what
/// its own addresses send.
pub fn forward(forward: bool) -> Result<(), NetError> {
    if forward {
        return router(true);
    }
    set("net/ipv4/ip_forward", "0")
}

/// Settings of a node's namespace.
pub fn node() -> Result<(), NetError> {
    set_all(NODE)
}

fn set_all(settings: &[(&str, &str)]) -> Result<(), NetError> {
    settings.iter().try_for_each(|(path, value)| set(path, value))
}

/// Writes one setting of the calling thread's namespace. `path` is below `/proc/sys` and begins with
/// `net/`: all others are the host's.
pub fn set(path: &str, value: &str) -> Result<(), NetError> {
    let below = Path::new(path);
    let fail = |source| NetError::Sysctl {
        path: Path::new("/proc/sys").join(below),
        value: value.to_owned(),
        source,
    };
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || !below.starts_with("net") {
        return Err(fail(io::Error::new(
            io::ErrorKind::InvalidInput,
            "only settings below net/ belong to a namespace; write it as net/ipv4/ip_forward",
        )));
    }
    write(path, value).map_err(fail)
}

fn write(path: &str, value: &str) -> io::Result<()> {
    PRIVATE.with_borrow(|private| {
        let Some(proc) = private else { return fs::write(Path::new("/proc/sys").join(path), value) };
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = openat(proc, Path::new("sys").join(path).as_path(), flags, Mode::empty())?;
        File::from(file).write_all(value.as_bytes())
    })
}

thread_local! {
    /// The `/proc` that this thread writes settings below, if it is one of its own.
    static PRIVATE: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
}

/// Lets the calling thread write settings below a `/proc` of its own, a new one at each call.
///
/// The kernel keeps what it looked up below `/proc/sys` for each namespace, all namespaces' names in one
/// list, which it goes through at the next look-up: settings of the thousandth namespace would take many times
/// as long as those of the first. What was looked up in a `/proc` goes with it, and so does its memory.
pub(super) fn renew() {
    // Where that is not allowed, or the kernel is older than 5.8, the settings take their time.
    // The old one goes first: it is not needed for the new one.
    PRIVATE.set(None);
    PRIVATE.set(sys::mount_private_proc().ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_the_host_is_refused_before_it_is_written() {
        for path in ["kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "net/../kernel/hostname", ""] {
            let error = set(path, "1").unwrap_err();
            assert!(
                matches!(&error, NetError::Sysctl { source, .. } if source.kind() == io::ErrorKind::InvalidInput),
                "{path}: {error}"
            );
        }
    }
}
