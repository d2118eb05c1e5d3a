//! The published table: bytes of a first-time login, time of a later one.

use std::time::Duration;

use crate::world::gateway::Policy;
use crate::world::setup::{Login, Setup, log_in};
use crate::world::{Meter, World};

fn login(setup: &Setup, policy: Option<Policy>) -> (Login, Meter, World) {
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), policy, 1);
    let login = log_in(&mut world, client);
    let meter = world.nodes[client].meter;
    (login, meter, world)
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}

fn median_time(policy: Option<&Policy>) -> Duration {
    let time = |seed| login(&Setup::subsequent(seed), policy.cloned()).0.logged_in.expect("logged in");
    median((0..21).map(time).collect())
}

fn median_bytes(policy: Option<&Policy>) -> usize {
    let bytes = |seed| {
        let (login, meter, _) = login(&Setup::first_time(seed), policy.cloned());
        login.result.expect("the login succeeds");
        meter.total()
    };
    median((0..9).map(bytes).collect())
}

#[test]
fn login_times_are_as_published() {
    let seconds = |policy: Option<&Policy>| median_time(policy).as_secs_f64();
    let a = seconds(None);
    let b = seconds(Some(&Policy::port_restricted()));
    let c = seconds(Some(&Policy::udp_restricted()));
    assert!((3.0..=7.0).contains(&a), "A took {a} s");
    assert!((3.0..=7.0).contains(&b), "B took {b} s");
    assert!((31.0..=37.0).contains(&c), "C took {c} s");
}

#[test]
fn first_time_bytes_are_as_published() {
    let a = median_bytes(None);
    let b = median_bytes(Some(&Policy::port_restricted()));
    let c = median_bytes(Some(&Policy::udp_restricted()));
    assert!((8_100..=9_900).contains(&a), "A exchanged {a} bytes");
    assert!((9_000..=11_000).contains(&b), "B exchanged {b} bytes");
    assert!((7_650..=9_350).contains(&c), "C exchanged {c} bytes");
    assert!(b > a && a > c, "A {a}, B {b}, C {c}");
}

#[test]
fn a_and_b_keep_one_super_node_and_c_several() {
    for (policy, several) in
        [(None, false), (Some(Policy::port_restricted()), false), (Some(Policy::udp_restricted()), true)]
    {
        let (login, _, world) = login(&Setup::first_time(3), policy);
        let summary = login.result.expect("the login succeeds");
        assert_eq!(summary.super_nodes.len() > 1, several, "{summary:?}");
        let client = world.nodes.len() - 1;
        assert_eq!(world.client(client).connections(), summary.super_nodes.len());
        assert_eq!(summary.advertised_to == 0, several, "{summary:?}");
        assert_eq!(summary.advertised_to, summary.advertisements_answered);
    }
}

#[test]
fn where_udp_is_blocked_nothing_comes_in_by_udp_and_only_probes_go_out() {
    let (_, meter, world) = login(&Setup::first_time(3), Some(Policy::udp_restricted()));
    assert_eq!(meter.udp_in, 0);
    let gateway = world.nodes[world.nodes.len() - 1].gateway.as_ref().expect("C has a gateway");
    assert_eq!(gateway.dropped, 7);
}

#[test]
fn behind_a_nat_the_client_knows_relays_and_its_backup_nodes_know_that_they_reach_it() {
    let (_, _, world) = login(&Setup::first_time(3), Some(Policy::port_restricted()));
    let client = world.client(world.nodes.len() - 1);
    let relays = client.relay_candidates();
    assert!(!relays.is_empty() && relays.iter().all(|(_, round_trip)| round_trip.is_some()));
    assert!(relays.is_sorted_by_key(|&(_, round_trip)| round_trip), "the nearest first: {relays:?}");
    let confirmed = world.nodes.iter().filter_map(|node| match &node.role {
        crate::world::Role::SuperNode(node) => {
            Some(node.contacts().filter(|(_, contact)| contact.confirmed).count())
        }
        _ => None,
    });
    // The last confirmation is still under way when the client has finished.
    assert!(confirmed.sum::<usize>() + 1 >= client.backup_nodes().len());
}
