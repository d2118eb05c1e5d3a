//! Applies rulesets inside a namespace with `nft -f -` and `iptables-restore`, and reads back with
//! `nft -j list` and `iptables-save` what is in force there.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::{NetError, NetNs};

/// A program that applies or shows a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `nft`.
    Nft,
    /// `iptables-restore`.
    IptablesRestore,
    /// `iptables-save`, which applies nothing.
    IptablesSave,
}

impl Program {
    /// Name of the executable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::IptablesRestore => "iptables-restore",
            Self::IptablesSave => "iptables-save",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Nft => "nftables",
            Self::IptablesRestore | Self::IptablesSave => "iptables",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nft => &["-f", "-"],
            // The older, non-nft variant has one lock for all namespaces: wait for it.
            Self::IptablesRestore => &["--wait"],
            Self::IptablesSave => &[],
        }
    }

    /// Where the executable is: in `PATH`, or where Debian has programs for root, which is not in every
    /// user's `PATH`.
    pub fn find(self) -> Result<PathBuf, NetError> {
        let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|directory| directory.join(self.name()))
            .find(|candidate| nix::unistd::access(candidate, nix::unistd::AccessFlags::X_OK).is_ok())
            .ok_or(NetError::NoProgram { program: self.name(), package: self.package() })
    }
}

/// Applies a ruleset in a namespace; an empty one needs no program. It is taken whole or not at all.
pub async fn apply(namespace: &NetNs, program: Program, ruleset: &str) -> Result<(), NetError> {
    if ruleset.trim().is_empty() {
        return Ok(());
    }
    let executable = program.find()?;
    let text = ruleset.to_owned();
    let name = namespace.name().to_owned();
    namespace.run_async(move || run(&name, program, &executable, &text)).await?
}

/// What a program prints in a namespace when it is called with these arguments.
pub async fn read(
    namespace: &NetNs,
    program: Program,
    arguments: &'static [&'static str],
) -> Result<String, NetError> {
    let executable = program.find()?;
    let output = namespace
        .run_async(move || Command::new(executable).args(arguments).stdin(Stdio::null()).output())
        .await?
        .map_err(|source| NetError::Program { program: program.name(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(NetError::Listing {
        program: program.name(),
        namespace: namespace.name().to_owned(),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn run(namespace: &str, program: Program, executable: &Path, ruleset: &str) -> Result<(), NetError> {
    let fail = |source| NetError::Program { program: program.name(), source };
    let mut child = Command::new(executable)
        .args(program.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let mut input = child.stdin.take().expect("it was asked for");
    // Both programs say little before they have read all of their input, so neither pipe can fill while
    // the other is waited for. A program that refuses early closes its end: what it says is the error.
    let written = input.write_all(ruleset.as_bytes());
    drop(input);
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return written.map_err(fail);
    }
    Err(refusal(namespace, program, ruleset, &String::from_utf8_lossy(&output.stderr)))
}

fn refusal(namespace: &str, program: Program, ruleset: &str, message: &str) -> NetError {
    let line = match program {
        Program::Nft => nft_line(message),
        Program::IptablesRestore | Program::IptablesSave => iptables_line(message),
    }
    .unwrap_or(0);
    let text = line.checked_sub(1).and_then(|index| ruleset.lines().nth(index)).unwrap_or_default();
    NetError::Ruleset {
        program: program.name(),
        namespace: namespace.to_owned(),
        line: if text.is_empty() { 0 } else { line },
        text: text.to_owned(),
        message: match message.trim() {
            "" => "it did not say why".to_owned(),
            message => message.to_owned(),
        },
    }
}

/// `/dev/stdin:3:5-9: Error: ...`
fn nft_line(message: &str) -> Option<usize> {
    message.lines().find_map(|line| {
        let (place, _) = line.split_once(": Error:")?;
        place.rsplit(':').nth(1)?.parse().ok()
    })
}

/// `iptables-restore v1.8.9 (nf_tables): line 4: RULE_APPEND failed ...`, `Error occurred at line: 2`,
/// `iptables-restore: line 3 failed`.
fn iptables_line(message: &str) -> Option<usize> {
    message.match_indices("line").find_map(|(at, word)| {
        let rest = message[at + word.len()..].trim_start_matches([':', ' ']);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        digits.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_nft_complains_of_is_found() {
        assert_eq!(nft_line("/dev/stdin:3:5-9: Error: syntax error, unexpected foo\n"), Some(3));
        assert_eq!(nft_line("Error: Could not process rule"), None);
    }

    #[test]
    fn the_line_that_iptables_complains_of_is_found() {
        for message in [
            "iptables-restore v1.8.9 (nf_tables): line 4: RULE_APPEND failed (No such file)",
            "iptables-restore v1.8.9 (nf_tables): unknown option \"--nope\"\nError occurred at line: 4\nTry",
            "iptables-restore: line 4 failed",
        ] {
            assert_eq!(iptables_line(message), Some(4), "{message}");
        }
        assert_eq!(iptables_line("Permission denied, you must be root"), None);
    }

    #[test]
    fn a_refusal_quotes_the_line_and_the_program() {
        let error = refusal("lab-a-home", Program::Nft, "one\n  two\n", "/dev/stdin:2:3-5: Error: what?");
        assert_eq!(
            error.to_string(),
            "nft refused the ruleset of 'lab-a-home', line 2, `two`: /dev/stdin:2:3-5: Error: what?"
        );
    }
}
