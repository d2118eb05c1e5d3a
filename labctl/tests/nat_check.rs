//! Every NAT profile is what it says, and the page about it says what is so.
//!
//! Needs root, `nft` and `iptables`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use labctl::nat_check::pairs;
use labctl::net::NetNs;
use labctl::profile::Catalogue;
use serde_json::Value;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labctl"));
    command.args(["nat", "check"]).args(arguments);
    command
}

fn check(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    report["profiles"].as_array().unwrap().clone()
}

/// A folder with one NAT profile of this behaviour, `under-test`.
fn folder(behaviour: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("nat")).unwrap();
    let text = format!("title: under test\nbehaviour:\n{behaviour}");
    fs::write(folder.path().join("nat/under-test.yaml"), text).unwrap();
    folder
}

/// Namespaces of the check that a process made.
fn left_of(process: u32) -> Vec<String> {
    let prefix = format!("lab-natcheck{process}.");
    NetNs::list().unwrap().into_iter().filter(|name| name.starts_with(&prefix)).collect()
}

#[test]
fn every_profile_and_all_nine_pairs_are_what_they_say_and_what_the_page_says() {
    let page = tempfile::NamedTempFile::new().unwrap();
    let output = check(&["--pairs", "--json", "-", "--markdown", page.path().to_str().unwrap()]);
    let checked = json(&output);
    let wrong: Vec<_> = checked.iter().filter(|row| row["as_declared"] != true).collect();
    assert!(wrong.is_empty() && output.status.success(), "{wrong:#?}");
    let all = Catalogue::shipped().nat_names().count() + pairs().len();
    assert_eq!(checked.len(), all);

    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nat-profiles.md");
    let (kept, seen) = (fs::read_to_string(kept).unwrap(), fs::read_to_string(page.path()).unwrap());
    assert!(
        kept == seen,
        "docs/nat-profiles.md is not what was seen; if that is right, write it anew with\n\
         labctl nat check --pairs --markdown docs/nat-profiles.md\n{seen}"
    );
}

#[test]
fn a_profile_that_is_not_what_it_says_is_found_out() {
    // Host 101 is the prober: everybody reaches it, whatever the filtering.
    let folder = folder("  udp: { mapping: EIM, filtering: APDF }\n  dmz: 101\n");
    let profiles = folder.path().to_str().unwrap();
    let output = check(&["--profiles", profiles, "under-test", "--json", "-"]);
    assert!(!output.status.success());
    let row = &json(&output)[0];
    assert_eq!(row["as_declared"], false);
    for transport in ["udp", "tcp"] {
        assert_eq!(row["declared"][transport]["filtering"], "address-and-port-dependent");
        assert_eq!(row["observed"][transport]["filtering"], "endpoint-independent");
    }
    let output = check(&["--profiles", profiles, "under-test"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("EIM/EIF, not EIM/APDF") && table.contains("NOT AS DECLARED"), "{table}");
}

#[test]
fn mappings_live_as_long_as_declared_and_not_for_ever() {
    for refresh in ["outbound", "both"] {
        let udp = format!("{{ mapping: EIM, filtering: APDF, timeout: 4s, refresh: {refresh} }}");
        let folder = folder(&format!("  udp: {udp}\n"));
        let output = check(&["--profiles", folder.path().to_str().unwrap(), "under-test", "--json", "-"]);
        assert!(output.status.success(), "{refresh}: {output:?}");
        let lived = json(&output)[0]["lifetime"].clone();
        assert_eq!(lived["declared_ms"], 4000);
        assert!(lived["alive_after_ms"].as_u64().unwrap() >= 3500, "{lived}");
        assert!(lived["gone_after_ms"].as_u64().unwrap() >= 4000, "{lived}");
    }
}

#[test]
fn a_wrong_name_is_met_with_the_right_one_and_nothing_is_made() {
    let output = check(&["symetric"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("did you mean 'symmetric'?"), "{text}");
}

/// A check that takes minutes, once its network is there.
fn long_check() -> Child {
    let child = command(&["--lifetime", "port-restricted"]).stdout(Stdio::null()).spawn().unwrap();
    let begin = std::time::Instant::now();
    while !left_of(child.id()).iter().any(|name| name.ends_with("-b0")) {
        assert!(begin.elapsed().as_secs() < 180, "its network does not appear");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child
}

#[test]
fn nothing_is_left_of_a_check_that_is_told_to_stop() {
    let mut child = long_check();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(left_of(child.id()), Vec::<String>::new());
    assert!(!Path::new(&format!("/run/labctl/.locks/natcheck{}.0", child.id())).exists());
}

#[test]
fn what_a_killed_check_leaves_is_found_and_removed_by_down() {
    let mut child = long_check();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(left_of(child.id()), Vec::<String>::new());
    let lab = format!("natcheck{}.0", child.id());
    let output = Command::new(env!("CARGO_BIN_EXE_labctl")).args(["down", "--lab", &lab]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(left_of(child.id()), Vec::<String>::new());
}
