//! The order of messages, and that the same seed gives the same bytes.

use std::fmt::Write as _;

use crate::world::gateway::Policy;
use crate::world::setup::{Setup, log_in};

/// The messages of a login with few super nodes; what repeats is counted.
fn transcript(policy: Option<Policy>) -> String {
    let mut setup = Setup { super_nodes: 12, ..Setup::first_time(42) };
    setup.parameters.advertisement_nodes.0 = 2;
    setup.parameters.tcp_backup_nodes.0 = 1;
    setup.parameters.relay_candidates.0 = 1;
    let mut world = setup.world();
    world.messages = Some(Vec::new());
    let client = setup.add(&mut world, setup.client("alice"), policy, 1);
    log_in(&mut world, client).result.expect("the login succeeds");
    world.messages.take().unwrap_or_default().iter().fold(String::new(), |mut text, message| {
        let _ = writeln!(text, "{} ({} bytes)", message.text, message.bytes);
        text
    })
}

#[test]
fn the_messages_of_a_login_from_a_public_address() {
    insta::assert_snapshot!(transcript(None));
}

#[test]
fn the_messages_of_a_login_behind_a_port_restricted_nat() {
    insta::assert_snapshot!(transcript(Some(Policy::port_restricted())));
}

#[test]
fn the_messages_of_a_login_where_udp_is_blocked() {
    insta::assert_snapshot!(transcript(Some(Policy::udp_restricted())));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| {
        let setup = Setup::first_time(seed);
        let mut world = setup.world();
        let client = setup.add(&mut world, setup.client("alice"), Some(Policy::port_restricted()), 1);
        log_in(&mut world, client).result.expect("the login succeeds");
        (world.recorded, world.nodes[client].meter, world.events)
    };
    let (one, again, other) = (bytes(1), bytes(1), bytes(2));
    assert!(one == again);
    assert!(one.0 != other.0);
}
