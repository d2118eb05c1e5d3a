//! The steps of a container's process on its way to the program, and how it tells of them.

use nix::errno::Errno;

/// A step. What it is done to, if there are several, is told by a number beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    JoinControlGroup,
    EnterFiles,
    CopyFiles,
    JoinNetwork,
    NameHost,
    MountProc,
    MountScratch,
    MakePlace,
    Mount,
    ProtectProc,
    HideControlGroup,
    NewUsers,
    MapUsers,
    BecomeUser,
    DropCapabilities,
    LimitResources,
    ConnectOutput,
    DieWithParent,
    FilterSystemCalls,
    Execute,
    EnterContainer,
}

impl Step {
    const ALL: [Self; 21] = [
        Self::JoinControlGroup,
        Self::EnterFiles,
        Self::CopyFiles,
        Self::JoinNetwork,
        Self::NameHost,
        Self::MountProc,
        Self::MountScratch,
        Self::MakePlace,
        Self::Mount,
        Self::ProtectProc,
        Self::HideControlGroup,
        Self::NewUsers,
        Self::MapUsers,
        Self::BecomeUser,
        Self::DropCapabilities,
        Self::LimitResources,
        Self::ConnectOutput,
        Self::DieWithParent,
        Self::FilterSystemCalls,
        Self::Execute,
        Self::EnterContainer,
    ];

    /// What was being done.
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::JoinControlGroup => "joining its control group",
            Self::EnterFiles => "entering its files",
            Self::CopyFiles => "copying its mount namespace",
            Self::JoinNetwork => "joining its network namespace",
            Self::NameHost => "setting its host name",
            Self::MountProc => "mounting /proc",
            Self::MountScratch => "mounting its memory file systems",
            Self::MakePlace => "making the mount point",
            Self::Mount => "mounting",
            Self::ProtectProc => "making /proc/sys read-only",
            Self::HideControlGroup => "making a cgroup namespace",
            Self::NewUsers => "making a user namespace",
            Self::MapUsers => "mapping its user",
            Self::BecomeUser => "becoming its user",
            Self::DropCapabilities => "dropping capabilities",
            Self::LimitResources => "limiting resources",
            Self::ConnectOutput => "connecting its output",
            Self::DieWithParent => "tying its life to labctl's",
            Self::FilterSystemCalls => "filtering system calls",
            Self::Execute => "starting the program",
            Self::EnterContainer => "entering the container",
        }
    }

    /// What to do about a failure.
    pub(super) const fn mend(self, error: Errno) -> &'static str {
        match (self, error) {
            (_, Errno::ENOSYS) => {
                "labctl needs Linux 5.14 or later, with the namespaces and seccomp built in"
            }
            (_, Errno::ENOSPC | Errno::EAGAIN) => {
                "a limit of the system is reached; look at the values below /proc/sys/user"
            }
            (Self::MountProc, Errno::EPERM) => {
                "parts of /proc are hidden here, as in a Docker container; run labctl outside of it"
            }
            (Self::MakePlace | Self::Mount, Errno::ENOENT | Errno::ENOTDIR | Errno::EROFS) => {
                "mount it below /tmp or /run, at the top of the root, or on what is there already"
            }
            (Self::DieWithParent, _) => "labctl ended meanwhile",
            (_, Errno::EPERM | Errno::EACCES) => {
                "it needs root, or a user namespace of its own: 'labctl doctor' says what is missing"
            }
            _ => "'labctl doctor' examines this machine",
        }
    }
}

/// What the container's process says to the one that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// It is in its user namespace, which has no users yet.
    NeedsUsers,
    /// It becomes the program now. If nothing follows, it has.
    Executes,
    /// It has failed.
    Failed { step: Step, item: u16, error: Errno },
}

const LENGTH: usize = 8;

impl Message {
    /// As bytes. Allocates nothing.
    pub(super) const fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::NeedsUsers => [1, 0, 0, 0, 0, 0, 0, 0],
            Self::Executes => [2, 0, 0, 0, 0, 0, 0, 0],
            Self::Failed { step, item, error } => {
                let item = item.to_ne_bytes();
                let error = (error as i32).to_ne_bytes();
                [3, step as u8, item[0], item[1], error[0], error[1], error[2], error[3]]
            }
        }
    }

    /// From bytes; `None` if they make no sense.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [kind, step, item @ .., a, b, c, d]: [u8; LENGTH] = bytes.try_into().ok()?;
        match kind {
            1 => Some(Self::NeedsUsers),
            2 => Some(Self::Executes),
            3 => Some(Self::Failed {
                step: *Step::ALL.get(usize::from(step))?,
                item: u16::from_ne_bytes(item),
                error: Errno::from_raw(i32::from_ne_bytes([a, b, c, d])),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for (number, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(number, step as usize, "{step:?} stands in its own place");
            let failed = Message::Failed { step, item: 513, error: Errno::EPERM };
            assert_eq!(Message::decode(&failed.encode()), Some(failed));
        }
        for message in [Message::NeedsUsers, Message::Executes] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[3, 99, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Message::decode(&[1]), None);
    }
}
