//! Namespaces, settings and rulesets, as root on the real kernel.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;
mod net_common;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use lab_common::names;
use labctl::net::node::{self, NodeNetwork};
use labctl::net::ruleset::{self, Program};
use labctl::net::{Gateway, NetError, NetNs, Uplink, sysctl};
use labctl::plan::Lan;
use net_common::{Namespaces, gateway, text};

/// Identity of the namespace that the calling thread is in.
fn here() -> String {
    fs::read_link("/proc/thread-self/ns/net").unwrap().to_string_lossy().into_owned()
}

/// A name for a namespace that no other test has.
fn own_name() -> String {
    format!("lab-{}-a", names::own("tnet"))
}

fn fresh() -> (NetNs, Namespaces) {
    let name = own_name();
    (NetNs::create(&name).unwrap(), Namespaces(vec![name]))
}

#[test]
fn a_namespace_is_made_found_by_name_and_removed() {
    let (namespace, removed) = fresh();
    let name = &*removed.0[0];
    assert!(NetNs::list().unwrap().contains(&name.to_owned()));
    let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains(name), "`ip netns` shows it");
    let again = NetNs::open(name).unwrap();
    let inside = namespace.run(here).unwrap();
    assert_eq!(again.run(here).unwrap(), inside);
    assert_ne!(inside, here(), "the caller stays where it was");
    assert!(matches!(NetNs::create(name), Err(NetError::NamespaceExists { .. })));
    assert_eq!(namespace.run(here).unwrap(), inside, "and that changes nothing");

    assert!(NetNs::delete(name).unwrap());
    assert!(!NetNs::delete(name).unwrap(), "there is none any more");
    assert!(matches!(NetNs::open(name), Err(NetError::NoNamespace { .. })));
    assert!(!Path::new("/run/netns").join(name).exists());
}

#[test]
fn many_namespaces_can_be_made_at_once() {
    let names: Vec<_> = (0..20).map(|_| own_name()).collect();
    let _removed = Namespaces(names.clone());
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| NetNs::create(name).unwrap());
        }
    });
    let listed = NetNs::list().unwrap();
    assert!(names.iter().all(|name| listed.contains(name)));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/run/netns")).count();
    assert_eq!(mounted, 1, "the directory is mounted once");
}

#[test]
fn a_name_without_a_namespace_behind_it_is_removed_too() {
    let (_, _removed) = fresh();
    let name = own_name();
    let left = Path::new("/run/netns").join(&name);
    fs::write(&left, "").unwrap();
    assert!(NetNs::delete(&name).unwrap());
    assert!(!left.exists());
}

#[test]
fn the_namespace_of_a_process_can_be_named_and_outlives_it() {
    let name = &*own_name();
    let (first, _removed) = fresh();
    let _removed_too = Namespaces(vec![name.to_owned()]);
    let mut process = first.spawn(Command::new("cat").stdin(Stdio::piped())).unwrap();
    let inside = first.run(here).unwrap();
    assert_eq!(NetNs::of_process(process.id()).unwrap().run(here).unwrap(), inside);
    let named = NetNs::bind_process(name, process.id()).unwrap();
    drop(process.stdin.take());
    process.wait().unwrap();
    drop(first);
    assert_eq!(named.run(here).unwrap(), inside);
    assert_eq!(NetNs::open(name).unwrap().run(here).unwrap(), inside);
}

#[test]
fn binding_a_process_that_is_gone_leaves_no_name() {
    let mut process = Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    let name = own_name();
    let error = NetNs::bind_process(&name, process.id()).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert!(!Path::new("/run/netns").join(name).exists());
}

#[tokio::test]
async fn a_panic_inside_a_namespace_is_the_callers() {
    let (namespace, _removed) = fresh();
    let task = tokio::spawn(async move { namespace.run_async(|| panic!("inside")).await.is_ok() });
    assert!(task.await.unwrap_err().is_panic());
}

#[test]
fn settings_are_those_of_the_namespace_and_not_the_hosts() {
    let read = || fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap();
    let host = read();
    let (namespace, _removed) = fresh();
    namespace.run(|| sysctl::set("net/ipv4/ip_default_ttl", "77").unwrap()).unwrap();
    assert_eq!(namespace.run(read).unwrap().trim(), "77");
    assert_eq!(read(), host);
    let error = namespace.run(|| sysctl::set("net/ipv4/no_such_setting", "1").unwrap_err()).unwrap();
    assert!(error.to_string().contains("does not have that setting"), "{error}");
}

#[tokio::test]
async fn rulesets_are_applied_in_the_namespace() {
    let (namespace, _removed) = fresh();
    let nft = "table ip labctl_test {\n chain a {\n }\n}\n";
    ruleset::apply(&namespace, Program::Nft, nft).await.unwrap();
    let iptables = "*filter\n-A FORWARD -p udp -j DROP\nCOMMIT\n";
    ruleset::apply(&namespace, Program::IptablesRestore, iptables).await.unwrap();
    assert!(text(&namespace, "nft", &["list", "ruleset"]).contains("labctl_test"));
    assert!(text(&namespace, "iptables", &["-S", "FORWARD"]).contains("-A FORWARD -p udp -j DROP"));
    let host = Command::new("nft").args(["list", "tables"]).output().unwrap();
    assert!(!String::from_utf8(host.stdout).unwrap().contains("labctl_test"), "nothing on the host");
}

#[tokio::test]
async fn a_ruleset_that_is_refused_says_which_line_and_why() {
    let (namespace, _removed) = fresh();
    let nft = "table ip a {\n chain b {\n  tcp dport ssssh accept\n }\n}\n";
    let error = ruleset::apply(&namespace, Program::Nft, nft).await.unwrap_err();
    let NetError::Ruleset { line: 3, text, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(text.trim(), "tcp dport ssssh accept");
    assert!(message.contains("Error"), "{message}");

    let iptables = "*filter\n-A FORWARD -p udp -j DROP\n-A FORWARD -j NO_SUCH_CHAIN\nCOMMIT\n";
    let error = ruleset::apply(&namespace, Program::IptablesRestore, iptables).await.unwrap_err();
    let NetError::Ruleset { line, text, .. } = &error else { panic!("{error:?}") };
    assert!((3..=4).contains(line), "{error}");
    assert!(!text.is_empty());
    let rules = text_of(&namespace);
    assert!(!rules.contains("udp"), "taken whole or not at all: {rules}");
}

fn text_of(namespace: &NetNs) -> String {
    text(namespace, "iptables", &["-S"])
}

#[tokio::test]
async fn a_gateway_whose_rules_are_refused_is_not_left_behind() {
    let mut plan = gateway(&names::own("tnet"), "home", "198.18.1.1".parse().unwrap());
    plan.nft = "nonsense".to_owned();
    let error = Gateway::build(&plan).await.unwrap_err().to_string();
    assert!(error.contains(&plan.namespace) && error.contains("`nonsense`"), "{error}");
    assert!(!NetNs::list().unwrap().contains(&plan.namespace));
}

#[tokio::test]
async fn a_gateway_has_a_bridge_that_forwards_at_once_and_no_ip_version_6() {
    let plan = gateway(&names::own("tnet"), "home", "198.18.1.1".parse().unwrap());
    let _removed = Namespaces(vec![plan.namespace.clone()]);
    let gateway = Gateway::build(&plan).await.unwrap();
    let link = text(gateway.namespace(), "ip", &["-d", "-o", "link", "show", "lan"]);
    for part in ["stp_state 0", "forward_delay 0", "mcast_snooping 0", "mtu 1500", ",UP"] {
        assert!(link.contains(part), "{part}: {link}");
    }
    let addresses = text(gateway.namespace(), "ip", &["-o", "addr"]);
    assert!(addresses.contains("192.168.1.1/24") && !addresses.contains("inet6"), "{addresses}");
}

/// One packet, and one ARP request for it: if either is lost no answer comes, however long one waits.
fn reaches_the_gateway_at_once(namespace: &NetNs) {
    namespace.run(|| sysctl::set("net/ipv4/neigh/eth0/mcast_solicit", "1").unwrap()).unwrap();
    text(namespace, "ping", &["-n", "-c", "1", "-W", "60", "192.168.1.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_packet_of_a_node_passes() {
    let lab = names::own("tnet");
    let plan = gateway(&lab, "home", "198.18.1.1".parse().unwrap());
    let names: Vec<_> = (0..8).map(|number| format!("lab-{lab}-n{number}")).collect();
    let _removed = Namespaces(names.iter().cloned().chain([plan.namespace.clone()]).collect());
    let gateway = Gateway::build(&plan).await.unwrap();
    let all = names.iter().zip(2..).map(|(name, last)| {
        let uplink = Uplink::Lan(&gateway);
        async move {
            let namespace = NetNs::create(name).unwrap();
            let network = NodeNetwork {
                name: name.rsplit('-').next().unwrap(),
                namespace: name,
                addresses: &[Ipv4Addr::new(192, 168, 1, last)],
                prefix: 24,
                next_hop: Ipv4Addr::new(192, 168, 1, 1),
            };
            node::attach(network, &namespace, uplink).await.unwrap();
            reaches_the_gateway_at_once(&namespace);
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_node_of_a_site_hangs_off_its_gateway_without_a_bridge_also_when_it_comes_back() {
    let lab = names::own("tnet");
    let mut plan = gateway(&lab, "home", "198.18.1.1".parse().unwrap());
    plan.lan = Lan::Link;
    let name = &*format!("lab-{lab}-alice");
    let _removed = Namespaces(vec![plan.namespace.clone(), name.to_owned()]);
    let gateway = Gateway::build(&plan).await.unwrap();
    let network = NodeNetwork {
        name: "alice",
        namespace: name,
        addresses: &["192.168.1.2".parse().unwrap()],
        prefix: 24,
        next_hop: "192.168.1.1".parse().unwrap(),
    };
    for _ in 0..2 {
        let alice = node::build(network, Uplink::Lan(&gateway)).await.unwrap();
        reaches_the_gateway_at_once(&alice);
        let links = text(gateway.namespace(), "ip", &["-d", "-o", "link", "show"]);
        assert!(links.contains("lan@") && !links.contains("bridge"), "{links}");
        // Without a wait: the old link may still be there when the new one is made.
        NetNs::delete(name).unwrap();
    }
}
