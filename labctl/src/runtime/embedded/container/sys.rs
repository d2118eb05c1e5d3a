//! The system calls that make a container and that `nix` has no safe form of.
//!
//! Those that the container's process makes before its program allocate nothing and take no lock: the process
//! was forked from one with threads.
#![expect(unsafe_code, reason = "system calls for which there is no safe wrapper")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;
use seccompiler::sock_filter;

type Result<T> = std::result::Result<T, Errno>;

/// Attributes of mounts (`MOUNT_ATTR_*` of `linux/mount.h`).
pub(super) const READ_ONLY: u64 = 0x01;
pub(super) const NO_SUID: u64 = 0x02;
pub(super) const NO_DEVICES: u64 = 0x04;
pub(super) const NO_EXECUTION: u64 = 0x08;

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const PRIVATE: u64 = 1 << 18;
const RECURSIVE: c_long = libc::AT_RECURSIVE as c_long;

/// What `fork` answers, to each of the two.
pub(super) enum Forked {
    /// To the process that called.
    Parent {
        /// The new process.
        pid: Pid,
        /// Its descriptor.
        process: OwnedFd,
    },
    /// To the new process.
    Child,
}

/// A new process with new namespaces (`CLONE_NEW*`), as fork(2) makes it.
///
/// The new process must make system calls only (no memory is allocated, no lock taken) and end by
/// [`execute`] or [`exit`]: of all threads only the calling one is in it, and what the others held at that
/// moment stays locked.
pub(super) fn fork(namespaces: c_int) -> Result<Forked> {
    let mut process: RawFd = -1;
    // SAFETY: `clone_args` holds integers only, for all of which zero is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from((namespaces | libc::CLONE_PIDFD).cast_unsigned());
    arguments.pidfd = (&raw mut process) as u64;
    arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    // SAFETY: without CLONE_VM and with no stack given, this is fork(2): the child has a copy of all memory.
    // The kernel reads the arguments during the call and writes a descriptor to where `pidfd` points.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments)) };
    match Errno::result(result)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent {
            pid: Pid::from_raw(c_int::try_from(pid).map_err(|_| Errno::ERANGE)?),
            // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
            process: unsafe { OwnedFd::from_raw_fd(process) },
        }),
    }
}

/// A copy of the mounts at and below a path, which is mounted nowhere yet.
pub(super) fn copy_mounts(path: &CStr) -> Result<OwnedFd> {
    let flags = c_long::from(libc::OPEN_TREE_CLOEXEC) | c_long::from(libc::OPEN_TREE_CLONE) | RECURSIVE;
    // SAFETY: the path is a terminated string that lives through the call; the result is a descriptor or -1.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let fd = c_int::try_from(Errno::result(result)?).map_err(|_| Errno::ERANGE)?;
    // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts what [`copy_mounts`] made in its place.
pub(super) fn place_mounts(mounts: BorrowedFd<'_>, target: &CStr) -> Result<()> {
    // SAFETY: the descriptor is open, and both strings live, for the length of the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mounts.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            c_long::from(libc::MOVE_MOUNT_F_EMPTY_PATH),
        )
    };
    Errno::result(result).map(drop)
}

/// Adds attributes to mounts that are nowhere yet, which also hear nothing of other mounts from then on.
pub(super) fn restrict_copy(mounts: &impl AsFd, attributes: u64) -> Result<()> {
    let flags = RECURSIVE | c_long::from(libc::AT_EMPTY_PATH);
    restrict(mounts.as_fd().as_raw_fd(), c"", flags, attributes, PRIVATE)
}

/// Adds attributes to the mount at a path.
pub(super) fn restrict_mount(path: &CStr, attributes: u64) -> Result<()> {
    restrict(libc::AT_FDCWD, path, 0, attributes, 0)
}

fn restrict(at: RawFd, path: &CStr, flags: c_long, set: u64, propagation: u64) -> Result<()> {
    let attributes = MountAttributes { set, clear: 0, propagation, user_namespace: 0 };
    // SAFETY: the string and the structure, whose size is given, live through the call and are only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    Errno::result(result).map(drop)
}

/// Becomes this user and group, for good. For a process with one thread: the C library would tell the others.
pub(super) fn become_user(id: u32, forget_groups: bool) -> Result<()> {
    if forget_groups {
        // SAFETY: no groups are read.
        Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()) })?;
    }
    // SAFETY: both calls take integers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) }).map(drop)
}

/// `struct __user_cap_header_struct` of `linux/capability.h`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// Version 3: 64 capabilities, in two parts.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Gives up all capabilities, also those that a program could get again.
pub(super) fn drop_capabilities() -> Result<()> {
    for capability in 0_u64.. {
        // SAFETY: takes integers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(result) {
            Ok(_) => {}
            // Past the last capability that the kernel knows.
            Err(Errno::EINVAL) if capability > 0 => break,
            Err(error) => return Err(error),
        }
    }
    // SAFETY: takes integers only.
    Errno::result(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong, 0, 0, 0)
    })?;
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    // Effective, permitted and inheritable, twice.
    let none = [0_u32; 6];
    // SAFETY: both structures have the layout of this version, live through the call and are only read.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    Errno::result(result).map(drop)
}

/// The last signal of Linux.
const LAST_SIGNAL: c_int = 64;

/// All signals have their default effect again and none is held back.
pub(super) fn reset_signals() -> Result<()> {
    // The kernel's `struct sigaction` with the default effect, no flag and an empty mask. Not the C library's,
    // which leaves its own two signals as they are.
    let default = [0_u64; 4];
    let size_of_mask = size_of::<u64>();
    for signal in 1..=LAST_SIGNAL {
        let old = ptr::null_mut::<u64>();
        // SAFETY: no handler is set, the structure is only read, and the old one is not asked for. The two
        // signals that cannot be changed answer with an error, which changes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, size_of_mask) };
    }
    // SAFETY: all zeroes is an empty set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives through the call; the old one is not asked for.
    let result = unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
    Errno::result(result).map(drop)
}

/// Every descriptor from `first` on closes when the program starts.
pub(super) fn close_on_exec_from(first: RawFd) -> Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes integers only, and closes nothing yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    Errno::result(result).map(drop)
}

/// Makes `to` another name for the open file `from`, for the program as well.
pub(super) fn duplicate_onto(from: RawFd, to: RawFd) -> Result<()> {
    // SAFETY: takes integers only. The process has no owner of standard input, output or error that could
    // be surprised: it ends by becoming a program.
    Errno::result(unsafe { libc::dup2(from, to) }).map(drop)
}

/// Binds the calling process to a filter of system calls, for good.
pub(super) fn filter_system_calls(filter: &[sock_filter]) -> Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: `program` points to that many instructions of the kernel's layout (both crates mirror
    // `struct sock_filter`), and the kernel copies them during the call.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    Errno::result(result).map(drop)
}

/// Terminated strings in the form in which execve(2) takes them.
#[derive(Debug)]
pub(super) struct StringList {
    pointers: Vec<*const c_char>,
    strings: Vec<CString>,
}

// SAFETY: the pointers point into the strings' own memory on the heap, which moves with neither vector, and
// nothing changes it.
unsafe impl Sync for StringList {}

impl StringList {
    pub(super) fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, strings }
    }

    /// The first of them, for people.
    pub(super) fn first(&self) -> String {
        self.strings.first().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Becomes the program. Returns only if that fails.
pub(super) fn execute(program: &CStr, arguments: &StringList, environment: &StringList) -> Errno {
    // SAFETY: all three are terminated, the lists by a null pointer, and live until the process is replaced.
    unsafe {
        libc::execve(program.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    }
    Errno::last()
}

/// Ends the process at once.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: does not return, and runs nothing of this process.
    unsafe { libc::_exit(code) }
}
