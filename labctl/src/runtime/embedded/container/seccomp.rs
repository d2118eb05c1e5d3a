//! The filter of system calls: what no node needs, and what could be turned against the kernel.
//!
//! A filter of refusals, not of permissions, because nobody knows what a user's program calls. Nothing here
//! is the only wall: without capabilities most of these calls are refused anyway.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// System calls that are refused whatever their arguments are.
const REFUSED: &[libc::c_long] = &[
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    // Keys are of a user, not of a namespace.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Wide doors that attackers like and nodes do not use.
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Flags of clone(2) that make namespaces.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWCGROUP,
];

/// Families of sockets that are open to nodes. Others, as `AF_VSOCK`, are not of a network namespace.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Instructions of classic BPF (`linux/bpf_common.h`, `linux/seccomp.h`).
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// On x86-64, calls with this bit are of another binary interface (x32), which has the same calls again.
const X32: u32 = 0x4000_0000;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: seccompiler::TargetArch = seccompiler::TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: seccompiler::TargetArch = seccompiler::TargetArch::aarch64;

/// The filter as a program for the kernel.
pub(super) fn filter() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|number| (*number, Vec::new())).collect();
    rules.insert(libc::SYS_clone, clone_rules()?);
    rules.insert(libc::SYS_socket, vec![socket_rule()?]);
    let refuse = SeccompAction::Errno(Errno::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCHITECTURE)?;
    let mut program = prelude();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// One rule for each flag, any of which refuses the call.
fn clone_rules() -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |flag: &libc::c_int| {
        let flag = u64::from(flag.cast_unsigned());
        let set = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![set])
    };
    NAMESPACES.iter().map(rule).collect()
}

/// Refuses what is none of the families.
fn socket_rule() -> Result<SeccompRule, BackendError> {
    let differs = |family: &libc::c_int| {
        let family = u64::from(family.cast_unsigned());
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    };
    SeccompRule::new(FAMILIES.iter().map(differs).collect::<Result<_, _>>()?)
}

/// What has to look as if the kernel did not know it: the C library then falls back from clone3, whose flags
/// a filter cannot see, to clone.
fn prelude() -> BpfProgram {
    let clone3 = u32::try_from(libc::SYS_clone3).expect("system calls have small numbers");
    let unknown = libc::SECCOMP_RET_ERRNO | Errno::ENOSYS as u32;
    [
        (LOAD_WORD, 0, 0, 0),
        (JUMP_IF_EQUAL, 1, 0, clone3),
        (JUMP_IF_AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, unknown),
    ]
    .map(|(code, jt, jf, k)| sock_filter { code, jt, jf, k })
    .into()
}
