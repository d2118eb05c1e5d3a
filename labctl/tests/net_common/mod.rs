//! What the tests of the network share: plans of small networks, and programs run inside namespaces.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::time::Duration;

use labctl::link::AccessLink;
use labctl::net::NetNs;
use labctl::plan::{Attachment, EngineKind, GatewayPlan, Lan, WanPlan};

/// The core's address in every plan here.
pub const CORE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Namespaces that are removed again, also when a test fails.
pub struct Namespaces(pub Vec<String>);

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = NetNs::delete(name);
        }
    }
}

/// An attachment without any impairment, in region 0.
pub fn attachment(lab: &str, name: &str, interface: &str, address: Ipv4Addr) -> Attachment {
    Attachment {
        name: name.parse().unwrap(),
        namespace: format!("lab-{lab}-{name}"),
        interface: interface.to_owned(),
        region: 0,
        place: None,
        addresses: vec![address],
        access: AccessLink::UNLIMITED,
    }
}

/// A WAN of one region.
pub fn wan(lab: &str, delay: Duration, attachments: Vec<Attachment>) -> WanPlan {
    WanPlan {
        namespace: format!("lab-{lab}-wan"),
        address: CORE,
        network: Ipv4Addr::new(198, 18, 0, 0),
        prefix: 15,
        seed: 1,
        regions: vec!["here".to_owned()],
        places: vec![],
        delay: vec![vec![delay]],
        jitter: 0.0,
        engine: EngineKind::User,
        attachments,
    }
}

/// A gateway straight on the WAN, that forwards and masquerades.
pub fn gateway(lab: &str, name: &str, outside: Ipv4Addr) -> GatewayPlan {
    GatewayPlan {
        name: name.parse().unwrap(),
        namespace: format!("lab-{lab}-{name}"),
        behind: None,
        outside: vec![outside],
        outside_prefix: 32,
        next_hop: CORE,
        inside: Ipv4Addr::new(192, 168, 1, 1),
        inside_prefix: 24,
        lan: Lan::Bridge,
        nat: "masquerade".to_owned(),
        firewall: "open".to_owned(),
        sysctls: std::collections::BTreeMap::from([("net/ipv4/ip_forward".to_owned(), "1".to_owned())]),
        nft: "table ip nat {\n chain out {\n  type nat hook postrouting priority srcnat\n  \
              oifname \"wan\" masquerade\n }\n}\n"
            .to_owned(),
        iptables: String::new(),
        fast_path: None,
    }
}

/// Runs a program in a namespace and returns what it wrote.
pub fn run(namespace: &NetNs, program: &str, arguments: &[&str]) -> Output {
    namespace.run(|| Command::new(program).args(arguments).output().unwrap()).unwrap()
}

/// What a program in a namespace wrote; the test fails if the program does.
pub fn text(namespace: &NetNs, program: &str, arguments: &[&str]) -> String {
    let output = run(namespace, program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?} in {}: {}{}",
        namespace.name(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
