//! The dissector of docs/wireshark on a real login's packets, with the session keys that labctl finds. Needs root and
//! `tshark`, and the node program next to the tests' own directory (`cargo build -p overlay-node`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TOPOLOGY: &str = "
name: NAME
seed: 7
wan:
  regions: [here]
  rtt: { here/here: 20ms }
overlay:
  host_cache: { entries: 8, stale: 0% }
nodes:
  login: { role: login-server }
  sn: { role: super-node, addresses: 8 }
sites:
  home:
    gateway: { nat: port-restricted }
    nodes: { alice: { role: client } }
";

fn labctl(arguments: &[&str], folder: &Path) -> Output {
    let output =
        Command::new(env!("CARGO_BIN_EXE_labctl")).args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "labctl {arguments:?}: {said}");
    output
}

/// Takes the lab down however the test ends.
struct Lab {
    name: String,
    folder: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(env!("CARGO_BIN_EXE_labctl"))
            .args(["down", "--lab", &self.name])
            .current_dir(&self.folder)
            .output();
    }
}

/// What tshark prints of a capture with the dissector: fields of the packets that a filter finds, a line each.
fn tshark(capture: &Path, keys: Option<&Path>, filter: &str, fields: &[&str]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wireshark/overlay.lua");
    let mut command = Command::new("tshark");
    command.arg("-X").arg(format!("lua_script:{}", script.canonicalize().unwrap().display()));
    // A port chosen at random can be the one that some other protocol is known by.
    command.args(["-o", "tcp.try_heuristic_first:TRUE", "-o", "udp.try_heuristic_first:TRUE"]);
    if let Some(keys) = keys {
        command.arg("-o").arg(format!("overlay.keys:{}", keys.display()));
    }
    command.arg("-r").arg(capture).args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Lua: Error"), "{filter}: {said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn tshark_reads_a_login_and_decrypts_what_the_login_server_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab { name: lab_common::names::own("tshark"), folder: folder.path().to_owned() };
    std::fs::write(folder.path().join("lab.yaml"), TOPOLOGY.replace("NAME", &lab.name)).unwrap();
    labctl(&["experiment", "login", "lab.yaml", "--first-time", "--runtime", "embedded"], folder.path());
    let run = folder.path().join("runs").read_dir().unwrap().next().unwrap().unwrap().path();
    let capture = run.join("alice-first-time-001.pcapng");
    labctl(&["keys", run.to_str().unwrap(), "-o", "keys.txt"], folder.path());
    let keys = folder.path().join("keys.txt");

    // Every payload of the capture is a message, or part of one.
    let foreign = tshark(&capture, None, "(udp || tcp.len > 0) && !icmp && !overlay", &["frame.number"]);
    assert_eq!(foreign, Vec::<String>::new(), "packets that the dissector does not know");
    let wrong = "overlay.malformed || _ws.malformed || _ws.lua.error";
    assert_eq!(tshark(&capture, Some(&keys), wrong, &["frame.number"]), Vec::<String>::new());

    let messages = tshark(&capture, None, "overlay", &["overlay.message"]).join(",");
    for message in [
        "Probe",
        "ProbeAnswer",
        "Hello",
        "Welcome",
        "Greeting",
        "RegisterUser",
        "Login",
        "Answer",
        "Registered",
        "Advertisement",
    ] {
        assert!(messages.split(',').any(|seen| seen == message), "no {message} among {messages}");
    }

    // Without keys what is sealed stays closed.
    assert!(tshark(&capture, None, "overlay.decrypted", &["overlay.message"]).is_empty());
    let opened = tshark(&capture, Some(&keys), "overlay.decrypted", &["overlay.message"]).join(",");
    for message in ["RegisterUser", "Login", "Answer"] {
        assert!(opened.contains(message), "{message} was not decrypted: {opened}");
    }
    // Registered, then certified: the login server's own answers.
    let outcomes = tshark(&capture, Some(&keys), "overlay.outcome", &["overlay.outcome"]);
    assert_eq!(outcomes, ["0", "1"]);
    // The certificate is for the user whose credentials were sealed.
    let in_request =
        tshark(&capture, Some(&keys), "overlay.message == \"Login\" && overlay.decrypted", &["overlay.user"]);
    let in_answer = tshark(&capture, Some(&keys), "overlay.outcome == 1", &["overlay.user"]);
    assert_eq!(in_request, in_answer);
    assert!(!in_answer[0].is_empty(), "{in_answer:?}");

    // Who is who, without the dissector.
    let interfaces =
        tshark(&capture, None, "frame.number == 1", &["frame.interface_name", "frame.interface_description"]);
    assert_eq!(interfaces, ["eth0\talice"]);
    let resolved = Command::new("tshark").args(["-q", "-z", "hosts", "-r"]).arg(&capture).output().unwrap();
    let resolved = String::from_utf8_lossy(&resolved.stdout).into_owned();
    assert!(
        resolved.lines().any(|line| line.starts_with("198.18.") && line.ends_with("login")),
        "{resolved}"
    );
}
