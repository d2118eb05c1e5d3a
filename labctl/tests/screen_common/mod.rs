//! A terminal for tests, with a program in it: a tmux server of its own, whose screen can be read.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::lab_common::{text, wait_until};

/// A terminal. The program in it, and the server, end with this.
pub struct Screen {
    directory: TempDir,
}

impl Screen {
    /// Runs a line of shell in a terminal of this size. The screen stays when the line has ended.
    pub fn new(line: &str, columns: u16, rows: u16) -> Self {
        let screen = Self { directory: tempfile::tempdir().unwrap() };
        let size = [columns.to_string(), rows.to_string()];
        let line = format!("{line}; echo \"ENDED $?\"; exec sleep infinity");
        screen.tmux(&["new-session", "-d", "-x", &size[0], "-y", &size[1], "sh", "-c", &line]);
        screen.tmux(&["set-option", "-g", "window-size", "manual"]);
        screen
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("tmux")
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = tmux(&self.socket(), arguments);
        let output = output.expect("tmux must be installed: 'apt-get install tmux', or 'make setup-test'");
        assert!(output.status.success(), "tmux {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What is on it.
    pub fn read(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Presses keys, by tmux' names.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Gives it another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Waits until its text is so.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&str) -> bool) {
        wait_until(|| holds(&self.read()), || format!("waited for {what}; the screen is:\n{}", self.read()));
    }

    /// True while a program has the whole screen, and what was there before is kept.
    pub fn is_full_screen(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// What `stty` says of the terminal.
    pub fn settings(&self) -> String {
        let device = self.tmux(&["display-message", "-p", "#{pane_tty}"]);
        let output = Command::new("stty").args(["-a", "-F", device.trim()]).output().unwrap();
        text(&output.stdout)
    }

    /// The process that the line of shell has started.
    pub fn child(&self) -> i32 {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a child of the shell")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = tmux(&self.socket(), &["kill-server"]);
    }
}

fn tmux(socket: &Path, arguments: &[&str]) -> std::io::Result<std::process::Output> {
    let mut command = Command::new("tmux");
    // No settings of the user's, who may be in a tmux.
    command.args(["-f", "/dev/null", "-S"]).arg(socket).args(arguments).env_remove("TMUX");
    command.output()
}
