//! Ordinary users for tests: ids that nobody has, each with a home of its own.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// Where an ordinary user's programs are.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The first id of this process' users: tests of other processes have others.
fn first_id() -> u32 {
    1_000_000 + std::process::id() % 1_000_000 * 100
}

/// A user of this test alone. What runs as that user is ended when the test is.
pub struct User {
    pub id: u32,
    home: TempDir,
    programs: PathBuf,
}

impl User {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = first_id() + NEXT.fetch_add(1, Ordering::Relaxed);
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Programs as an administrator installs them: everybody's to run, and nobody's to change.
        let programs = home.path().join("programs");
        fs::create_dir(&programs).unwrap();
        let labctl = Path::new(env!("CARGO_BIN_EXE_labctl"));
        let node = std::env::var_os("LABCTL_NODE")
            .map_or_else(|| labctl.with_file_name("overlay-node"), PathBuf::from);
        for (program, name) in [(labctl, "labctl"), (&node, "overlay-node")] {
            fs::copy(program, programs.join(name)).unwrap();
        }
        let own = home.path().join("home");
        fs::create_dir(&own).unwrap();
        chown(&own, Some(id), Some(id)).unwrap();
        Self { id, home, programs }
    }

    /// The user's own directory, which commands begin in.
    pub fn home(&self) -> PathBuf {
        self.home.path().join("home")
    }

    /// Where a shell of this user's looks for programs if labctl was installed.
    pub fn path(&self) -> String {
        format!("{}:{SYSTEM_PATH}", self.programs.display())
    }

    /// A file in it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::write(&path, text).unwrap();
        chown(&path, Some(self.id), Some(self.id)).unwrap();
        path
    }

    /// labctl as this user runs it after a login.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.programs.join("labctl"));
        self.adopt(&mut command);
        command
    }

    /// Makes a command this user's.
    pub fn adopt(&self, command: &mut Command) {
        command
            .current_dir(self.home())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", SYSTEM_PATH)
            .uid(self.id)
            .gid(self.id);
    }

    pub fn try_labctl(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs labctl, and expects that to work. What it wrote to standard output.
    pub fn labctl(&self, arguments: &[&str]) -> String {
        let output = self.try_labctl(arguments);
        assert!(output.status.success(), "labctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The processes of this user, those of its containers among them, with what they were started as.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            // Who it is: a container's process that may not be looked into belongs to root in `/proc`.
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
            let user = user.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
            let zombie = status.contains("\nState:\tZ");
            if user == Some(self.id) && !zombie {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    /// The process of a lab's keeper.
    pub fn keeper(&self, lab: &str) -> i32 {
        let is_keeper = |line: &str| line.contains(&format!("keeper --lab {lab} "));
        self.processes().into_iter().find(|(_, line)| is_keeper(line)).expect("the lab has a keeper").0
    }

    /// The directory of the user's lock where no login gives a better one.
    pub fn registry(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/labctl-{}", self.id))
    }

    pub fn owns(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|data| data.uid() == self.id && data.gid() == self.id)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // With its last process a user's world goes, and with that all of the user's labs.
        for (pid, _) in self.processes() {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = fs::remove_dir(self.registry());
    }
}
