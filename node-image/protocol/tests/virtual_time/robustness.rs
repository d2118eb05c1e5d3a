//! What bad peers, bad paths and dead super nodes cost, and whom.

use std::time::Duration;

use overlay_protocol::crypto::obfuscation::Keystream;
use overlay_protocol::wire::datagram::Datagram;
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::wire::super_node::ToSuperNode;
use overlay_protocol::{
    ClientCommand, ConnectionId, Input, LoginEvent, Machine, Output, ServerEvent, SuperNode, Time, UdpSocket,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::world::gateway::Policy;
use crate::world::setup::{Setup, log_in, login_of, super_node_address};
use crate::world::{Role, World};

const STRANGER: ConnectionId = ConnectionId(1_000_001);

fn super_node(world: &mut World, node: usize) -> &mut SuperNode {
    match &mut world.nodes[node].role {
        Role::SuperNode(node) => node,
        _ => panic!("node {node} is no super node"),
    }
}

/// What a super node does about these bytes of a stranger.
fn answer_to(node: &mut SuperNode, now: Time, bytes: &[u8]) -> Vec<Output<ServerEvent>> {
    node.handle(now, Input::Accepted { connection: STRANGER, local_port: 80, from: super_node_address(300) });
    for piece in bytes.chunks(100) {
        node.handle(now, Input::Data { connection: STRANGER, data: piece });
    }
    std::iter::from_fn(|| node.poll_output()).collect()
}

fn obfuscated(frames: &[u8]) -> Vec<u8> {
    let mut bytes = frames.to_vec();
    Keystream::new([1, 2, 3, 4]).apply(&mut bytes);
    [[1, 2, 3, 4].as_slice(), &bytes].concat()
}

#[test]
fn a_malformed_message_costs_its_sender_the_connection_and_nobody_else_anything() {
    let bad: [(&str, Vec<u8>); 6] = [
        ("another version", obfuscated(&[2, 0x20, 0, 0])),
        ("no such type", obfuscated(&[1, 0x99, 0, 0])),
        ("a message too long", obfuscated(&[1, 0x20, 0xff, 0xff])),
        ("bytes behind the last field", obfuscated(&[1, 0x20, 0, 1, 7])),
        ("a question before the greeting", obfuscated(&[1, 0x22, 0, 1, 200])),
        ("not even obfuscated", vec![b'G'; 300]),
    ];
    for (what, bytes) in bad {
        let setup = Setup { super_nodes: 3, ..Setup::first_time(21) };
        let mut world = setup.world();
        let alice = setup.add(&mut world, setup.client("alice"), None, 1);
        log_in(&mut world, alice).result.expect("alice logs in");
        let now = world.now;
        for node in 1..=3 {
            let before = super_node(&mut world, node).connections();
            let outputs = answer_to(super_node(&mut world, node), now, &bytes);
            let closed =
                outputs.iter().any(|output| matches!(output, Output::Close { connection: STRANGER }));
            let told =
                outputs.iter().any(|output| matches!(output, Output::Event(ServerEvent::Misbehaved { .. })));
            assert!(closed && told, "{what}: {outputs:?}");
            assert_eq!(super_node(&mut world, node).connections(), before, "{what}");
        }
        // Alice's keep-alive a minute later is answered, and bob can log in.
        world.run_until(now + Duration::from_secs(100), |_| false);
        assert_eq!(world.client(alice).connections(), 1, "{what}");
        let bob = setup.add(&mut world, setup.client("bob"), None, 2);
        log_in(&mut world, bob).result.expect("bob logs in");
    }
}

#[test]
fn random_bytes_never_do_more_than_close_the_connection() {
    let setup = Setup { super_nodes: 2, ..Setup::first_time(21) };
    let mut world = setup.world();
    let mut random = ChaCha20Rng::seed_from_u64(1);
    for length in 0..400 {
        let mut bytes = vec![0; length];
        random.fill_bytes(&mut bytes);
        let now = world.now;
        let node = super_node(&mut world, 1);
        node.handle(
            now,
            Input::Datagram { socket: UdpSocket::Main, from: super_node_address(300), data: &bytes },
        );
        assert!(node.poll_output().is_none(), "a datagram of {length} random bytes is answered");
        answer_to(node, now, &bytes);
        node.handle(now, Input::Closed { connection: STRANGER, error: None });
        assert_eq!(node.connections(), 0);
        if let Role::LoginServer(server) = &mut world.nodes[0].role {
            server.handle(
                now,
                Input::Accepted { connection: STRANGER, local_port: 80, from: super_node_address(300) },
            );
            server.handle(now, Input::Data { connection: STRANGER, data: &bytes });
            server.handle(now, Input::Closed { connection: STRANGER, error: None });
            assert_eq!((server.connections(), server.records()), (0, 0));
        }
    }
}

#[test]
fn only_super_nodes_make_a_super_node_send_to_a_third_party() {
    let setup = Setup { super_nodes: 2, ..Setup::first_time(21) };
    let mut world = setup.world();
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let victim = super_node_address(301);
    let data = Datagram::AnswerFor { transaction: 1, client: victim }.to_payload(&mut random);
    for (from, answered) in [(super_node_address(300), false), (super_node_address(1), true)] {
        let node = super_node(&mut world, 1);
        node.handle(Time::ZERO, Input::Datagram { socket: UdpSocket::Main, from, data: &data });
        assert_eq!(node.poll_output().is_some(), answered);
    }
}

#[test]
fn who_says_nothing_or_asks_too_much_is_dropped() {
    let setup = Setup { super_nodes: 2, ..Setup::first_time(21) };
    let mut world = setup.world();
    let node = super_node(&mut world, 1);
    answer_to(node, Time::ZERO, &[]);
    let due = Time::from_epoch(Duration::from_secs(30));
    node.handle(Time::from_epoch(Duration::from_millis(29_999)), Input::Timeout);
    assert_eq!(node.connections(), 1);
    assert!(node.next_timeout().is_some_and(|at| at <= due), "a greeting is waited for");
    node.handle(due, Input::Timeout);
    assert_eq!(node.connections(), 0);

    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut stream = Stream::default();
    let mut bytes = stream.send(&mut random, &ToSuperNode::Hello {});
    for _ in 0..600 {
        bytes.extend(stream.send(&mut random, &ToSuperNode::HostsWanted { most: 200 }));
    }
    let outputs = answer_to(node, due, &bytes);
    let sent = outputs.iter().filter(|output| matches!(output, Output::Send { .. })).count();
    assert_eq!(sent, 500);
    assert_eq!(node.connections(), 0);
}

#[test]
fn a_full_super_node_sends_clients_elsewhere() {
    let mut setup = Setup { super_nodes: 3, ..Setup::first_time(21) };
    setup.parameters.server_connections.0 = 1;
    let mut world = setup.world();
    for user in ["alice", "bob", "carol"] {
        let host = user.as_bytes()[0];
        let client = setup.add(&mut world, setup.client(user), None, host);
        log_in(&mut world, client).result.expect("one of the three has room");
    }
    let last = setup.add(&mut world, setup.client("dave"), None, 9);
    log_in(&mut world, last).result.expect_err("no super node has room");
}

#[test]
fn a_lossy_network_still_logs_in() {
    for policy in [None, Some(Policy::port_restricted()), Some(Policy::udp_restricted())] {
        for seed in 0..4 {
            let setup = Setup::subsequent(seed);
            let mut world = setup.world();
            world.loss = 0.2;
            let client = setup.add(&mut world, setup.client("alice"), policy.clone(), 1);
            let summary = log_in(&mut world, client).result.expect("the login succeeds");
            assert!(summary.advertisements_answered * 10 >= summary.advertised_to * 8, "{summary:?}");
        }
    }
}

#[test]
fn a_logged_in_client_refreshes_its_super_node_and_takes_another_when_it_dies() {
    let setup = Setup { super_nodes: 20, ..Setup::first_time(21) };
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    let summary = log_in(&mut world, client).result.expect("the login succeeds");
    let before = world.nodes[client].meter;
    let at = world.now;
    world.run_until(at + Duration::from_secs(190), |_| false);
    // Three keep-alives of four bytes, and their answers.
    let after = world.nodes[client].meter;
    assert_eq!((after.tcp_out - before.tcp_out, after.tcp_in - before.tcp_in), (12, 12));
    assert_eq!((after.udp_out, after.udp_in), (before.udp_out, before.udp_in));

    let used = world.nodes.iter().position(|node| node.address == summary.super_nodes[0]).expect("it exists");
    world.nodes[used].dead = true;
    let seen = world.events.len();
    world.run_until(at + Duration::from_secs(400), |_| false);
    assert!(world.events[seen..].iter().any(|(_, _, event)| matches!(event, LoginEvent::SuperNode { .. })));
    assert_eq!(world.client(client).connections(), 1);
    assert_eq!(world.client(client).state(), "logged-in");
    let finished = world.events_of(client).filter(|(_, event)| matches!(event, LoginEvent::Finished { .. }));
    assert_eq!(finished.count(), 1);
    world.command(client, ClientCommand::Logout);
    assert_eq!((world.client(client).connections(), world.client(client).state()), (0, "logged-out"));
}

#[test]
fn a_login_is_finished_even_if_all_its_super_nodes_end_before() {
    for policy in [None, Some(Policy::port_restricted()), Some(Policy::udp_restricted())] {
        let setup = Setup { super_nodes: 30, ..Setup::first_time(21) };
        let mut world = setup.world();
        let client = setup.add(&mut world, setup.client("alice"), policy, 1);
        world.command(client, ClientCommand::Login);
        let logged_in =
            |world: &World| world.events.iter().any(|(_, _, event)| *event == LoginEvent::LoggedIn);
        assert!(world.run_until(Time::from_epoch(Duration::from_secs(60)), logged_in));
        let chosen: Vec<_> = world
            .events_of(client)
            .filter_map(|(_, event)| match event {
                LoginEvent::SuperNode { address } => Some(*address),
                _ => None,
            })
            .collect();
        for node in 0..world.nodes.len() {
            if chosen.contains(&world.nodes[node].address) {
                world.crash(node);
            }
        }
        world.run_until(Time::from_epoch(Duration::from_secs(300)), |_| false);
        let summary = login_of(&world, client, Time::ZERO).result.expect("the login is finished");
        assert!(!chosen.contains(&summary.super_nodes[0]));
        assert_eq!(world.client(client).connections(), summary.super_nodes.len());
    }
}

#[test]
fn a_crowd_that_does_not_greet_is_bounded() {
    let mut setup = Setup { super_nodes: 1, ..Setup::first_time(21) };
    setup.parameters.server_connections.0 = 5;
    let mut world = setup.world();
    let node = super_node(&mut world, 1);
    for stranger in 0..100 {
        let connection = ConnectionId(2 * stranger + 1);
        node.handle(
            Time::ZERO,
            Input::Accepted { connection, local_port: 80, from: super_node_address(300) },
        );
    }
    assert_eq!(node.connections(), 10);
}

#[test]
fn many_clients_log_in_at_once() {
    let setup = Setup { super_nodes: 20, ..Setup::first_time(21) };
    let mut world = setup.world();
    let clients: Vec<_> = (1..=12)
        .map(|host| {
            setup.add(
                &mut world,
                setup.client(&format!("user-{host}")),
                Some(Policy::port_restricted()),
                host,
            )
        })
        .collect();
    for &client in &clients {
        world.command(client, ClientCommand::Login);
    }
    world.run_until(Time::from_epoch(Duration::from_secs(60)), |_| false);
    for &client in &clients {
        login_of(&world, client, Time::ZERO).result.expect("every login succeeds");
    }
}
