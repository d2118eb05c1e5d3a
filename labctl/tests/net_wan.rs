//! The WAN with its engine, as root in real namespaces: packets take the time that the plan says, nothing
//! gets out, and nothing passes without the engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;
mod net_common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lab_common::names;
use labctl::keeper;
use labctl::link::{Setting, Ways};
use labctl::names::LabName;
use labctl::net::node::{self, NodeNetwork};
use labctl::net::wan::{Core, Report};
use labctl::net::{Gateway, NetNs, Uplink};
use labctl::plan::{GatewayPlan, Plan, WanPlan};
use net_common::{CORE, Namespaces, attachment, gateway, run, text, wan};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, sockopt};

const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
const HOME: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 2);
const ALICE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

/// A public server, and alice behind a home's gateway.
struct Lab {
    name: LabName,
    core: Core,
    server: NetNs,
    alice: NetNs,
    /// Holds the plan and the engine's log.
    directory: tempfile::TempDir,
    _namespaces: Namespaces,
}

impl Lab {
    async fn up(change: impl FnOnce(&mut WanPlan)) -> Self {
        let name = &*names::own("tnet");
        let names = ["wan", "server", "home", "alice"].map(|node| format!("lab-{name}-{node}"));
        let namespaces = Namespaces(names.to_vec());
        let lab: LabName = name.parse().unwrap();
        let mut wan = wan(
            name,
            Duration::from_millis(20),
            vec![attachment(name, "server", "eth0", SERVER), attachment(name, "home", "wan", HOME)],
        );
        change(&mut wan);
        let home = gateway(name, "home", HOME);
        let core = Core::build(&wan).await.unwrap();
        let gateway = Gateway::build(&home).await.unwrap();
        let uplink = Uplink::Wan { core: &core, plan: &wan };
        let server = NetNs::create(&names[1]).unwrap();
        let alice = NetNs::create(&names[3]).unwrap();
        let public = NodeNetwork {
            name: "server",
            namespace: &names[1],
            addresses: &[SERVER],
            prefix: 32,
            next_hop: CORE,
        };
        let private = NodeNetwork {
            name: "alice",
            namespace: &names[3],
            addresses: &[ALICE],
            prefix: 24,
            next_hop: home.inside,
        };
        tokio::try_join!(
            gateway.connect(&home, uplink),
            node::attach(public, &server, uplink),
            node::attach(private, &alice, Uplink::Lan(&gateway)),
        )
        .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let lab = Self { name: lab, core, server, alice, directory, _namespaces: namespaces };
        lab.write_plan(wan, home);
        lab
    }

    fn write_plan(&self, wan: WanPlan, home: GatewayPlan) {
        let plan = Plan {
            lab: self.name.clone(),
            title: String::new(),
            published: None,
            seed: 1,
            wan,
            gateways: vec![home],
            nodes: vec![],
            schedule: vec![],
            overlay: None,
        };
        fs::write(self.plan(), serde_json::to_vec(&plan).unwrap()).unwrap();
    }

    fn plan(&self) -> std::path::PathBuf {
        self.directory.path().join("plan.json")
    }

    fn log(&self) -> std::path::PathBuf {
        self.directory.path().join("engine.log")
    }

    async fn start_engine(&self) -> keeper::RunningKeeper {
        let program = Path::new(env!("CARGO_BIN_EXE_labctl"));
        keeper::spawn(program, &self.name, &self.plan(), &self.log()).await.unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for engine in keeper::find(&self.name) {
            let pid = nix::unistd::Pid::from_raw(engine.pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// RTTs that `ping` reports, in milliseconds.
fn ping(from: &NetNs, to: Ipv4Addr, count: u32) -> Vec<f64> {
    let to = to.to_string();
    let count = count.to_string();
    let said = text(from, "ping", &["-n", "-c", &count, "-i", "0.02", "-W", "5", &to]);
    said.lines()
        .filter_map(|line| line.split_once("time=")?.1.split_whitespace().next()?.parse().ok())
        .collect()
}

/// Whether an answer comes, which a busy machine may take long for.
fn is_reachable(from: &NetNs, to: &str) -> bool {
    run(from, "ping", &["-n", "-c", "1", "-W", "60", to]).status.success()
}

/// Whether nothing comes for longer than a packet travels: where an answer would be wrong.
fn is_out_of_reach(from: &NetNs, to: &str) -> bool {
    !run(from, "ping", &["-n", "-c", "1", "-W", "1", to]).status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_take_the_time_that_the_plan_says() {
    let lab = Lab::up(|wan| {
        wan.attachments[1].access.set(Ways::Both, Setting::Delay(Duration::from_millis(5)));
        wan.attachments[0].access.set(Ways::Both, Setting::Delay(Duration::from_millis(10)));
    })
    .await;
    lab.start_engine().await;
    let times = ping(&lab.alice, SERVER, 20);
    assert_eq!(times.len(), 20, "every packet comes back once");
    // 20 ms between the regions, 5 and 10 ms on the access links, each of them twice.
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least >= 70.0, "{times:?}");
    // A machine under load adds to some packets, but hardly to all of 20.
    assert!(least < 85.0, "{times:?}");
    assert_eq!(keeper::stop(&lab.name).await.unwrap(), 1);
    let log = fs::read_to_string(lab.log()).unwrap();
    let report: Report = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let home = report.link("home").unwrap().counters;
    // 20 bytes of IP, 8 of ICMP and 56 of payload.
    assert_eq!((home.sent.packets, home.sent.bytes), (20, 20 * 84), "{log}");
    assert_eq!((home.received, report.strays), (home.sent, 0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_without_the_engine() {
    let lab = Lab::up(|_| {}).await;
    assert!(is_out_of_reach(&lab.alice, "198.18.1.1"), "no engine has been started yet");
    assert!(is_reachable(&lab.server, "198.18.0.1"), "the link to the core itself is up");

    let engine = lab.start_engine().await;
    assert_eq!(keeper::find(&lab.name), std::slice::from_ref(&engine));
    assert!(is_reachable(&lab.alice, "198.18.1.1"));

    let pid = nix::unistd::Pid::from_raw(engine.pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    // Also waits for its end.
    keeper::stop(&lab.name).await.unwrap();
    assert!(is_out_of_reach(&lab.alice, "198.18.1.1"), "the engine is dead");

    lab.start_engine().await;
    assert!(is_reachable(&lab.alice, "198.18.1.1"), "another engine takes over");
    assert_eq!(keeper::stop(&lab.name).await.unwrap(), 1);
    assert_eq!(keeper::find(&lab.name), []);
    assert_eq!(keeper::stop(&lab.name).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lab_is_sealed() {
    let before = text_here("ip", &["-o", "link"]);
    let lab = Lab::up(|_| {}).await;
    lab.start_engine().await;
    assert!(is_reachable(&lab.alice, "198.18.1.1"), "the lab works, or what follows proves nothing");

    assert_eq!(text(lab.core.namespace(), "ip", &["route", "show", "default"]), "");
    let host = text_here("ip", &["-o", "-4", "addr", "show", "scope", "global"]);
    let host: Vec<_> = host
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3)?.split('/').next())
        .filter(|address| !address.starts_with("192.168.1."))
        .collect();
    for outside in host.iter().copied().chain(["192.0.2.1", "8.8.8.8", "198.18.200.200"]) {
        for inside in [&lab.alice, &lab.server] {
            assert!(is_out_of_reach(inside, outside), "{outside} from {}", inside.name());
        }
    }
    // The host has no way in, and no interface or route of the lab.
    let to_server = text_here("ip", &["route", "get", "198.18.1.1"]);
    assert!(!to_server.contains("server") && !to_server.contains("home"), "{to_server}");
    let after = text_here("ip", &["-o", "link"]);
    for name in ["server", "home", "alice"] {
        let of_lab = |links: &str| links.lines().filter(|line| line.contains(&format!(" {name}@"))).count();
        assert_eq!(of_lab(&after), of_lab(&before), "{after}");
    }
    keeper::stop(&lab.name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_carry_whole_packets_with_checksums_and_nothing_but_ip_version_4() {
    const LENGTH: usize = 2_000_000;
    let lab = Lab::up(|_| {}).await;
    lab.start_engine().await;
    let capture = Capture::start(&lab.server);
    let listener = lab.server.run(|| TcpListener::bind((SERVER, 7000)).unwrap()).unwrap();
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received.len()
    });
    lab.alice
        .run(|| TcpStream::connect((SERVER, 7000)).unwrap().write_all(&vec![7; LENGTH]).unwrap())
        .unwrap();
    assert_eq!(reader.join().unwrap(), LENGTH);
    text(&lab.alice, "ping", &["-n", "-c", "2", "-s", "3000", "198.18.1.1"]);
    let frames = capture.stop();
    let mut payload = 0;
    for frame in &frames {
        assert!(frame.len() <= 1514, "a frame of {} bytes", frame.len());
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("not IPv4: {frame:?}") };
        if let Some(TransportSlice::Tcp(tcp)) = packet.transport {
            let checksum = tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap();
            assert_eq!(tcp.checksum(), checksum);
            payload += tcp.payload().len();
        }
    }
    assert!(payload >= LENGTH, "{payload} bytes captured");
    keeper::stop(&lab.name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_can_be_behind_another() {
    let lab = Lab::up(|_| {}).await;
    lab.start_engine().await;
    let plan: Plan = serde_json::from_slice(&fs::read(lab.plan()).unwrap()).unwrap();
    let carrier = Gateway::open(&plan.gateways[0]).unwrap();
    let names = ["inner", "bob"].map(|node| format!("lab-{}-{node}", lab.name));
    let _removed = Namespaces(names.to_vec());
    let mut inner = gateway(lab.name.as_str(), "inner", "192.168.1.3".parse().unwrap());
    (inner.outside_prefix, inner.next_hop) = (24, "192.168.1.1".parse().unwrap());
    inner.inside = "192.168.7.1".parse().unwrap();
    let gateway = Gateway::build(&inner).await.unwrap();
    gateway.connect(&inner, Uplink::Lan(&carrier)).await.unwrap();
    let bob = NetNs::create(&names[1]).unwrap();
    let network = NodeNetwork {
        name: "bob",
        namespace: &names[1],
        addresses: &["192.168.7.2".parse().unwrap()],
        prefix: 24,
        next_hop: inner.inside,
    };
    node::attach(network, &bob, Uplink::Lan(&gateway)).await.unwrap();
    assert!(is_reachable(&bob, "198.18.1.1"), "through two gateways");
    assert!(is_reachable(&bob, "192.168.1.2"), "alice is in the carrier's network");
    assert!(is_out_of_reach(&lab.alice, "192.168.7.2"), "which has no way back to bob");
    keeper::stop(&lab.name).await.unwrap();
}

/// Frames on a node's `eth0`, those sent and those received.
struct Capture {
    thread: thread::JoinHandle<Vec<Vec<u8>>>,
    stop: OwnedFd,
}

impl Capture {
    fn start(namespace: &NetNs) -> Self {
        let family = AddressFamily::Packet;
        let protocol = SockProtocol::EthAll;
        let socket = namespace
            .run(|| socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap())
            .unwrap();
        socket::setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).unwrap();
        let (stopped, stop) = nix::unistd::pipe().unwrap();
        let thread = thread::spawn(move || {
            let mut frames = Vec::new();
            let mut buffer = vec![0; 1 << 17];
            loop {
                let mut sources = [
                    PollFd::new(socket.as_fd(), PollFlags::POLLIN),
                    PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
                ];
                poll(&mut sources, PollTimeout::NONE).unwrap();
                if sources[0].any() == Some(true) {
                    let length = socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
                    frames.push(buffer[..length].to_vec());
                } else {
                    return frames;
                }
            }
        });
        Self { thread, stop }
    }

    fn stop(self) -> Vec<Vec<u8>> {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_link_has_its_rate() {
    let lab = Lab::up(|wan| {
        wan.delay = vec![vec![Duration::from_millis(1)]];
        wan.attachments[1].access.up.rate = Some(1_000_000);
    })
    .await;
    lab.start_engine().await;
    // 1,028 bytes each way take 8.2 ms at 1 Mbit/s upwards, and nothing downwards.
    let said = text(&lab.alice, "ping", &["-n", "-c", "10", "-i", "0.05", "-s", "1000", "198.18.1.1"]);
    let times: Vec<f64> = said
        .lines()
        .filter_map(|line| line.split_once("time=")?.1.split_whitespace().next()?.parse().ok())
        .collect();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((10.2..25.0).contains(&least), "2 ms of delay and 8.2 ms on the wire: {times:?}");
    keeper::stop(&lab.name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_started_again_gets_its_link_again() {
    let lab = Lab::up(|_| {}).await;
    lab.start_engine().await;
    let namespace = &format!("lab-{}-server", lab.name);
    let plan: Plan = serde_json::from_slice(&fs::read(lab.plan()).unwrap()).unwrap();
    let network = NodeNetwork { name: "server", namespace, addresses: &[SERVER], prefix: 32, next_hop: CORE };
    // The old namespace is still held open here, and its link with it.
    NetNs::delete(namespace).unwrap();
    let again = NetNs::create(namespace).unwrap();
    let core = Core::open(&plan.wan).await.unwrap();
    node::attach(network, &again, Uplink::Wan { core: &core, plan: &plan.wan }).await.unwrap();
    assert!(is_reachable(&lab.alice, "198.18.1.1"));
    assert!(is_reachable(&again, "198.18.1.2"));
    keeper::stop(&lab.name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_cannot_start_says_why() {
    let lab: LabName = names::own("tnet").parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_labctl"));
    let (plan, log) = (directory.path().join("plan.json"), directory.path().join("log"));
    fs::write(&plan, "{}").unwrap();
    let error = keeper::spawn(program, &lab, &plan, &log).await.unwrap_err().to_string();
    assert!(error.contains(lab.as_str()) && error.contains("is not a plan"), "{error}");
    assert_eq!(keeper::find(&lab), []);
}

fn text_here(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}
