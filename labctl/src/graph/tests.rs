use super::*;
use crate::plan::Plan;
use crate::profile::Catalogue;
use crate::topology::{Overrides, parse, shipped};

fn plan(text: &str) -> Plan {
    let topology = parse(text, "t.yaml", &Catalogue::shipped(), &Overrides::default());
    Plan::new(&topology.unwrap_or_else(|errors| panic!("{errors}")))
}

fn shipped_picture(name: &str) -> Picture {
    Picture::of(&plan(shipped().find(|(found, _)| *found == name).unwrap().1))
}

const NESTED: &str = "
name: nested
title: A \"home\" behind a carrier's NAT & one <server>
nodes:
  server: { command: [sleep, '1'] }
sites:
  carrier:
    gateway: { nat: cgn, firewall: open }
    access: { down: 10mbit, up: 512kbit, delay: 5ms, loss: 1% }
    subnet: 100.64.0.0/24
    nodes: { inner: { command: [sleep, '1'] } }
  home:
    count: 3
    uplink: carrier
    gateway: { nat: home-router, firewall: block-inbound }
    nodes: { pc: { command: [sleep, '1'], count: 2 } }
";

#[test]
fn what_is_alike_is_drawn_once() {
    let picture = Picture::of(&plan(NESTED));
    let [region] = &picture.regions[..] else { panic!("{picture:?}") };
    let [Member::Node(server), Member::Site(carrier)] = &region.members[..] else { panic!("{region:?}") };
    assert_eq!((server.name.as_str(), server.count), ("server", 1));
    let [Member::Node(_), Member::Site(homes)] = &carrier.members[..] else { panic!("{carrier:?}") };
    assert_eq!((homes.label().as_str(), homes.count), ("home × 3", 3));
    let [Member::Node(pc)] = &homes.members[..] else { panic!("{homes:?}") };
    assert_eq!(pc.count, 2);
}

#[test]
fn every_node_and_gateway_of_every_shipped_topology_is_in_its_picture() {
    fn count(members: &[Member], times: usize) -> (usize, usize) {
        members.iter().fold((0, 0), |(nodes, sites), member| match member {
            Member::Node(node) => (nodes + times * node.count, sites),
            Member::Site(site) => {
                let (inner_nodes, inner_sites) = count(&site.members, times * site.count);
                (nodes + inner_nodes, sites + times * site.count + inner_sites)
            }
        })
    }
    for (name, text) in shipped() {
        let plan = plan(text);
        let picture = Picture::of(&plan);
        let drawn = picture.regions.iter().map(|region| count(&region.members, 1));
        let drawn = drawn.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(drawn, (plan.nodes.len(), plan.gateways.len()), "{name}");
    }
}

#[test]
fn the_forms_of_a_stacked_nat() {
    let picture = Picture::of(&plan(NESTED));
    insta::assert_snapshot!("nested.mermaid", mermaid(&picture));
    insta::assert_snapshot!("nested.dot", dot(&picture));
    insta::assert_snapshot!("nested.svg", svg(&picture));
}

#[test]
fn the_forms_of_exp_c() {
    let picture = shipped_picture("expC");
    insta::assert_snapshot!("expC.mermaid", mermaid(&picture));
    insta::assert_snapshot!("expC.dot", dot(&picture));
}
