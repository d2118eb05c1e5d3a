//! Searches: by UDP and by the super node, batches, caches, and what bad answers do.

use std::time::Duration;

use overlay_protocol::{ClientCommand, NatVerdict, RecordSource, SearchEvent, SearchFailure};

use crate::world::gateway::Policy;
use crate::world::searching::{node_at, online, search, super_node_of, user_away_from};
use crate::world::setup::{Setup, name, parameters, server_keys};
use crate::world::{NodeId, Role, World};

const SUPER_NODES: usize = 40;

fn setup(seed: u64) -> Setup {
    Setup { super_nodes: SUPER_NODES, buddies: Vec::new(), ..Setup::first_time(seed) }
}

/// Alice behind `policy`, and a user behind `other` whose record alice's super node does not have.
fn two_users(policy: Option<Policy>, other: Option<Policy>) -> (World, NodeId, String) {
    two_users_of(31, policy, other)
}

fn two_users_of(seed: u64, policy: Option<Policy>, other: Option<Policy>) -> (World, NodeId, String) {
    let setup = setup(seed);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", policy, 1);
    let user = user_away_from(SUPER_NODES, &[super_node_of(&world, alice)]);
    online(&setup, &mut world, &user, other, 2);
    world.pass(Duration::from_secs(2));
    (world, alice, user)
}

#[test]
fn a_client_with_udp_asks_four_nodes_by_udp_and_finds_the_user() {
    for policy in [None, Some(Policy::port_restricted())] {
        let (mut world, alice, user) = two_users(policy, Some(Policy::port_restricted()));
        let before = world.nodes[alice].meter;
        let search = search(&mut world, alice, &user);
        let found = search.found().expect("the user is logged in");
        assert!(found.online);
        assert_eq!(found.nat, NatVerdict::PortRestricted);
        assert_eq!(found.private.ip().octets(), [192, 168, 1, 2]);
        assert_eq!(found.public.ip().octets(), [198, 18, 200, 2]);
        assert_eq!(search.batches(), [4]);
        let summary = search.summary();
        assert_eq!((summary.asked, summary.hops, summary.source), (4, 2, Some(RecordSource::Index)));
        assert!(world.nodes[alice].meter.udp_in > before.udp_in, "the record came by UDP");
        let resolved = world.client(alice).resolved(&name(&user)).expect("what was found is remembered");
        assert_eq!(resolved.certificate.user, name(&user));
        resolved.certificate.verify([&server_keys().public()]).expect("a login server signed it");
        let super_node = node_at(&world, found.super_nodes[0]);
        assert!(world.super_node(super_node).holds(&name(&user)));
    }
}

#[test]
fn where_udp_is_blocked_the_super_node_searches_and_all_goes_by_tcp() {
    let (mut world, alice, user) = two_users(Some(Policy::udp_restricted()), None);
    let before = world.nodes[alice].meter;
    let super_node = node_at(&world, super_node_of(&world, alice));
    let search = search(&mut world, alice, &user);
    assert!(search.found().expect("the user is logged in").online);
    assert!(search.batches().is_empty());
    let summary = search.summary();
    assert_eq!((summary.asked, summary.hops, summary.source), (4, 2, Some(RecordSource::Search)));
    let after = world.nodes[alice].meter;
    assert_eq!((after.udp_in, after.udp_out), (before.udp_in, before.udp_out));
    assert!(after.tcp_in > before.tcp_in);
    assert!(world.super_node(super_node).directory_status().forwards >= 4);
}

#[test]
fn a_user_whose_udp_is_blocked_is_told_as_such() {
    // Such a client is at ten super nodes; a search that ends at one of these tells of that one alone.
    let search = (31..60)
        .map(|seed| {
            let (mut world, alice, user) = two_users_of(seed, None, Some(Policy::udp_restricted()));
            search(&mut world, alice, &user)
        })
        .find(|search| search.summary().hops == 2)
        .expect("most searches do not");
    let found = search.found().expect("the user is logged in");
    assert_eq!(found.nat, NatVerdict::UdpBlocked);
    assert!(found.super_nodes.len() > 1, "such a client keeps several: {found:?}");
}

#[test]
fn for_a_user_whom_nobody_knows_batches_grow_from_4_to_8_to_16_and_then_it_is_said() {
    for policy in [None, Some(Policy::port_restricted()), Some(Policy::udp_restricted())] {
        let by_udp = policy.as_ref().is_none_or(|policy| !policy.udp_blocked);
        let (mut world, alice, _) = two_users(policy, None);
        let search = search(&mut world, alice, "nobody");
        assert!(search.found().is_none());
        assert_eq!(search.batches(), if by_udp { vec![4, 8, 16] } else { vec![] });
        assert_eq!(search.summary().asked, 28);
        assert!(search.took < Duration::from_secs(2), "round trips only: {:?}", search.took);
    }
}

#[test]
fn a_batch_of_dead_nodes_is_followed_by_the_next_or_by_the_super_node() {
    let (mut world, alice, _) = two_users(None, None);
    for node in 1..=SUPER_NODES {
        if world.nodes[node].address != super_node_of(&world, alice) {
            world.nodes[node].dead = true;
        }
    }
    let search = search(&mut world, alice, "nobody");
    assert!(search.found().is_none());
    let parameters = parameters();
    let limit = parameters.search_retransmit_interval.duration()
        * (parameters.search_tries.0 * (parameters.search_batches.0 + 1));
    assert!(search.took < limit + Duration::from_secs(2), "{:?}", search.took);
}

#[test]
fn a_second_search_is_answered_from_the_cache_until_its_lifetime_is_over() {
    for policy in [None, Some(Policy::udp_restricted())] {
        let (mut world, alice, user) = two_users(policy, None);
        let super_node = node_at(&world, super_node_of(&world, alice));
        let cold = search(&mut world, alice, &user);
        assert_ne!(cold.summary().source, Some(RecordSource::Cache));
        world.pass(Duration::from_secs(1));
        let before = world.nodes[alice].meter.total();
        let warm = search(&mut world, alice, &user);
        assert_eq!(warm.found().map(|found| found.online), Some(true));
        let summary = warm.summary();
        assert_eq!((summary.asked, summary.hops, summary.source), (0, 1, Some(RecordSource::Cache)));
        assert!(warm.took < cold.took, "{:?} {:?}", warm.took, cold.took);
        assert!(world.nodes[alice].meter.total() > before);
        assert_eq!(world.super_node(super_node).directory_status().cache_hits, 1);
        world.pass(parameters().directory_cache_lifetime.duration());
        let later = search(&mut world, alice, &user);
        assert!(later.found().is_some());
        assert_eq!(later.summary().asked, 4, "{later:?}");
        assert_eq!(world.super_node(super_node).directory_status().cache_hits, 1);
    }
}

#[test]
fn only_what_a_super_node_fetched_itself_is_in_its_cache() {
    let (mut world, alice, _) = two_users(None, None);
    let super_node = node_at(&world, super_node_of(&world, alice));
    search(&mut world, alice, "nobody");
    world.pass(Duration::from_secs(1));
    let status = world.super_node(super_node).directory_status();
    assert_eq!((status.cached, status.cache_hits), (0, 0));
}

#[test]
fn a_search_survives_the_death_of_the_clients_super_node() {
    let (mut world, alice, user) = two_users(None, None);
    let first = world.searches.len();
    world.command(alice, ClientCommand::Search { user: name(&user) });
    let super_node = node_at(&world, super_node_of(&world, alice));
    world.crash(super_node);
    world.pass(Duration::from_secs(60));
    let (.., last) = world.searches[first..].last().expect("it has an end");
    assert!(matches!(last, SearchEvent::Found { .. }), "{last:?}");
}

#[test]
fn a_search_with_no_super_node_left_fails_in_the_time_limit() {
    let (mut world, alice, user) = two_users(None, None);
    for node in 1..=SUPER_NODES {
        world.crash(node);
    }
    let search = search(&mut world, alice, &user);
    assert!(
        matches!(search.events.last(), Some(SearchEvent::Failed { reason: SearchFailure::TimedOut, .. })),
        "{search:?}"
    );
    assert_eq!(search.took, parameters().search_time_limit.duration());
}

#[test]
fn who_is_not_logged_in_cannot_search_and_a_logout_ends_searches() {
    let setup = setup(31);
    let mut world = setup.world();
    let alice = setup.add(&mut world, setup.client("alice"), None, 1);
    let early = search(&mut world, alice, "bob");
    let refused = |event: Option<&SearchEvent>| {
        matches!(event, Some(SearchEvent::Failed { reason: SearchFailure::NotLoggedIn, .. }))
    };
    assert!(refused(early.events.last()));
    crate::world::setup::log_in(&mut world, alice).result.expect("alice logs in");
    world.command(alice, ClientCommand::Search { user: name("bob") });
    world.command(alice, ClientCommand::Logout);
    assert!(refused(world.searches.last().map(|(.., event)| event)));
}

#[test]
fn more_searches_at_a_time_than_a_client_makes_are_refused() {
    let (mut world, alice, _) = two_users(None, None);
    let first = world.searches.len();
    for number in 0..20 {
        world.command(alice, ClientCommand::Search { user: name(&format!("nobody-{number}")) });
    }
    world.pass(Duration::from_secs(30));
    let count = |wanted: fn(&SearchEvent) -> bool| {
        world.searches[first..].iter().filter(|(.., event)| wanted(event)).count()
    };
    assert_eq!(count(|event| matches!(event, SearchEvent::Unknown { .. })), 16);
    assert_eq!(count(|event| matches!(event, SearchEvent::Failed { reason: SearchFailure::TooMany, .. })), 4);
}

#[test]
fn a_super_node_that_sends_a_forged_record_is_dropped_and_the_search_goes_on() {
    let (mut world, alice, user) = two_users(Some(Policy::udp_restricted()), None);
    let liar = super_node_of(&world, alice);
    let node = node_at(&world, liar);
    // A byte of the record that the super node sends by TCP is changed; the next super node is honest.
    let mut lies = 0;
    world.tamper = Some(Box::new(move |sender, data| {
        if sender == node && data.len() > 350 && lies == 0 {
            lies += 1;
            data[300] ^= 1;
        }
    }));
    let search = search(&mut world, alice, &user);
    assert!(search.found().is_some(), "{search:?}");
    let asked: Vec<_> = search
        .events
        .iter()
        .filter_map(|event| match event {
            SearchEvent::Asked { super_node, .. } => Some(*super_node),
            _ => None,
        })
        .collect();
    assert_eq!(asked[0], liar);
    assert!(asked.len() > 1 && asked[1] != liar, "{asked:?}");
}

#[test]
fn lost_repeated_and_reordered_datagrams_do_not_hide_a_user() {
    for seed in 0..5 {
        let setup = setup(seed);
        let mut world = setup.world();
        world.loss = 0.15;
        world.duplicates = 0.3;
        world.reordering = Duration::from_millis(400);
        let alice = online(&setup, &mut world, "alice", None, 1);
        let bob = online(&setup, &mut world, "bob", Some(Policy::port_restricted()), 2);
        world.pass(Duration::from_secs(10));
        assert_eq!(search(&mut world, alice, "bob").found().map(|found| found.online), Some(true));
        assert!(search(&mut world, alice, "nobody").found().is_none());
        world.command(bob, ClientCommand::Logout);
        // Longer than the cache of alice's super node keeps what was found.
        world.pass(parameters().directory_cache_lifetime.duration());
        assert_eq!(search(&mut world, alice, "bob").found().map(|found| found.online), Some(false));
    }
}

#[test]
fn fifty_clients_search_each_other_at_once() {
    let setup = setup(33);
    let mut world = setup.world();
    let users: Vec<_> = (0..50).map(|number| format!("user-{number}")).collect();
    let clients: Vec<_> = (1..)
        .zip(&users)
        .map(|(host, user)| {
            let policy = [None, Some(Policy::port_restricted()), Some(Policy::udp_restricted())];
            setup.add(&mut world, setup.client(user), policy[usize::from(host) % 3].clone(), host)
        })
        .collect();
    for &client in &clients {
        world.command(client, ClientCommand::Login);
    }
    world.pass(Duration::from_secs(90));
    for (place, &client) in clients.iter().enumerate() {
        let user = name(&users[(place + 7) % users.len()]);
        world.command(client, ClientCommand::Search { user });
    }
    world.pass(Duration::from_secs(30));
    let found = world
        .searches
        .iter()
        .filter(|(.., event)| matches!(event, SearchEvent::Found { found, .. } if found.online));
    assert_eq!(found.count(), 50);
    let failed = world
        .nodes
        .iter()
        .filter(|node| matches!(&node.role, Role::Client(client) if client.state() != "logged-in"));
    assert_eq!(failed.count(), 0);
}
