//! Rights, programs and size of this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{AccessFlags, Uid, access};

use super::{Check, Size, Verdict};
use crate::runtime::{self, RuntimeKind};
use crate::world::{self, effective_capabilities};

/// Capabilities that making a lab takes, by number (`linux/capability.h`), with what for.
const CAPABILITIES: [(u32, &str); 6] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (12, "CAP_NET_ADMIN"),
    (13, "CAP_NET_RAW"),
    (19, "CAP_SYS_PTRACE"),
    (21, "CAP_SYS_ADMIN"),
];

/// Programs of the host, with the Debian package that has each.
const PROGRAMS: [(&str, &str, &[&str]); 4] = [
    ("nft", "nftables", &["--version"]),
    ("iptables", "iptables", &["--version"]),
    ("iptables-restore", "iptables", &["--version"]),
    ("ip", "iproute2", &["-V"]),
];

impl Size {
    /// Bytes that a node takes, its program among them. Docker Engine's helper process for each container holds
    /// about 13 MB in about 11 threads.
    const fn memory_per_node(self) -> u64 {
        match self.runtime {
            RuntimeKind::Docker => 24 << 20,
            RuntimeKind::Embedded => 6 << 20,
        }
    }

    const fn threads_per_node(self) -> u64 {
        match self.runtime {
            RuntimeKind::Docker => 20,
            RuntimeKind::Embedded => 4,
        }
    }
}

/// The checks that need neither the engine nor the kernel's network.
pub fn checks(size: Option<Size>, refused: Option<(String, String)>) -> Vec<Check> {
    let rights = refused.map_or_else(rights, |(found, mend)| Verdict::missing(found, mend));
    let mut checks = vec![Check::new("rights", rights)];
    // Each is a process: side by side they take as long as one.
    let programs = std::thread::scope(|scope| {
        let versions: Vec<_> = PROGRAMS
            .iter()
            .map(|(program, package, ask)| {
                scope.spawn(move || Check::new(program, version(program, package, ask)))
            })
            .collect();
        versions
            .into_iter()
            .map(|thread| thread.join().expect("asking for a version does not panic"))
            .collect::<Vec<_>>()
    });
    checks.extend(programs);
    checks.push(Check::new("node program", node_program()));
    checks.push(Check::new("/run", run_directory()));
    checks.push(Check::new("memory", memory(size)));
    checks.push(Check::new("threads", threads(size)));
    checks
}

fn rights() -> Verdict {
    let missing: Vec<&str> = match effective_capabilities() {
        Some(set) => {
            CAPABILITIES.iter().filter(|(bit, _)| set & (1 << bit) == 0).map(|(_, name)| *name).collect()
        }
        None if Uid::effective().is_root() => Vec::new(),
        None => CAPABILITIES.iter().map(|(_, name)| *name).collect(),
    };
    if missing.is_empty() {
        return Verdict::good(match (world::has_all_users(), Uid::effective().is_root()) {
            (false, _) => "in a user namespace of its own",
            (true, true) => "root",
            (true, false) => "all capabilities needed",
        });
    }
    let found = format!("user {} lacks {}", Uid::effective(), missing.join(", "));
    let mend = if Uid::effective().is_root() {
        "run labctl where root has these capabilities (in a container: privileged)"
    } else {
        "run labctl as root, with sudo for instance, or use '--runtime embedded'"
    };
    Verdict::missing(found, mend)
}

/// In `PATH`, or where Debian has programs for root.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| access(path, AccessFlags::X_OK).is_ok())
}

fn version(program: &str, package: &str, ask: &[&str]) -> Verdict {
    let mend = format!("install it with 'apt-get install {package}'");
    let Some(path) = find(program) else { return Verdict::missing("not found", mend) };
    match Command::new(&path).args(ask).output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Verdict::good(text.lines().next().unwrap_or_default().trim())
        }
        Ok(output) => Verdict::missing(format!("{} fails ({})", path.display(), output.status), mend),
        Err(error) => Verdict::missing(format!("{} cannot be run: {error}", path.display()), mend),
    }
}

fn node_program() -> Verdict {
    match runtime::find_program() {
        Ok(path) => Verdict::good(path.display().to_string()),
        Err(error) => {
            let (found, mend) = error.found_and_mend();
            Verdict::missing(found, mend)
        }
    }
}

fn run_directory() -> Verdict {
    match access(Path::new("/run"), AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Verdict::good("can be written"),
        Err(error) => Verdict::missing(
            format!("cannot be written ({error})"),
            "labs keep their control sockets there: run as root, or mount a tmpfs on /run",
        ),
    }
}

fn memory(size: Option<Size>) -> Verdict {
    let Some(available) = available_memory() else {
        return Verdict::warning("the available memory is not known", "mount /proc");
    };
    let mebibytes = available >> 20;
    match size {
        Some(size) if size.nodes * size.memory_per_node() > available => Verdict::missing(
            format!(
                "{mebibytes} MiB available; {} nodes take about {} MiB",
                size.nodes,
                (size.nodes * size.memory_per_node()) >> 20
            ),
            "use fewer nodes, or a super node with several 'addresses' in place of several super nodes",
        ),
        _ => Verdict::good(format!("{mebibytes} MiB available")),
    }
}

fn available_memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

fn threads(size: Option<Size>) -> Verdict {
    let Some((used, limit)) = thread_numbers() else {
        return Verdict::warning("the number of threads is not known", "mount /proc");
    };
    let free = limit.saturating_sub(used);
    match size {
        Some(size) if size.nodes * size.threads_per_node() > free => Verdict::missing(
            format!(
                "{free} more threads possible; {} nodes take about {}",
                size.nodes,
                size.nodes * size.threads_per_node()
            ),
            "raise kernel.pid_max and kernel.threads-max (sysctl), or use fewer nodes",
        ),
        _ => Verdict::good(format!("{free} more possible")),
    }
}

/// Threads that there are, and that there can be.
fn thread_numbers() -> Option<(u64, u64)> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let used = load.split_whitespace().nth(3)?.split('/').nth(1)?.parse().ok()?;
    let read = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    Some((used, read("/proc/sys/kernel/pid_max")?.min(read("/proc/sys/kernel/threads-max")?)))
}
