//! Outside referees: the programs of the Debian packages `stun-client` and `stun-server` give each NAT
//! the class that it declares.
//!
//! Needs root, `ip`, `nft`, `iptables`, `stun` and `stund`. `stun` speaks RFC 3489, so it tells the
//! filtering of endpoint-independent mappings only, and does not tell dependent mappings apart.

mod nat_common;

use std::process::{Child, Command, Stdio};

use labctl::profile::{
    Catalogue, Filtering, FirewallProfile, Hairpin, Mapping, NatBehaviour, NatProfile, PortAllocation,
};
use nat_common::{A, B, P, Q, World, firewall, nat, nat_with, run_in};

/// `stund` at both addresses; it ends with this.
struct Server(Child);

impl Server {
    fn start(world: &World) -> Self {
        let servers = world.servers();
        let child = Command::new("ip")
            .args(["netns", "exec", &servers, "stund", "-h", &A.to_string(), "-a", &B.to_string()])
            .args(["-p", &P.to_string(), "-o", &Q.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self(child);
        // It is ready when its four sockets are there.
        while run_in(&servers, &["ss", "-Hlnu"]).lines().filter(|line| line.contains(":347")).count() < 4 {
            assert!(server.0.try_wait().unwrap().is_none(), "stund ended");
            std::thread::yield_now();
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The verdict of `stun` on a host behind this NAT and firewall.
fn verdict(profile: &NatProfile, firewall: &FirewallProfile) -> String {
    let mut world = World::new();
    let mut gateway = world.gateway(profile, firewall, 1, None);
    let _first = world.host(&mut gateway, 1);
    let host = world.host(&mut gateway, 1);
    let _server = Server::start(&world);
    let output =
        Command::new("ip").args(["netns", "exec", &host.namespace, "stun", &A.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let primary = text.lines().find_map(|line| line.strip_prefix("Primary:"));
    primary.unwrap_or_else(|| panic!("stun said: {text}")).trim().to_owned()
}

/// What `stun` must say of a NAT.
fn expected(nat: &NatBehaviour) -> String {
    if nat.udp.mapping != Mapping::EndpointIndependent {
        return "Dependent Mapping".to_owned();
    }
    let filtering = match nat.udp.filtering {
        Filtering::EndpointIndependent => "Independent Filter",
        Filtering::AddressDependent => "Address Dependent Filter",
        Filtering::AddressAndPortDependent => "Port Dependent Filter",
    };
    let ports = match nat.allocation {
        PortAllocation::Preserving => "preserves ports",
        _ => "random port",
    };
    // Its packet comes from an endpoint that has not been sent to, so filtering is asked first.
    let hairpin = match (nat.hairpin, nat.udp.filtering) {
        (Hairpin::Off, _) | (_, Filtering::AddressDependent | Filtering::AddressAndPortDependent) => {
            "no hairpin"
        }
        _ => "will hairpin",
    };
    format!("Independent Mapping, {filtering}, {ports}, {hairpin}")
}

fn check(profile: &NatProfile) {
    let expected = expected(profile.behaviour.as_ref().unwrap());
    let found = verdict(profile, &firewall("open"));
    // What it says of the ports of a dependent mapping is about the last one that it saw.
    assert!(
        found == expected || found.starts_with("Dependent") && expected.starts_with("Dependent"),
        "{}: {found}, expected {expected}",
        profile.name
    );
}

#[test]
fn the_stun_client_gives_every_shipped_nat_its_class() {
    for name in Catalogue::shipped().nat_names() {
        let profile = nat(name);
        if profile.behaviour.is_some() {
            check(&profile);
        }
    }
}

#[test]
fn the_stun_client_tells_the_nine_pairs_apart_as_far_as_it_can() {
    for mapping in ["EIM", "ADM", "APDM"] {
        for filtering in ["EIF", "ADF", "APDF"] {
            for hairpin in ["off", "external-source"] {
                let profile = nat_with(&format!(
                    "  udp: {{ mapping: {mapping}, filtering: {filtering} }}\n  hairpin: {hairpin}\n"
                ));
                check(&NatProfile { name: format!("{mapping} {filtering} {hairpin}"), ..profile });
            }
        }
    }
}

#[test]
fn the_stun_client_knows_the_open_internet_and_firewalls() {
    assert!(verdict(&nat("open"), &firewall("open")).starts_with("Open"));
    assert!(verdict(&nat("none"), &firewall("symmetric-udp")).starts_with("Firewall"));
    assert!(verdict(&nat("none"), &firewall("block-inbound")).starts_with("Firewall"));
    assert!(verdict(&nat("port-restricted"), &firewall("udp-restricted")).starts_with("Blocked"));
    let filtered = verdict(&nat("full-cone"), &firewall("block-inbound"));
    assert!(filtered.starts_with("Independent Mapping, Port Dependent Filter"), "{filtered}");
}
