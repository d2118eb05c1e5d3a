//! The container's process on its way to the program.
//!
//! Nothing here allocates or takes a lock: the process was forked from one with threads. It has all rights of
//! the one that started it until it is in its user namespace, and none of them after that.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::resource::setrlimit;
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, mkdir, sethostname, write};

use super::job::{Into, Job, Placed};
use super::step::{Message, Step};
use super::sys;
use super::template::PROOF;
use crate::runtime::NODE_USER;

/// What container engines answer when the failure is theirs and not the program's.
const NOT_STARTED: i32 = 125;

/// A failed step: which, at what, and why.
struct Failure {
    step: Step,
    item: u16,
    error: Errno,
}

type Outcome<T = ()> = Result<T, Failure>;

fn at<T>(step: Step, result: nix::Result<T>) -> Outcome<T> {
    at_item(step, 0, result)
}

fn at_item<T>(step: Step, item: usize, result: nix::Result<T>) -> Outcome<T> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a container has few mounts; the number is for a message"
    )]
    result.map_err(|error| Failure { step, item: item as u16, error })
}

/// Becomes the container's program. `channel` leads to the process that started this one.
pub(super) fn run(job: &Job<'_>, channel: BorrowedFd<'_>) -> ! {
    if let Err(Failure { step, item, error }) = become_program(job, channel) {
        // If nobody hears it, nobody waits.
        let _ = tell(channel, Message::Failed { step, item, error });
    }
    sys::exit(NOT_STARTED)
}

fn tell(channel: BorrowedFd<'_>, message: Message) -> nix::Result<()> {
    send(channel.as_raw_fd(), &message.encode(), MsgFlags::MSG_NOSIGNAL).map(drop)
}

fn become_program(job: &Job<'_>, channel: BorrowedFd<'_>) -> Outcome {
    at(Step::JoinControlGroup, join_cgroups(job))?;
    match job.into {
        Into::New { template, network } => {
            at(Step::JoinNetwork, setns(network, CloneFlags::CLONE_NEWNET))?;
            at(Step::NameHost, sethostname(job.hostname))?;
            make_files(job, template)?;
            if !job.cgroups.is_empty() {
                at(Step::HideControlGroup, unshare(CloneFlags::CLONE_NEWCGROUP))?;
            }
            at(Step::NewUsers, unshare(CloneFlags::CLONE_NEWUSER))?;
            at(Step::MapUsers, wait_for_users(channel))?;
        }
        Into::Existing(container) => enter_container(job, container)?,
    }
    become_nobody(job)?;
    connect_output(job)?;
    at(Step::DieWithParent, die_with_parent(job))?;
    at(Step::FilterSystemCalls, set_no_new_privs())?;
    // Last: what it refuses is needed above.
    at(Step::Execute, tell(channel, Message::Executes))?;
    at(Step::FilterSystemCalls, sys::filter_system_calls(job.filter))?;
    Err(execute(job))
}

fn join_cgroups(job: &Job<'_>) -> nix::Result<()> {
    // 0 is the process that writes.
    job.cgroups.iter().try_for_each(|procs| write(procs, b"0").map(drop))
}

/// Joins the namespaces of a process. Its process namespace was joined before this process was made.
fn enter_container(job: &Job<'_>, container: BorrowedFd<'_>) -> Outcome {
    let mut namespaces = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    // Without control groups a container has no such namespace of its own.
    if !job.cgroups.is_empty() {
        namespaces |= CloneFlags::CLONE_NEWCGROUP;
    }
    at(Step::EnterContainer, setns(container, namespaces))?;
    // Last: in there this process has no right to join the others.
    at(Step::EnterContainer, setns(container, CloneFlags::CLONE_NEWUSER))?;
    at(Step::EnterContainer, chdir(c"/"))
}

fn make_files(job: &Job<'_>, template: BorrowedFd<'_>) -> Outcome {
    at(Step::EnterFiles, setns(template, CloneFlags::CLONE_NEWNS))?;
    at(Step::CopyFiles, unshare(CloneFlags::CLONE_NEWNS))?;
    umask(Mode::from_bits_truncate(0o022));
    mount_proc(job)?;
    for scratch in &job.scratch {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let options = Some(scratch.options.as_c_str());
        let mounted = mount(Some(c"tmpfs"), scratch.target.as_c_str(), Some(c"tmpfs"), flags, options);
        at(Step::MountScratch, mounted)?;
    }
    for (number, placed) in job.placed.iter().enumerate() {
        at_item(Step::MakePlace, number, make_place(placed))?;
        at_item(Step::Mount, number, sys::place_mounts(placed.mounts.as_fd(), &placed.target))?;
    }
    at(Step::EnterFiles, chdir(c"/"))
}

/// A program that needs nothing sees only processes there; others see what they are used to, but the settings
/// of the kernel are read-only.
fn mount_proc(job: &Job<'_>) -> Outcome {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = (!job.whole_proc).then_some(c"subset=pid");
    at(Step::MountProc, mount(Some(c"proc"), c"/proc", Some(c"proc"), flags, options))?;
    if !job.identity.initial {
        at(Step::MountProc, umount2(PROOF, MntFlags::MNT_DETACH))?;
    }
    if job.whole_proc {
        let settings = c"/proc/sys";
        let bound = mount(Some(settings), settings, None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>);
        at(Step::ProtectProc, bound.and_then(|()| sys::restrict_mount(settings, sys::READ_ONLY)))?;
    }
    Ok(())
}

fn make_place(placed: &Placed) -> nix::Result<()> {
    for directory in &placed.directories {
        match mkdir(directory.as_c_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    if placed.needs_file {
        let flags = OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        open(placed.target.as_c_str(), flags, Mode::from_bits_truncate(0o644))?;
    }
    Ok(())
}

/// In its user namespace the process has all rights still. After this it has none.
fn become_nobody(job: &Job<'_>) -> Outcome {
    at(Step::BecomeUser, sys::become_user(NODE_USER, job.identity.may_set_groups))?;
    at(Step::DropCapabilities, sys::drop_capabilities())?;
    for (resource, most) in &job.limits {
        at(Step::LimitResources, setrlimit(*resource, *most, *most))?;
    }
    Ok(())
}

fn wait_for_users(channel: BorrowedFd<'_>) -> nix::Result<()> {
    tell(channel, Message::NeedsUsers)?;
    let mut answer = [0];
    match recv(channel.as_raw_fd(), &mut answer, MsgFlags::empty())? {
        1 => Ok(()),
        // The other end is gone.
        _ => Err(Errno::EPIPE),
    }
}

fn connect_output(job: &Job<'_>) -> Outcome {
    let input = at(Step::ConnectOutput, open(c"/dev/null", OFlag::O_RDONLY, Mode::empty()))?;
    let (output, errors) = (job.output.as_raw_fd(), job.errors.as_raw_fd());
    let connected = sys::duplicate_onto(input.as_raw_fd(), 0)
        .and_then(|()| sys::duplicate_onto(output, 1))
        .and_then(|()| sys::duplicate_onto(errors, 2))
        .and_then(|()| sys::close_on_exec_from(3));
    at(Step::ConnectOutput, connected)
}

fn die_with_parent(job: &Job<'_>) -> nix::Result<()> {
    // What enters a container ends with that.
    if matches!(job.into, Into::Existing(_)) {
        return sys::reset_signals();
    }
    // Not before the user is changed, which takes it back.
    set_pdeathsig(Signal::SIGKILL)?;
    // The other process may have ended before. Its number says nothing in this process namespace.
    let mut parent = [PollFd::new(job.parent, PollFlags::POLLIN)];
    match poll(&mut parent, PollTimeout::ZERO)? {
        0 => sys::reset_signals(),
        _ => Err(Errno::ESRCH),
    }
}

/// Tries the places where the program may be, as a shell does. Returns why it is in none.
fn execute(job: &Job<'_>) -> Failure {
    let mut why = Errno::ENOENT;
    for candidate in &job.candidates {
        match sys::execute(candidate, &job.arguments, &job.environment) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            error => why = error,
        }
    }
    Failure { step: Step::Execute, item: 0, error: why }
}
