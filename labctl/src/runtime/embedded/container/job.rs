//! What a container's process needs on its way to the program, all made before the process is: after a fork
//! from a process with threads nothing can be allocated.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use overlay_control::DIRECTORY_IN_CONTAINER;
use seccompiler::sock_filter;

use super::error::ContainerError;
use super::identity::Identity;
use super::spec::{ContainerSpec, Root};
use super::sys::{self, StringList};
use super::template::{Place, copy_of_host};
use crate::topology::Mount;

/// Where a shell would look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Open files of a container's process at most.
const FILES: u64 = 65_536;
/// Sizes of what a container can write to in memory, MiB.
const TMP: u32 = 64;
const RUN: u32 = 16;
/// As the kernel has it (`HOST_NAME_MAX`).
const LONGEST_NAME: usize = 64;

/// A mount into a container's own copy of its files.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) mounts: OwnedFd,
    pub(super) target: CString,
    /// Directories that have to be made before, outer ones first.
    pub(super) directories: Vec<CString>,
    /// Whether the target is a file that has to be made.
    pub(super) needs_file: bool,
}

/// A file system in memory.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) target: CString,
    pub(super) options: CString,
}

/// Where the process goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Into<'a> {
    /// A new container.
    New {
        /// The mount namespace that its own is copied from.
        template: BorrowedFd<'a>,
        network: BorrowedFd<'a>,
    },
    /// The container of this process (pidfd).
    Existing(BorrowedFd<'a>),
}

/// Everything about a container's process.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) into: Into<'a>,
    pub(super) output: BorrowedFd<'a>,
    pub(super) errors: BorrowedFd<'a>,
    /// The process that starts it.
    pub(super) parent: BorrowedFd<'a>,
    pub(super) identity: &'a Identity,
    pub(super) filter: &'a [sock_filter],
    pub(super) hostname: &'a str,
    /// `cgroup.procs` of its control groups.
    pub(super) cgroups: Vec<OwnedFd>,
    pub(super) whole_proc: bool,
    pub(super) scratch: Vec<Scratch>,
    pub(super) placed: Vec<Placed>,
    pub(super) limits: Vec<(Resource, u64)>,
    /// Where the program may be.
    pub(super) candidates: Vec<CString>,
    pub(super) arguments: StringList,
    pub(super) environment: StringList,
}

/// What all containers of a spawner have in common.
pub(super) struct Common<'a> {
    pub(super) parent: BorrowedFd<'a>,
    pub(super) identity: &'a Identity,
    pub(super) filter: &'a [sock_filter],
}

/// What a process gets when it is started.
#[derive(Clone, Copy)]
pub(super) struct Handed<'a> {
    pub(super) into: Into<'a>,
    pub(super) output: BorrowedFd<'a>,
    pub(super) errors: BorrowedFd<'a>,
}

impl<'a> Job<'a> {
    /// `command` is run with what else the container's program has.
    pub(super) fn new(
        spec: &'a ContainerSpec,
        command: &[String],
        common: &Common<'a>,
        handed: Handed<'a>,
        cgroups: Vec<OwnedFd>,
    ) -> Result<Self, ContainerError> {
        let nul = |what: &str| {
            let reason = format!("its {what} has a NUL in it; take it out");
            ContainerError::Spec { container: spec.hostname.clone(), reason }
        };
        let limits = limits(spec, cgroups.is_empty());
        let placed = match handed.into {
            Into::New { .. } => placed(spec)?,
            Into::Existing(_) => Vec::new(),
        };
        Ok(Self {
            into: handed.into,
            output: handed.output,
            errors: handed.errors,
            parent: common.parent,
            identity: common.identity,
            filter: common.filter,
            hostname: &spec.hostname,
            cgroups,
            whole_proc: !matches!(spec.root, Root::Program(_)),
            scratch: scratch(spec, common.identity),
            placed,
            limits,
            candidates: candidates(spec, command).map_err(|_| nul("command"))?,
            arguments: strings(command.iter().cloned()).map_err(|_| nul("command"))?,
            environment: strings(environment(spec)).map_err(|_| nul("environment"))?,
        })
    }
}

/// Fails if no container can be made of this.
pub(super) fn check(spec: &ContainerSpec, command: &[String]) -> Result<(), ContainerError> {
    let wrong = |reason: String| ContainerError::Spec { container: spec.hostname.clone(), reason };
    if spec.hostname.is_empty() || spec.hostname.len() > LONGEST_NAME || spec.hostname.contains(['/', '\0']) {
        return Err(wrong(format!("a host name has 1 to {LONGEST_NAME} characters and no '/'")));
    }
    if command.first().is_none_or(String::is_empty) {
        return Err(wrong("there is no command; name a program".to_owned()));
    }
    for mount in &spec.mounts {
        let Mount { source, target, .. } = mount;
        let plain = |path: &Path| {
            path.is_absolute()
                && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        };
        if !plain(source) || !plain(target) || target == Path::new("/") {
            let (source, target) = (source.display(), target.display());
            return Err(wrong(format!(
                "the mount {source}:{target} needs absolute paths without '..', and a target below '/'"
            )));
        }
        if ["/proc", "/dev", "/sys", DIRECTORY_IN_CONTAINER].iter().any(|own| target.starts_with(own)) {
            let target = target.display();
            return Err(wrong(format!("nothing can be mounted at {target}; choose another target")));
        }
    }
    Ok(())
}

/// The user's mounts, outer ones first.
pub(super) fn places(spec: &ContainerSpec) -> Vec<Place> {
    let place = |mount: &Mount| Place { target: mount.target.clone(), is_directory: mount.source.is_dir() };
    let mut places: Vec<_> = spec.mounts.iter().map(place).collect();
    places.sort();
    places
}

fn limits(spec: &ContainerSpec, without_cgroups: bool) -> Vec<(Resource, u64)> {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(FILES, |(_, hard)| hard);
    let mut limits = vec![
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, FILES.min(most)),
        // Counted for each user namespace by itself since Linux 5.14.
        (Resource::RLIMIT_NPROC, spec.limits.pids.into()),
    ];
    if without_cgroups {
        limits.push((Resource::RLIMIT_DATA, spec.limits.memory));
    }
    limits
}

fn scratch(spec: &ContainerSpec, identity: &Identity) -> Vec<Scratch> {
    let tmp = Scratch { target: c"/tmp".into(), options: identity.scratch("1777", TMP) };
    let run = Scratch { target: c"/run".into(), options: identity.scratch("755", RUN) };
    if matches!(spec.root, Root::Program(_)) { vec![tmp] } else { vec![tmp, run] }
}

fn placed(spec: &ContainerSpec) -> Result<Vec<Placed>, ContainerError> {
    let own =
        Mount { source: spec.directory.clone(), target: DIRECTORY_IN_CONTAINER.into(), read_only: false };
    let mut mounts: Vec<&Mount> = spec.mounts.iter().chain([&own]).collect();
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts.into_iter().map(|mount| place(spec, mount)).collect()
}

fn place(spec: &ContainerSpec, mount: &Mount) -> Result<Placed, ContainerError> {
    let fail = |source| ContainerError::Path {
        container: spec.hostname.clone(),
        doing: "mounting",
        path: mount.source.clone(),
        source,
    };
    let read_only = if mount.read_only { sys::READ_ONLY } else { 0 };
    let mounts = copy_of_host(&mount.source, read_only | sys::NO_SUID | sys::NO_DEVICES).map_err(fail)?;
    let is_directory = mount.source.is_dir();
    let string = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let target = string(&mount.target).map_err(|error| fail(error.into()))?;
    let place = Place { target: mount.target.clone(), is_directory };
    // With no file system of its own there, /run is part of the root that was made before.
    let is_made_before =
        !place.is_in_own() || (matches!(spec.root, Root::Program(_)) && mount.target.starts_with("/run"));
    if is_made_before {
        return Ok(Placed { mounts, target, directories: Vec::new(), needs_file: false });
    }
    let own = mount.target.ancestors().skip(usize::from(!is_directory));
    let mut directories = own
        // Neither `/` nor `/tmp` itself.
        .take_while(|path| path.components().count() > 2)
        .map(string)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fail(error.into()))?;
    directories.reverse();
    Ok(Placed { mounts, target, directories, needs_file: !is_directory })
}

fn path_of(spec: &ContainerSpec) -> &str {
    let otherwise = if matches!(spec.root, Root::Program(_)) { "/" } else { PATH };
    spec.environment.get("PATH").map_or(otherwise, String::as_str)
}

/// Where the program may be, as a shell would look for it.
fn candidates(spec: &ContainerSpec, command: &[String]) -> Result<Vec<CString>, NulError> {
    let Some(program) = command.first() else { return Ok(Vec::new()) };
    if program.contains('/') {
        return Ok(vec![CString::new(program.as_str())?]);
    }
    path_of(spec)
        .split(':')
        .map(|directory| CString::new(format!("{}/{program}", directory.trim_end_matches('/'))))
        .collect()
}

fn environment(spec: &ContainerSpec) -> impl Iterator<Item = String> {
    let mut all: BTreeMap<_, _> =
        spec.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.insert("PATH", path_of(spec));
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().into_iter()
}

fn strings(strings: impl Iterator<Item = String>) -> Result<StringList, NulError> {
    Ok(StringList::new(strings.map(CString::new).collect::<Result<_, _>>()?))
}

/// Namespaces that the process is born into; the others it makes on its way.
pub(super) const BORN_INTO: libc::c_int = libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::embedded::container::Limits;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            hostname: "alice".to_owned(),
            root: Root::Host,
            command: vec!["sh".to_owned()],
            environment: BTreeMap::new(),
            directory: "/".into(),
            mounts: Vec::new(),
            limits: Limits { memory: 1 << 20, pids: 8 },
            cgroup: None,
        }
    }

    #[test]
    fn a_name_is_looked_up_in_the_path_of_the_container() {
        let mut spec = spec();
        spec.environment.insert("PATH".to_owned(), "/opt/bin:/".to_owned());
        assert_eq!(candidates(&spec, &spec.command).unwrap(), [c"/opt/bin/sh".to_owned(), c"/sh".to_owned()]);
        spec.command = vec!["./sh".to_owned()];
        assert_eq!(candidates(&spec, &spec.command).unwrap(), [c"./sh".to_owned()]);
    }

    #[test]
    fn there_is_always_a_path() {
        let path = |root: Root| environment(&ContainerSpec { root, ..spec() }).next().unwrap();
        assert_eq!(path(Root::Host), format!("PATH={PATH}"));
        assert_eq!(path(Root::Program("/x/node".into())), "PATH=/");
    }

    #[test]
    fn mounts_that_make_no_sense_are_refused() {
        for (source, target, words) in [
            ("data", "/data", "absolute"),
            ("/data", "data", "absolute"),
            ("/data/../etc", "/data", "absolute"),
            ("/data", "/", "below '/'"),
            ("/data", "/proc/sys", "another target"),
            ("/data", "/run/overlay", "another target"),
        ] {
            let mount = Mount { source: source.into(), target: target.into(), read_only: true };
            let error = check(&ContainerSpec { mounts: vec![mount], ..spec() }, &["sh".to_owned()])
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{source}:{target}: {error}");
        }
    }
}
