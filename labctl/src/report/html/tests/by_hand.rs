//! Runs made by hand, and a page about them.

use etherparse::PacketBuilder;
use overlay_control::{EventLine, LoginEvent};

use super::super::*;
use crate::experiment::call::record::Leg;
use crate::experiment::record::{EventRecord, Kind};
use crate::experiment::recorded::{CallRun, Circumstances, Description, LoginRun, SearchRun};
use crate::experiment::search::Measurements;
use crate::experiment::search::record::Case;
use crate::meter::{Count, Direction, Packet, Timestamp, Traffic, Transport, TwoWay};
use crate::plan::Plan;
use crate::profile::Catalogue;
use crate::report::call_trials::tests::call;
use crate::report::row::tests::{failed, trials};
use crate::report::search::tests::{search, super_node};
use crate::topology::{Overrides, parse, shipped};

const STARTED: u64 = 1_136_214_245_000_000_000;

fn text(name: &str) -> &'static str {
    shipped().find(|(found, _)| *found == name).unwrap().1
}

fn plan(name: &str) -> Plan {
    Plan::new(&parse(text(name), "t.yaml", &Catalogue::shipped(), &Overrides::default()).unwrap())
}

fn description(experiment: &str, name: &str) -> Description {
    Description {
        experiment: experiment.into(),
        lab: name.into(),
        started: Timestamp::from_nanos(STARTED),
        labctl: "0.1.0 <&\">".into(),
        kernel: "Linux 6".into(),
        engine: "embedded".into(),
        seed: 7,
        trials: 3,
        parallel: None,
        plan_sha256: "ab".repeat(32),
    }
}

fn circumstances(name: &str) -> Circumstances {
    Circumstances { topology: Some(text(name).to_owned()), ..Circumstances::default() }
}

/// A run of logins in a shipped topology.
pub(super) fn run(name: &str, login_s: f64) -> LoginRun {
    let mut trials = trials(login_s, 0, 0);
    trials.push(failed(Kind::FirstTime, 9));
    for trial in &mut trials {
        let Some(seen) = &mut trial.seen else { continue };
        // What `packets` has.
        seen.traffic.udp.sent.payload_bytes = 5;
        seen.traffic.tcp.received.payload_bytes = 0;
    }
    let event = |received_s, event| EventRecord {
        kind: Kind::FirstTime,
        trial: 1,
        client: "alice".parse().unwrap(),
        received_s,
        line: EventLine { at_ms: 0.0, event },
    };
    LoginRun {
        directory: format!("runs/20060102T150405Z-login-{name}").into(),
        description: description("login", name),
        circumstances: circumstances(name),
        plan: plan(name),
        events: vec![
            event(0.5, LoginEvent::TcpAttempt { to: "198.18.0.7:80".parse().unwrap() }),
            event(2.0, LoginEvent::LoggedIn),
        ],
        trials,
    }
}

fn udp(at_ms: u64, direction: Direction, hosts: [[u8; 4]; 2], payload: &[u8]) -> Packet {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(hosts[0], hosts[1], 64);
    builder.udp(5000, 80).write(&mut bytes, payload).unwrap();
    let length = u32::try_from(bytes.len()).unwrap();
    Packet { time: Timestamp::from_nanos(STARTED + at_ms * 1_000_000), direction, length, bytes }
}

/// The packets of a login or search: five bytes.
pub(super) fn packets() -> Vec<Packet> {
    vec![udp(100, Direction::Sent, [[192, 168, 1, 2], [198, 18, 0, 7]], b"hello")]
}

/// Logins in Exp A and C.
pub(super) fn logins() -> Vec<SetUp> {
    let runs = vec![run("expC", 34.0), run("expA", 9.0)];
    SetUp::gather(runs, |_, _| Ok::<_, ()>(Some(packets()))).unwrap()
}

/// Searches in Exp B, by a topology file that is not quite the shipped one.
pub(super) fn searches(packets: impl Fn() -> Vec<Packet>) -> Vec<Searches> {
    let mut records: Vec<_> = (1..=3).map(|trial| search(Case::Cold, trial, 0.2, None)).collect();
    for record in &mut records {
        record.started = Some(Timestamp::from_nanos(STARTED));
        let seen = record.seen.as_mut().unwrap();
        seen.traffic = Traffic::default();
        // What `packets` has.
        seen.left_over = Traffic::default();
        seen.left_over.udp.sent.payload_bytes = 5;
    }
    let mut description = description("search", "expB");
    description.parallel = Some(2);
    let run = SearchRun {
        directory: "runs/20060102T150405Z-search-expB".into(),
        description,
        circumstances: Circumstances { topology: Some("name: mine".into()), ..Circumstances::default() },
        plan: plan("expB"),
        measured: Measurements { records, super_nodes: vec![super_node(1, 3)] },
    };
    Searches::gather(vec![run], |_, _| Ok::<_, ()>(Some(packets()))).unwrap()
}

/// A call in Exp A: three seconds of media from caller to callee, 40 ms on the way.
pub(super) fn calls(change: &mut dyn FnMut([Vec<Packet>; 2]) -> [Vec<Packet>; 2]) -> Vec<Calls> {
    let plan = plan("expA");
    let address = |name: &str| {
        let node = plan.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
        node.addresses[0].octets()
    };
    let hosts = [address("alice"), address("bob")];
    let media = |number: u32| {
        let mut payload = vec![9, 9, 9, 9];
        payload.extend(number.to_be_bytes());
        payload.extend([3; 63]);
        payload
    };
    let captures = [(Direction::Sent, 0), (Direction::Received, 40)].map(|(direction, later)| {
        let one = |number| udp(u64::from(number) * 15 + later, direction, hosts, &media(number));
        (0..200).map(one).collect::<Vec<_>>()
    });
    let mut record = call(Some(0.3), 40.0, None);
    record.started = Some(Timestamp::from_nanos(STARTED));
    record.talk_s = Some(20.0);
    let sent = Count { packets: 200, payload_bytes: 200 * 71, ip_bytes: 200 * 99 };
    record.media = Some(Traffic { udp: TwoWay { sent, received: Count::default() }, tcp: TwoWay::default() });
    let mut back = record.ways[0].clone();
    (back.from, back.to) = (record.to.clone(), record.from.clone());
    record.ways.push(back);
    record.legs.push(Leg {
        at: record.from.clone(),
        transport: Transport::Udp,
        remote: "198.18.0.9:80".parse().unwrap(),
        peer: "bob".into(),
        relayed: false,
        first_s: 0.0,
        last_s: 3.0,
        packets: [200, 0],
    });
    let run = CallRun {
        directory: "runs/20060102T150405Z-call-expA".into(),
        description: description("call", "expA"),
        circumstances: circumstances("expA"),
        plan,
        calls: vec![record],
    };
    Calls::gather(vec![run], |_, _| Ok::<_, ()>(Some(change(captures.clone())))).unwrap()
}

/// A page that has everything.
pub(super) fn page() -> String {
    render(&Material {
        logins: logins(),
        searches: searches(packets),
        calls: calls(&mut |captures| captures),
    })
}
