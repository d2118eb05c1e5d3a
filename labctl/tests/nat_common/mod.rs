//! A small network of namespaces around the gateways under test, made with `ip`, so that nothing of
//! labctl but its rules is in the path.
//!
//! ```text
//! servers -- wan -- gateway -- hosts
//!              \--- gateway -- gateway -- hosts
//! ```
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub mod raw;
pub mod tcp;
pub mod udp;

use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use labctl::net::NetNs;
use labctl::net::fast_path::{self, Passed};
use labctl::net::gateway::INTERFACES;
use labctl::profile::{Catalogue, FirewallProfile, GatewayContext, GatewayRules, NatProfile, gateway_rules};
use labctl::topology::Subnet;
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns};
use nix::unistd::Pid;

/// Addresses of the servers: two hosts' worth and more.
pub const A: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
pub const B: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
/// Ports of the servers.
pub const P: u16 = 3478;
pub const Q: u16 = 3479;

/// How long a packet that must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Number of the next network in this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network; its namespaces go with it.
pub struct World {
    prefix: String,
    namespaces: Vec<String>,
    gateways: u8,
}

/// A gateway of it.
pub struct Gateway {
    pub namespace: String,
    pub context: GatewayContext,
    hosts: u32,
}

/// A host behind a gateway.
pub struct Host {
    pub namespace: String,
    pub address: Ipv4Addr,
}

impl World {
    /// The WAN and the servers.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("tprof{}.{number}", std::process::id());
        let mut world = Self { prefix, namespaces: Vec::new(), gateways: 0 };
        let wan = world.namespace("wan");
        let servers = world.namespace("srv");
        ip(&[
            &format!("link add eth0 netns {servers} type veth peer name srv netns {wan}"),
            &format!("-n {wan} addr add 198.18.0.1/24 dev srv"),
            &format!("-n {wan} link set srv up"),
            &format!("-n {servers} link set eth0 up"),
        ]);
        let addresses: Vec<_> =
            (2..=60).map(|host| format!("-n {servers} addr add 198.18.0.{host}/24 dev eth0")).collect();
        ip(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        ip(&[&format!("-n {servers} route add default via 198.18.0.1")]);
        write_setting(&wan, "net/ipv4/ip_forward", "1");
        world
    }

    /// The namespace of the servers.
    pub fn servers(&self) -> String {
        self.name("srv")
    }

    /// The namespace of the WAN.
    pub fn wan(&self) -> String {
        self.name("wan")
    }

    /// A gateway with these profiles, on the WAN or behind another one.
    pub fn gateway(
        &mut self,
        nat: &NatProfile,
        firewall: &FirewallProfile,
        outside: u8,
        behind: Option<&Gateway>,
    ) -> Gateway {
        self.gateways += 1;
        let number = self.gateways;
        let namespace = self.namespace(&format!("gw{number}"));
        let inside = Subnet { network: Ipv4Addr::new(10, number, 0, 0), prefix: 16 };
        let lan = Ipv4Addr::new(10, number, 0, 1);
        let (outer, next_hop, first, port) = match behind {
            None => (self.wan(), Ipv4Addr::new(198, 18, number, 1), Ipv4Addr::new(198, 18, number, 2), "eth"),
            Some(outer) => {
                let network = u32::from(outer.context.inside.network);
                // Hosts are counted from 2, gateways from 200.
                (
                    outer.namespace.clone(),
                    Ipv4Addr::from(network + 1),
                    Ipv4Addr::from(network + 200 + u32::from(number)),
                    "gw",
                )
            }
        };
        let port = format!("{port}{number}");
        ip(&[
            &format!("link add wan netns {namespace} type veth peer name {port} netns {outer}"),
            // One that snoops joins a group of multicast, and says so with a packet of its own, sooner or later.
            &format!("-n {namespace} link add lan type bridge mcast_snooping 0"),
            &format!("-n {namespace} link set lan up"),
            &format!("-n {namespace} addr add {lan}/16 dev lan"),
            &format!("-n {namespace} link set wan up"),
            &format!("-n {outer} link set {port} up"),
        ]);
        let mut addresses = Vec::new();
        for offset in 0..u32::from(outside) {
            let address = Ipv4Addr::from(u32::from(first) + offset);
            let prefix = if behind.is_some() { 16 } else { 24 };
            ip(&[&format!("-n {namespace} addr add {address}/{prefix} dev wan")]);
            addresses.push(address);
        }
        if behind.is_some() {
            ip(&[&format!("-n {outer} link set {port} master lan")]);
        } else {
            ip(&[&format!("-n {outer} addr add {next_hop}/24 dev {port}")]);
        }
        if nat.behaviour.is_none() {
            ip(&[&format!("-n {outer} route add 10.{number}.0.0/16 via {first}")]);
        }
        ip(&[&format!("-n {namespace} route add default via {next_hop}")]);
        let context = GatewayContext {
            wan_interface: "wan".to_owned(),
            lan_interface: "lan".to_owned(),
            outside: addresses,
            inside,
        };
        let gateway = Gateway { namespace, context, hosts: 0 };
        gateway.apply(nat, firewall);
        gateway
    }

    /// A host with so many addresses behind a gateway; returns it with the first.
    pub fn host(&mut self, gateway: &mut Gateway, addresses: u32) -> Host {
        let first = u32::from(gateway.context.inside.network) + 2 + gateway.hosts;
        gateway.hosts += addresses;
        let port = format!("h{}", gateway.hosts);
        let namespace = self.namespace(&format!("{}{port}", gateway.context.inside.network.octets()[1]));
        let lan = Ipv4Addr::from(u32::from(gateway.context.inside.network) + 1);
        let outer = &gateway.namespace;
        let mut commands = vec![
            format!("link add eth0 netns {namespace} type veth peer name {port} netns {outer}"),
            format!("-n {outer} link set {port} master lan up"),
            format!("-n {namespace} link set eth0 up"),
        ];
        ip(&commands.iter().map(String::as_str).collect::<Vec<_>>());
        commands.clear();
        for offset in 0..addresses {
            commands.push(format!("addr add {}/16 dev eth0", Ipv4Addr::from(first + offset)));
        }
        commands.push(format!("route add default via {lan}"));
        batch(&namespace, &commands);
        Host { namespace, address: Ipv4Addr::from(first) }
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    fn namespace(&mut self, what: &str) -> String {
        let name = self.name(what);
        ip(&[&format!("netns add {name}"), &format!("-n {name} link set lo up")]);
        self.namespaces.push(name.clone());
        name
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

impl Gateway {
    /// Gives the gateway these profiles, as `nft`, `iptables-restore` and `/proc/sys` take them.
    pub fn apply(&self, nat: &NatProfile, firewall: &FirewallProfile) {
        // As in a lab: frames between hosts of a site pass no rules.
        inside(&self.namespace, || {
            let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
        });
        let GatewayRules { nft, iptables, sysctls, fast_path } = gateway_rules(nat, firewall, &self.context);
        for (path, value) in &sysctls {
            write_setting(&self.namespace, path, value);
        }
        feed(&self.namespace, &["nft", "-f", "-"], &nft);
        if !iptables.is_empty() {
            feed(&self.namespace, &["iptables-restore"], &iptables);
        }
        let namespace = NetNs::open(&self.namespace).unwrap();
        let fast_path = fast_path.and_then(|fast_path| fast_path.beside(&iptables));
        wait_for(fast_path::set(&namespace, INTERFACES, fast_path)).unwrap();
    }

    /// What has taken the fast path, if the gateway has it.
    pub fn passed(&self) -> Option<Passed> {
        let namespace = NetNs::open(&self.namespace).unwrap();
        wait_for(fast_path::passed(&namespace, INTERFACES)).unwrap()
    }

    /// The first outside address.
    pub fn outside(&self) -> Ipv4Addr {
        self.context.outside[0]
    }

    /// Waits until a counter of the gateway has counted so many packets. A busy machine takes its time with them.
    pub fn wait_until_counted(&self, counter: &str, packets: u64) {
        let begun = Instant::now();
        while self.counted(counter) < packets {
            assert!(begun.elapsed() < PATIENCE, "{counter}: {} of {packets}", self.counted(counter));
        }
    }

    /// What a counter of the gateway has counted, packets.
    pub fn counted(&self, counter: &str) -> u64 {
        let passed = self.passed().unwrap_or_default();
        let fast = match counter {
            "sent" => passed.sent.packets,
            "received" => passed.received.packets,
            _ => 0,
        };
        self.counted_by_rules(counter) + fast
    }

    /// What a counter of the gateway's table has counted, packets.
    pub fn counted_by_rules(&self, counter: &str) -> u64 {
        let list = run_in(&self.namespace, &["nft", "-j", "list", "counter", "ip", "labctl", counter]);
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list["nftables"][1]["counter"]["packets"].as_u64().unwrap()
    }
}

/// The shipped profile of that name.
pub fn nat(name: &str) -> NatProfile {
    Catalogue::shipped().nat(name).unwrap_or_else(|| panic!("no NAT profile {name}")).clone()
}

/// The shipped profile of that name.
pub fn firewall(name: &str) -> FirewallProfile {
    Catalogue::shipped().firewall(name).unwrap_or_else(|| panic!("no firewall profile {name}")).clone()
}

/// A NAT profile from the text of its `behaviour:`.
pub fn nat_with(behaviour: &str) -> NatProfile {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("nat")).unwrap();
    let text = format!("title: under test\nbehaviour:\n{behaviour}");
    std::fs::write(folder.path().join("nat/under-test.yaml"), text).unwrap();
    let catalogue = Catalogue::with_directory(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    catalogue.nat("under-test").unwrap().clone()
}

/// Runs `work` in a namespace, on one processor, so that what it sends stays in order.
pub fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    thread::scope(|scope| {
        scope
            .spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET).unwrap();
                stay_on_one_processor();
                work()
            })
            .join()
            .unwrap()
    })
}

/// Two packets sent one after another on different processors can overtake each other.
pub fn stay_on_one_processor() {
    let mut processors = CpuSet::new();
    processors.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &processors).unwrap();
}

/// What comes of something that labctl's own code does.
pub fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Runs a program in a namespace and returns what it writes.
pub fn run_in(namespace: &str, command: &[&str]) -> String {
    let output = Command::new("ip").args(["netns", "exec", namespace]).args(command).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn feed(namespace: &str, command: &[&str], text: &str) {
    let mut child = Command::new("ip")
        .args(["netns", "exec", namespace])
        .args(command)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
}

fn batch(namespace: &str, commands: &[String]) {
    feed(namespace, &["ip", "-batch", "-"], &commands.join("\n"));
}

fn ip(commands: &[&str]) {
    for command in commands {
        let output = Command::new("ip").args(command.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "ip {command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Writes a setting of a namespace.
pub fn write_setting(namespace: &str, path: &str, value: &str) {
    inside(namespace, || std::fs::write(format!("/proc/sys/{path}"), value))
        .unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
}
