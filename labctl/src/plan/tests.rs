use std::collections::{BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use super::*;
use crate::profile::Catalogue;
use crate::topology::{Overrides, Topology, WAN_SUBNET, parse, shipped};

fn catalogue() -> &'static Catalogue {
    static SHIPPED: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
    &SHIPPED
}

fn topology(text: &str) -> Topology {
    parse(text, "t.yaml", catalogue(), &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn plan(text: &str) -> Plan {
    Plan::new(&topology(text))
}

fn node<'a>(plan: &'a Plan, name: &str) -> &'a NodePlan {
    plan.nodes.iter().find(|node| node.name.as_str() == name).unwrap()
}

fn gateway<'a>(plan: &'a Plan, name: &str) -> &'a GatewayPlan {
    plan.gateways.iter().find(|gateway| gateway.name.as_str() == name).unwrap()
}

fn shipped_plan(name: &str) -> Plan {
    plan(shipped().find(|(found, _)| *found == name).unwrap().1)
}

/// Rules and settings have snapshots of their own in the profile room, and the parameters are those of the
/// parameter file: here stands only that they are there.
fn assert_plan_snapshot(name: &str) {
    let mut plan = shipped_plan(name);
    for gateway in &mut plan.gateways {
        gateway.sysctls.clear();
        gateway.fast_path = None;
        for text in [&mut gateway.nft, &mut gateway.iptables] {
            if !text.is_empty() {
                "(rules)".clone_into(text);
            }
        }
    }
    let text = serde_yaml::to_string(&plan).unwrap();
    let text = match text.split_once("  parameters:\n") {
        Some((before, parameters)) => {
            let after = &parameters[parameters.find("\n  login_servers:").unwrap()..];
            format!("{before}  parameters: (of the profile){after}")
        }
        None => text,
    };
    insta::assert_snapshot!(name, text);
}

#[test]
fn the_plan_of_exp_a_is_as_it_was() {
    assert_plan_snapshot("expA");
}

#[test]
fn the_plan_of_exp_b_is_as_it_was() {
    assert_plan_snapshot("expB");
}

#[test]
fn the_plan_of_exp_c_is_as_it_was() {
    assert_plan_snapshot("expC");
}

#[test]
fn the_plan_of_programs_has_their_commands_with_addresses_in_them() {
    assert_plan_snapshot("bring-your-own");
}

#[test]
fn a_program_of_an_image_has_the_addresses_of_nodes_and_gateways_in_its_environment() {
    let plan = plan("
name: x
nodes:
  a: { image: 'debian:12', count: 2, addresses: 2, environment: { OWN: '{name} {address.2}', NEXT: '{address.2:a-2}' } }
sites:
  home: { gateway: { nat: symmetric }, outside_addresses: 2, nodes: { b: { command: 'nc {address.2:home}' } } }
");
    let program = |name: &str| node(&plan, name).program().unwrap();
    assert_eq!(program("a-1").environment["OWN"], "a-1 198.18.0.3");
    assert_eq!(program("a-1").environment["NEXT"], "198.18.0.5");
    assert_eq!(program("b").command, ["nc", "198.18.0.7"]);
    assert_eq!(node(&plan, "a-2").instances(), []);
    assert!(plan.overlay.is_none());
}

#[test]
fn a_plan_survives_yaml_and_json() {
    for (name, _) in shipped() {
        let plan = shipped_plan(name);
        assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
        assert_eq!(serde_yaml::from_str::<Plan>(&serde_yaml::to_string(&plan).unwrap()).unwrap(), plan);
    }
}

#[test]
fn every_gateway_of_exp_c_has_rules_for_its_nat_and_its_firewall() {
    for gateway in shipped_plan("expC").gateways {
        assert!(gateway.nft.contains(&gateway.outside[0].to_string()), "{}", gateway.nft);
        assert!(gateway.iptables.contains("*filter"), "{}", gateway.iptables);
        assert_eq!(gateway.sysctls["net/ipv4/ip_forward"], "1");
    }
}

#[test]
fn a_stale_entry_leads_to_an_address_that_nobody_has() {
    let plan = shipped_plan("expC");
    let overlay = plan.overlay.as_ref().unwrap();
    let unassigned: HashSet<_> = overlay.unassigned.iter().collect();
    assert_eq!((overlay.host_cache_entries, overlay.host_cache_stale), (200, 90));
    assert_eq!(unassigned.len(), 90);
    let assigned: HashSet<_> =
        plan.wan.attachments.iter().flat_map(|attachment| &attachment.addresses).collect();
    assert!(unassigned.is_disjoint(&assigned));
    assert!(unassigned.iter().all(|address| is_on_wan(**address)));
}

#[test]
fn another_seed_gives_other_seeds_and_ports_and_the_same_addresses() {
    let text = shipped().find(|(name, _)| *name == "expC").unwrap().1;
    let overrides = Overrides { seed: Some(7), ..Overrides::default() };
    let other = Plan::new(&parse(text, "t.yaml", catalogue(), &overrides).unwrap());
    let plan = plan(text);
    assert_ne!(node(&plan, "alice").seed, node(&other, "alice").seed);
    assert_ne!(node(&plan, "sn-eu-1").instances(), node(&other, "sn-eu-1").instances());
    assert_eq!(node(&plan, "sn-eu-1").addresses, node(&other, "sn-eu-1").addresses);
}

const NESTED: &str = "
name: nested
nodes:
  login: { role: login-server }
  sn: { role: super-node, addresses: 3 }
sites:
  home: { uplink: carrier, gateway: { nat: full-cone }, nodes: { alice: { role: client } } }
  carrier:
    gateway: { nat: symmetric }
    subnet: 100.64.0.0/10
    outside_addresses: 2
    nodes: { carol: { role: client } }
  office: { gateway: { nat: none, firewall: block-inbound }, nodes: { dave: { role: client, count: 6 } } }
";

#[test]
fn a_site_behind_another_one_has_its_outside_on_the_inside_of_that_one() {
    let plan = plan(NESTED);
    let names: Vec<_> = plan.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    assert_eq!(names, ["carrier", "office", "home"], "each after the one that it hangs off");
    let (home, carrier) = (gateway(&plan, "home"), gateway(&plan, "carrier"));
    assert_eq!(home.behind.as_ref().unwrap().as_str(), "carrier");
    assert_eq!(home.next_hop, carrier.inside);
    assert_eq!((home.outside.as_slice(), home.outside_prefix), (&[Ipv4Addr::new(100, 64, 0, 3)][..], 10));
    assert_eq!((carrier.outside.len(), carrier.outside_prefix, carrier.next_hop), (2, 32, plan.wan.address));
    assert!(plan.wan.attachments.iter().all(|attachment| attachment.name.as_str() != "home"));
    assert_eq!(node(&plan, "alice").next_hop, home.inside);
}

#[test]
fn nodes_behind_a_gateway_that_translates_nothing_have_public_addresses_that_the_core_routes() {
    let plan = plan(NESTED);
    let office = gateway(&plan, "office");
    // A gateway and six nodes fit a /28, not a /29 with its six hosts.
    assert_eq!(office.inside_prefix, 28);
    let attachment =
        plan.wan.attachments.iter().find(|attachment| attachment.name.as_str() == "office").unwrap();
    assert_eq!(attachment.addresses.len(), 7);
    for number in 1..=6 {
        let dave = node(&plan, &format!("dave-{number}"));
        assert!(attachment.addresses.contains(&dave.addresses[0]) && is_on_wan(dave.addresses[0]));
        assert_eq!((dave.prefix, dave.next_hop), (28, office.inside));
    }
}

#[test]
fn a_node_is_told_its_instances_and_the_whole_overlay() {
    let plan = plan(NESTED);
    let keys = [LoginServer {
        address: plan.overlay.as_ref().unwrap().login_servers[0],
        public_key: "00".to_owned(),
    }];
    let config = plan.node_config(node(&plan, "sn"), &keys).unwrap();
    let names: Vec<_> = config.instances.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["sn", "sn.2", "sn.3"]);
    assert_eq!(config.super_nodes.len(), 3);
    assert_eq!(config.login_servers, keys);
    assert_eq!(keys[0].address.port(), LOGIN_SERVER_PORT);
    let client = plan.node_config(node(&plan, "alice"), &keys).unwrap();
    assert_eq!((client.instances[0].address, client.instances[0].port), (Ipv4Addr::UNSPECIFIED, 0));
}

fn is_on_wan(address: Ipv4Addr) -> bool {
    let mask = u32::MAX << (32 - u32::from(WAN_SUBNET.prefix));
    address.to_bits() & mask == WAN_SUBNET.network.to_bits()
}

mod properties {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Any topology within the room that a few numbers leave: counts, sites on the WAN and behind the first,
    /// every shipped NAT.
    fn any_topology() -> impl Strategy<Value = String> {
        let nats = prop::sample::select(vec![
            "none",
            "full-cone",
            "restricted-cone",
            "port-restricted",
            "symmetric",
        ]);
        let site = (1_u32..4, nats, any::<bool>(), 1_u32..4, 1_u16..4, 20_u8..28);
        (1_u32..20, 1_u16..9, 1_u32..3, prop::collection::vec(site, 0..5)).prop_map(|(sn, addresses, login, sites)| {
            let mut text = format!(
                "name: any\nnodes:\n  sn: {{ role: super-node, count: {sn}, addresses: {addresses} }}\n  login: {{ role: login-server, count: {login} }}\n"
            );
            text.push_str("sites:\n  isp: { gateway: { nat: symmetric }, subnet: 100.64.0.0/10 }\n");
            for (index, (count, nat, nested, clients, outside, prefix)) in sites.into_iter().enumerate() {
                let nodes = format!("nodes: {{ c{index}: {{ role: client, count: {clients} }} }}");
                if nat == "none" {
                    writeln!(text, "  s{index}: {{ count: {count}, gateway: {{ nat: none }}, {nodes} }}").unwrap();
                } else {
                    let uplink = if nested { "uplink: isp, " } else { "" };
                    writeln!(
                        text,
                        "  s{index}: {{ {uplink}count: {count}, gateway: {{ nat: {nat} }}, outside_addresses: {outside}, subnet: 10.0.0.0/{prefix}, {nodes} }}"
                    )
                    .unwrap();
                }
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn names_and_addresses_are_unique_and_the_plan_is_the_same_twice(text in any_topology()) {
            let plan = plan(&text);
            prop_assert_eq!(serde_json::to_string(&plan).unwrap(), serde_json::to_string(&super::plan(&text)).unwrap());

            let mut namespaces = BTreeSet::from([plan.wan.namespace.as_str()]);
            for namespace in plan.nodes.iter().map(|node| &node.namespace).chain(plan.gateways.iter().map(|gateway| &gateway.namespace)) {
                prop_assert!(namespaces.insert(namespace), "{} twice", namespace);
            }

            let mut public = BTreeSet::from([plan.wan.address]);
            for address in plan.wan.attachments.iter().flat_map(|attachment| &attachment.addresses) {
                prop_assert!(public.insert(*address), "{} twice", address);
                prop_assert!(is_on_wan(*address));
            }

            // On each inside network: the gateway, its nodes, the outside of the gateways behind it.
            for gateway in &plan.gateways {
                let mut inside = BTreeSet::from([gateway.inside]);
                let nodes = plan.nodes.iter().filter(|node| node.gateway.as_ref() == Some(&gateway.name));
                let behind = plan.gateways.iter().filter(|inner| inner.behind.as_ref() == Some(&gateway.name));
                let mask = u32::MAX << (32 - u32::from(gateway.inside_prefix));
                for address in nodes.flat_map(|node| &node.addresses).chain(behind.flat_map(|inner| &inner.outside)) {
                    prop_assert!(inside.insert(*address), "{} twice", address);
                    prop_assert_eq!(address.to_bits() & mask, gateway.inside.to_bits() & mask);
                }
            }

            let super_nodes = &plan.overlay.as_ref().unwrap().super_nodes;
            prop_assert_eq!(super_nodes.iter().collect::<BTreeSet<_>>().len(), super_nodes.len());
        }
    }
}

#[test]
fn what_is_around_a_program_is_in_the_plan_and_survives_json() {
    let plan = plan(
        "
name: x
nodes:
  a:
    command: srv
    mounts: ['/srv/a:/a:ro']
    restart: always
    health: { command: 'check {address}', interval: 500ms }
",
    );
    let program = node(&plan, "a").program().unwrap();
    insta::assert_yaml_snapshot!(program);
    let json = serde_json::to_string(program).unwrap();
    assert_eq!(serde_json::from_str::<ProgramPlan>(&json).unwrap(), *program);
}
