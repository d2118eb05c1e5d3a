//! What goes wrong when the machine is changed, and what can be done about it.

use std::io;
use std::path::PathBuf;

/// Why a change to the machine's network failed. Says what was being done to what.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No namespace has that name.
    #[error("there is no network namespace '{name}'; `ip netns` lists those that exist")]
    NoNamespace {
        /// The name asked for.
        name: String,
    },
    /// A namespace has that name already.
    #[error("the network namespace '{name}' exists already; `labctl down` removes what a lab left")]
    NamespaceExists {
        /// The name asked for.
        name: String,
    },
    /// A system call on a namespace failed.
    #[error("network namespace '{name}': cannot {action}: {source}{}", privilege(.source))]
    Namespace {
        /// What it is called; `pid N` for the namespace of a process.
        name: String,
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A request over netlink failed.
    #[error("network namespace '{namespace}': cannot {action}: {reason}")]
    Netlink {
        /// Where.
        namespace: String,
        /// What was being done to what.
        action: String,
        /// What the kernel said.
        reason: String,
        /// The kernel's error number; 0 if the request did not reach it.
        errno: i32,
    },
    /// No interface has that name.
    #[error("network namespace '{namespace}' has no interface '{interface}'")]
    NoInterface {
        /// Where.
        namespace: String,
        /// The name asked for.
        interface: String,
    },
    /// An interface is up and still cannot send.
    #[error("interface '{interface}' of namespace '{namespace}' is up and does not come into operation")]
    NotOperational {
        /// Where.
        namespace: String,
        /// Which.
        interface: String,
    },
    /// A link that should be made has an end that exists already.
    #[error("a link '{interface}' exists already, in namespace '{namespace}' or at its other end")]
    LinkExists {
        /// Namespace of the first end.
        namespace: String,
        /// Name of the first end.
        interface: String,
    },
    /// An offload could not be turned off.
    #[error("interface '{interface}': cannot turn {offload} off: {source}")]
    Offload {
        /// Which interface.
        interface: String,
        /// Which offload.
        offload: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A setting could not be written.
    #[error("cannot set {path} to '{value}': {source}{}", sysctl_mend(.source))]
    Sysctl {
        /// The file below `/proc/sys`.
        path: PathBuf,
        /// What should be in it.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program that applies rulesets is not installed.
    #[error("the program '{program}' is neither in PATH nor in /usr/sbin or /sbin; install it ({package})")]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program that applies rulesets could not be run.
    #[error("cannot run {program}: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A ruleset was refused.
    #[error(
        "{program} refused the ruleset of '{namespace}'{}: {message}",
        quoted(*.line, .text)
    )]
    Ruleset {
        /// Which program.
        program: &'static str,
        /// Where it should have been applied.
        namespace: String,
        /// Number of the offending line from 1; 0 if the program did not say.
        line: usize,
        /// That line.
        text: String,
        /// What the program said.
        message: String,
    },
    /// What is in force could not be read.
    #[error("cannot read with {program} what is in force in '{namespace}': {message}")]
    Listing {
        /// Which program.
        program: &'static str,
        /// Where.
        namespace: String,
        /// What it said, or what of its answer was not understood.
        message: String,
    },
    /// Connection tracking could not be read or emptied.
    #[error("connection tracking of '{namespace}': cannot {action}: {source}")]
    Conntrack {
        /// Where.
        namespace: String,
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A name in a plan points to nothing.
    #[error("the plan has no {what} '{name}'")]
    NotInPlan {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The WAN's engine failed.
    #[error("the WAN's engine: cannot {action}: {source}{}", engine_mend(.source))]
    Engine {
        /// What was being done.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A thread that should work inside a namespace could not be started.
    #[error("cannot start a thread for network namespace '{name}': {source}")]
    Thread {
        /// The namespace.
        name: String,
        /// Why.
        source: io::Error,
    },
}

fn privilege(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN)",
        _ => "",
    }
}

fn sysctl_mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (this kernel does not have that setting)",
        io::ErrorKind::ReadOnlyFilesystem => {
            " (in a container, /proc/sys must be writable: run it privileged)"
        }
        io::ErrorKind::PermissionDenied => " (run as root)",
        _ => "",
    }
}

fn engine_mend(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(nix::libc::EAFNOSUPPORT | nix::libc::ENOPROTOOPT) => " (the kernel needs CONFIG_PACKET)",
        Some(nix::libc::EPERM) => " (run as root, or with CAP_NET_RAW)",
        Some(nix::libc::ENOMEM) => " (a WAN needs 32 MiB of the kernel's memory)",
        _ => "",
    }
}

fn quoted(line: usize, text: &str) -> String {
    if line == 0 { String::new() } else { format!(", line {line}, `{}`", text.trim()) }
}
