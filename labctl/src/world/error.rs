//! Why a user's world could not be entered.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

/// Why a user's world could not be entered.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum WorldError {
    /// The kernel makes no user namespace for this user.
    #[error("this kernel gives an ordinary user no namespaces ({reason}); {mend}")]
    Refused { reason: String, mend: &'static str },
    /// The directory of the lock is not the user's own.
    #[error("{} {reason}, so it cannot be trusted; have it removed, or name another place in XDG_RUNTIME_DIR", .path.display())]
    Registry { path: PathBuf, reason: String },
    /// A file.
    #[error("{doing} {}: {source}", .path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// A step on the way in.
    #[error("entering the user's namespaces: {step}: {source}")]
    Step { step: &'static str, source: Errno },
}

impl WorldError {
    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    pub(super) fn step(step: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::Step { step, source }
    }

    /// The kernel's refusal, with the setting that it comes from.
    pub(super) fn refused(error: Errno) -> Self {
        Self::explain(error, |setting| fs::read_to_string(setting).ok())
    }

    fn explain(error: Errno, read: impl Fn(&str) -> Option<String>) -> Self {
        let is = |setting: &str, value: &str| read(setting).is_some_and(|text| text.trim() == value);
        let mend = if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
            "allow them with 'sysctl kernel.unprivileged_userns_clone=1', or run labctl as root"
        } else if is("/proc/sys/user/max_user_namespaces", "0") {
            "allow them with 'sysctl user.max_user_namespaces=10000', or run labctl as root"
        } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
            "allow them with 'sysctl kernel.apparmor_restrict_unprivileged_userns=0' or an AppArmor profile for \
             labctl, or run labctl as root"
        } else if error == Errno::ENOSPC {
            "raise user.max_user_namespaces, user.max_mnt_namespaces and user.max_net_namespaces (sysctl), or run \
             labctl as root"
        } else {
            "in a container, allow it the system call unshare (seccomp) and new namespaces; elsewhere the kernel \
             needs CONFIG_USER_NS; or run labctl as root"
        };
        Self::Refused { reason: error.desc().to_owned(), mend }
    }

    /// What was found, and what to do about it.
    #[must_use]
    pub fn found_and_mend(&self) -> (String, String) {
        let text = self.to_string();
        match text.split_once("; ") {
            Some((found, mend)) => (found.to_owned(), mend.to_owned()),
            None => (text, "run labctl as root".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting_that_it_comes_from() {
        let explained = |name: &'static str, value: &'static str| {
            let read = move |setting: &str| setting.ends_with(name).then(|| format!("{value}\n"));
            WorldError::explain(Errno::EPERM, read).to_string()
        };
        for (setting, value) in [
            ("unprivileged_userns_clone", "0"),
            ("max_user_namespaces", "0"),
            ("apparmor_restrict_unprivileged_userns", "1"),
        ] {
            let message = explained(setting, value);
            assert!(message.contains(&format!("{setting}=")), "{message}");
        }
        assert!(explained("unprivileged_userns_clone", "1").contains("seccomp"));
        assert!(WorldError::explain(Errno::ENOSPC, |_| None).to_string().contains("raise"));
    }
}
