//! `make install` and `make uninstall`, into a folder of the test's own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn make(target: &str, destination: &Path) {
    let programs = Path::new(env!("CARGO_BIN_EXE_labctl")).parent().unwrap();
    assert!(programs.join("overlay-node").exists(), "this test needs it: cargo build -p overlay-node");
    let output = Command::new("make")
        .args(["--no-print-directory", "-C"])
        .arg(repository())
        .args([target, "PREFIX=/opt/lab"])
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("BIN={}", programs.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "make {target}:\n{}", String::from_utf8_lossy(&output.stderr));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[test]
fn what_is_installed_works_from_any_folder_and_goes_away_without_a_trace() {
    let destination = tempfile::tempdir().unwrap();
    let somewhere = tempfile::tempdir().unwrap();
    make("install", destination.path());
    let root = destination.path().join("opt/lab");
    let labctl = |arguments: &[&str]| {
        let mut command = Command::new(root.join("bin/labctl"));
        let output = command.args(arguments).current_dir(somewhere.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };

    // Shipped topologies and profiles are found wherever one is.
    labctl(&["validate", "expC", "natTypes"]);
    assert!(labctl(&["nat", "show", "port-restricted"]).contains("Port-restricted cone"));
    for file in [
        "lib/labctl/overlay-node",
        "share/man/man1/labctl.1",
        "share/man/man1/labctl-experiment-login.1",
        "share/bash-completion/completions/labctl",
        "share/zsh/site-functions/_labctl",
        "share/fish/vendor_completions.d/labctl.fish",
        "share/labctl/topologies/expC.yaml",
        "share/labctl/nat-profiles/nat/port-restricted.yaml",
        "share/labctl/nat-profiles/firewall/udp-restricted.yaml",
        "share/labctl/schema/topology.json",
        "share/doc/labctl/LICENSE-MIT",
    ] {
        assert!(root.join(file).is_file(), "{file} was not installed");
    }
    // A copy of what was installed is a topology of one's own.
    let copy = root.join("share/labctl/topologies/quickstart.yaml");
    labctl(&["validate", copy.to_str().unwrap()]);

    make("uninstall", destination.path());
    assert_eq!(files(destination.path()), Vec::<PathBuf>::new());
}

#[test]
fn installed_completions_are_what_a_shell_can_read() {
    let destination = tempfile::tempdir().unwrap();
    make("install", destination.path());
    let script = destination.path().join("opt/lab/share/bash-completion/completions/labctl");
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", destination.path().join("opt/lab/bin").display());
    // As bash calls it when the user presses TAB after `labctl validate exp`.
    let ask = "source \"$1\"; COMP_WORDS=(labctl validate exp); COMP_CWORD=2; COMP_TYPE=9; \
               _clap_complete_labctl labctl exp validate; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output =
        Command::new("bash").args(["-c", ask, "bash"]).arg(script).env("PATH", path).output().unwrap();
    let offered = String::from_utf8(output.stdout).unwrap();
    let offered: Vec<&str> = offered.lines().map(str::trim).collect();
    assert!(
        ["expA", "expB", "expC"].iter().all(|name| offered.contains(name)),
        "{offered:?} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
