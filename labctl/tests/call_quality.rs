//! How well a call is heard in a real lab that loses nothing. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;

use lab_common::{LABCTL, On, TestLab, run, text};
use labctl::experiment::call::record::CallRecord;
use labctl::meter::Transport;

/// One way between any two clients without a relay: 50 ms.
const TOPOLOGY: &str = "
name: NAME
title: Calls over 50 ms
seed: 11
wan:
  regions: [here]
  rtt: { here/here: 100ms, jitter: 0% }
overlay:
  profile: skype-2006
  host_cache: { entries: 8, stale: 0% }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 1, addresses: 8 }
  alice: { role: client, region: here }
  bob: { role: client, region: here }
";

/// Milliseconds of a path.
const PATH: f64 = 50.0;
/// Milliseconds that the machine may add before a figure tells more of it than of the call: half of what the jitter
/// buffer begins with.
const BUSY: f64 = 30.0;

#[test]
fn a_call_of_20_s_over_50_ms_without_loss_is_heard_whole_and_well() {
    let lab = TestLab::of("calq", TOPOLOGY).with(On::Embedded);
    lab.up();
    let runs = tempfile::tempdir().unwrap();
    let output = run(
        LABCTL,
        &[
            "experiment",
            "call",
            "--lab",
            &lab.name,
            "--seconds",
            "20",
            "--runs",
            runs.path().to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{}{}", text(&output.stderr), text(&output.stdout));
    let directory = std::fs::read_dir(runs.path()).unwrap().next().unwrap().unwrap().path();
    let record = std::fs::read_to_string(directory.join("calls.ndjson")).unwrap();
    let record: CallRecord = serde_json::from_str(record.trim()).unwrap();

    assert_eq!((&record.failure, record.ways.len()), (&None, 2), "{record:?}");
    assert!(
        record.legs.iter().all(|leg| leg.transport == Transport::Udp && !leg.relayed),
        "{:?}",
        record.legs
    );
    for way in &record.ways {
        assert!(way.sent > 1_300, "20 s are 1,333 packets: {way:?}");
        assert!(way.loss.abs() < f64::EPSILON, "{way:?}");
        assert!(way.network_ms[0] >= PATH - 1.0, "{way:?}");
        let (voice, rating) = (way.voice.unwrap(), way.rating.unwrap());
        let machine = voice.machine_late_ms.max(way.network_ms[1] - PATH);
        let speaker = record.ways.iter().find(|other| other.from == way.to).and_then(|other| other.voice);
        let machine = machine.max(speaker.unwrap().machine_late_ms);
        if machine > BUSY {
            // Sound can be made up then, but only as much as the machine held up.
            continue;
        }
        assert_eq!((voice.lost, voice.late, voice.stretched), (0, 0, 0), "{way:?}");
        assert!(rating.mos >= 4.0, "{way:?}");
    }
}
