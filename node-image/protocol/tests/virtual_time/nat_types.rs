//! The client's verdict on the NAT and firewall before it.

use overlay_protocol::{LoginEvent, NatVerdict};

use crate::world::gateway::Dependence::{self, Address, AddressAndPort, Endpoint};
use crate::world::gateway::Policy;
use crate::world::setup::{Setup, log_in};

fn verdict(policy: Option<Policy>, loss: f64) -> Vec<NatVerdict> {
    let setup = Setup::first_time(7);
    let mut world = setup.world();
    world.loss = loss;
    let client = setup.add(&mut world, setup.client("alice"), policy, 1);
    let login = log_in(&mut world, client);
    assert_eq!(login.result.expect("the login succeeds").nat, told(&world, client)[0]);
    told(&world, client)
}

fn told(world: &crate::world::World, client: usize) -> Vec<NatVerdict> {
    world
        .events_of(client)
        .filter_map(|(_, event)| match event {
            LoginEvent::NatType { verdict } => Some(*verdict),
            _ => None,
        })
        .collect()
}

#[test]
fn each_nat_is_told_for_what_it_is() {
    let table: [(Dependence, Dependence, NatVerdict); 9] = [
        (Endpoint, Endpoint, NatVerdict::FullCone),
        (Endpoint, Address, NatVerdict::RestrictedCone),
        (Endpoint, AddressAndPort, NatVerdict::PortRestricted),
        (Address, Endpoint, NatVerdict::Symmetric),
        (Address, Address, NatVerdict::Symmetric),
        (Address, AddressAndPort, NatVerdict::Symmetric),
        (AddressAndPort, Endpoint, NatVerdict::Symmetric),
        (AddressAndPort, Address, NatVerdict::Symmetric),
        (AddressAndPort, AddressAndPort, NatVerdict::Symmetric),
    ];
    for (mapping, filtering, expected) in table {
        let found = verdict(Some(Policy::nat(mapping, filtering)), 0.0);
        assert_eq!(found, [expected], "{mapping:?} mapping, {filtering:?} filtering");
    }
}

#[test]
fn without_a_nat_filtering_makes_the_difference() {
    assert_eq!(verdict(None, 0.0), [NatVerdict::Open]);
    for filtering in [Address, AddressAndPort] {
        let firewall = Policy { filtering: Some(filtering), ..Policy::open() };
        assert_eq!(verdict(Some(firewall), 0.0), [NatVerdict::SymmetricUdpFirewall]);
    }
    assert_eq!(verdict(Some(Policy::udp_restricted()), 0.0), [NatVerdict::UdpBlocked]);
}

#[test]
fn a_lossy_path_does_not_change_the_verdict() {
    // Four tries each at 10 % loss: one test in 1,000 would go unanswered.
    assert_eq!(verdict(None, 0.1), [NatVerdict::Open]);
    assert_eq!(verdict(Some(Policy::nat(Endpoint, Endpoint)), 0.1), [NatVerdict::FullCone]);
    assert_eq!(verdict(Some(Policy::nat(Endpoint, Address)), 0.1), [NatVerdict::RestrictedCone]);
    assert_eq!(verdict(Some(Policy::port_restricted()), 0.1), [NatVerdict::PortRestricted]);
}

#[test]
fn the_verdict_waits_for_the_interface_address_where_it_is_not_given() {
    for (policy, expected) in
        [(None, NatVerdict::Open), (Some(Policy::port_restricted()), NatVerdict::PortRestricted)]
    {
        let setup = Setup::first_time(7);
        let mut world = setup.world();
        let config = setup.client("alice");
        let client = setup.add(&mut world, config.clone(), policy, 1);
        world.nodes[client].role =
            crate::world::Role::Client(Box::new(overlay_protocol::Client::new(config)));
        assert_eq!(log_in(&mut world, client).result.expect("the login succeeds").nat, expected);
    }
}

#[test]
fn with_a_single_super_node_nobody_can_answer_in_its_place_and_the_login_goes_on() {
    let setup = Setup { super_nodes: 1, ..Setup::first_time(7) };
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), Some(Policy::nat(Endpoint, Address)), 1);
    let login = log_in(&mut world, client);
    assert_eq!(login.result.expect("the login succeeds").nat, NatVerdict::RestrictedCone);
}
