//! The index over the super nodes: placement, re-homing, expiry, and who is there.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use overlay_protocol::{ClientCommand, homes};

use crate::world::gateway::Policy;
use crate::world::searching::{node_at, online, search, super_node_of, user_away_from};
use crate::world::setup::{Setup, log_in, name, parameters, super_node_address};
use crate::world::{NodeId, Role, World};

fn setup(super_nodes: usize, seed: u64) -> Setup {
    Setup { super_nodes, buddies: Vec::new(), ..Setup::first_time(seed) }
}

/// The super nodes that live.
fn alive(world: &World) -> BTreeSet<SocketAddrV4> {
    let lives = |node: &&crate::world::Node| !node.dead && matches!(node.role, Role::SuperNode(_));
    world.nodes.iter().filter(lives).map(|node| node.address).collect()
}

/// The super nodes that live and hold a user's record.
fn holders(world: &World, user: &str) -> BTreeSet<SocketAddrV4> {
    let holds = |address: &SocketAddrV4| world.super_node(node_at(world, *address)).holds(&name(user));
    alive(world).into_iter().filter(holds).collect()
}

/// Where the rule says that a user's record belongs.
fn rule(world: &World, user: &str) -> BTreeSet<SocketAddrV4> {
    homes(&name(user), alive(world), parameters().directory_replicas.get()).into_iter().collect()
}

/// Long enough for a view to settle: three times what the parameter file says of it.
const SETTLED: Duration = Duration::from_secs(90);

fn crash(world: &mut World, address: SocketAddrV4) {
    let node = node_at(world, address);
    world.crash(node);
}

/// Kills every third super node but these.
fn kill_a_third(world: &mut World, spared: &[SocketAddrV4]) -> usize {
    let victims: Vec<_> = alive(world).into_iter().filter(|node| !spared.contains(node)).step_by(3).collect();
    for &victim in &victims {
        crash(world, victim);
    }
    victims.len()
}

#[test]
fn a_record_is_at_its_homes_and_at_the_users_super_node_as_soon_as_the_user_is_logged_in() {
    let setup = setup(30, 41);
    let mut world = setup.world();
    for (host, policy) in [(1, None), (2, Some(Policy::port_restricted()))] {
        let user = format!("user-{host}");
        let client = online(&setup, &mut world, &user, policy, host);
        world.pass(Duration::from_secs(1));
        let holders = holders(&world, &user);
        assert!(holders.is_superset(&rule(&world, &user)));
        assert!(holders.contains(&super_node_of(&world, client)));
    }
}

#[test]
fn a_login_says_nothing_of_the_directory_to_the_client() {
    let setup = setup(30, 41);
    let mut world = setup.world();
    world.messages = Some(Vec::new());
    online(&setup, &mut world, "alice", None, 1);
    let foreign = ["Gossip", "Replicate", "Lookup", "Search"];
    let seen = world.messages.expect("they were asked for");
    assert!(!seen.iter().any(|sighting| foreign.iter().any(|word| sighting.text.contains(word))));
}

#[test]
fn who_logs_out_or_whose_connection_is_lost_is_found_as_offline() {
    let setup = setup(30, 42);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let bob = online(&setup, &mut world, "bob", None, 2);
    let carol = online(&setup, &mut world, "carol", Some(Policy::udp_restricted()), 3);
    world.command(bob, ClientCommand::Logout);
    world.crash(carol);
    world.pass(Duration::from_secs(5));
    for user in ["bob", "carol"] {
        let search = search(&mut world, alice, user);
        let found = search.found().expect("whoever logged in lately is found");
        assert!(!found.online, "{found:?}");
        assert!((4..10).contains(&found.seen_s), "{found:?}");
    }
}

#[test]
fn a_record_expires_72_hours_after_the_user_was_last_online() {
    // Time passes sooner with less gossip; the lifetime is the real one.
    let mut setup = setup(8, 43);
    setup.parameters.gossip_interval.0 = 3_600_000;
    setup.parameters.keep_alive_interval.0 = 170_000;
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let bob = online(&setup, &mut world, "bob", None, 2);
    online(&setup, &mut world, "carol", None, 3);
    world.command(bob, ClientCommand::Logout);
    let hour = Duration::from_secs(3_600);
    world.pass(hour * 71 + Duration::from_secs(59 * 60));
    assert_eq!(search(&mut world, alice, "bob").found().map(|found| found.online), Some(false));
    world.pass(Duration::from_secs(120));
    assert!(search(&mut world, alice, "bob").found().is_none());
    assert!(holders(&world, "bob").len() <= 8);
    // Who stayed online is found however long ago the login was.
    let carol = search(&mut world, alice, "carol");
    let found = carol.found().expect("carol is online");
    assert!(found.online && found.logged_in_s >= 72 * 3_600 && found.seen_s < 3_600, "{found:?}");
    world.pass(Duration::from_secs(600));
    assert!(holders(&world, "bob").is_empty(), "what expired is not kept");
}

#[test]
fn records_of_offline_users_move_to_new_homes_when_homes_die_one_after_another() {
    let setup = setup(24, 44);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let user = user_away_from(24, &[super_node_of(&world, alice)]);
    let bob = online(&setup, &mut world, &user, None, 2);
    let last_used = super_node_of(&world, bob);
    world.command(bob, ClientCommand::Logout);
    world.pass(Duration::from_secs(5));
    // Nobody will publish bob again.
    if last_used != super_node_of(&world, alice) {
        crash(&mut world, last_used);
    }
    for _ in 0..6 {
        let first = homes(&name(&user), alive(&world), 1)[0];
        if first == super_node_of(&world, alice) {
            break;
        }
        crash(&mut world, first);
        world.pass(SETTLED);
        let holders = holders(&world, &user);
        let rule = rule(&world, &user);
        assert!(holders.is_superset(&rule), "{holders:?} {rule:?}");
        assert!(search(&mut world, alice, &user).found().is_some());
    }
}

#[test]
fn records_move_to_super_nodes_that_join_and_leave_those_that_are_homes_no_more() {
    let setup = setup(10, 45);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let users: Vec<_> = (0..12_u8).map(|number| format!("user-{number}")).collect();
    for (host, user) in (10..).zip(&users) {
        let client = online(&setup, &mut world, user, None, host);
        if host % 2 == 0 {
            world.command(client, ClientCommand::Logout);
        }
    }
    // Each knows one other; some only one that joined a moment ago.
    for index in 10..20 {
        let seed = super_node_address(if index % 2 == 0 { 3 } else { index - 1 });
        setup.add_super_node(&mut world, index, super_node_address(index), vec![seed]);
        world.pass(Duration::from_secs(20));
    }
    // Past the next time at which everything is looked through.
    world.pass(SETTLED + parameters().directory_refresh_interval.duration() * 2);
    for index in 0..20 {
        let node = world.super_node(node_at(&world, super_node_address(index)));
        assert_eq!(node.members().count(), 19, "super node {index} knows all others");
    }
    for user in &users {
        let (holders, rule) = (holders(&world, user), rule(&world, user));
        assert!(holders.is_superset(&rule), "{user}: {holders:?} {rule:?}");
        assert!(holders.len() <= rule.len() + 1, "{user}: only the user's super node besides");
        assert!(search(&mut world, alice, user).found().is_some());
    }
}

#[test]
fn with_30_percent_of_the_super_nodes_killed_at_once_every_user_is_found_within_a_minute() {
    let setup = setup(60, 46);
    let mut world = setup.world();
    let policies = [None, Some(Policy::port_restricted()), Some(Policy::udp_restricted())];
    let users: Vec<_> = (0..24_u8).map(|number| format!("user-{number}")).collect();
    let clients: Vec<NodeId> = (1..)
        .zip(&users)
        .map(|(host, user)| {
            let policy = policies[usize::from(host) % 3].clone();
            setup.add(&mut world, setup.client(user), policy, host)
        })
        .collect();
    for &client in &clients {
        world.command(client, ClientCommand::Login);
    }
    world.pass(Duration::from_secs(90));
    assert_eq!(kill_a_third(&mut world, &[]), 20);
    // At once: whoever still has a super node finds or is told, and nothing hangs.
    let survivor = clients
        .iter()
        .copied()
        .find(|&client| alive(&world).contains(&super_node_of(&world, client)))
        .expect("two thirds of the super nodes live");
    let at_once = search(&mut world, survivor, &users[5]);
    assert!(at_once.took <= parameters().search_time_limit.duration());
    world.pass(Duration::from_secs(60).saturating_sub(at_once.took));
    for (place, &client) in clients.iter().enumerate() {
        let user = &users[(place + 5) % users.len()];
        let search = search(&mut world, client, user);
        let found = search.found().unwrap_or_else(|| panic!("{user} is not found: {search:?}"));
        assert!(found.online, "{user}: {search:?}");
        assert!(search.took < Duration::from_secs(15), "{user}: {search:?}");
    }
}

#[test]
fn everybody_learns_who_died_and_who_came_back() {
    let setup = setup(30, 47);
    let mut world = setup.world();
    world.pass(Duration::from_secs(10));
    let dead = [super_node_address(4), super_node_address(17)];
    for address in dead {
        crash(&mut world, address);
    }
    world.pass(SETTLED);
    let believers = |world: &World| {
        let knows = |address: &SocketAddrV4| {
            let node = world.super_node(node_at(world, *address));
            node.members().any(|member| dead.contains(&member) && member != *address)
        };
        alive(world).into_iter().filter(knows).count()
    };
    assert_eq!(believers(&world), 0);
    // A program that starts again knows nothing of its earlier life.
    for (index, address) in [(4, dead[0]), (17, dead[1])] {
        let node = node_at(&world, address);
        world.nodes[node].address = super_node_address(200 + index);
        setup.add_super_node(&mut world, index, address, vec![super_node_address(0)]);
    }
    world.pass(SETTLED);
    assert_eq!(believers(&world), 30);
}

#[test]
fn a_lossy_network_does_not_make_the_living_dead() {
    let setup = setup(20, 48);
    let mut world = setup.world();
    world.loss = 0.1;
    world.pass(Duration::from_secs(1_200));
    // At 10 % each way a question of four tries fails once in 800; who is slandered says so at once.
    let missing: usize = (0..20)
        .map(|index| 19 - world.super_node(node_at(&world, super_node_address(index))).members().count())
        .sum();
    assert!(missing <= 10, "{missing} of 380 views are wrong");
}

#[test]
fn a_user_who_logs_in_elsewhere_is_found_there() {
    let setup = setup(30, 49);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let first = online(&setup, &mut world, "bob", None, 2);
    world.command(first, ClientCommand::Logout);
    world.pass(Duration::from_secs(5));
    let mut config = setup.client("bob");
    (config.first_time, config.seed) = (false, 4_711);
    let second = setup.add(&mut world, config, Some(Policy::port_restricted()), 3);
    log_in(&mut world, second).result.expect("bob logs in again");
    world.pass(Duration::from_secs(2));
    let search = search(&mut world, alice, "bob");
    let found = search.found().expect("bob is logged in");
    assert!(found.online);
    assert_eq!(found.public.ip().octets(), [198, 18, 200, 3]);
    let resolved = world.client(alice).resolved(&name("bob")).expect("it was found");
    let issued = resolved.certificate.issued;
    assert!(issued > 0, "the newer of the two certificates");
}

#[test]
fn a_super_node_that_leaves_hands_its_records_over_and_nobody_has_to_find_out() {
    let setup = setup(30, 47);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let users = ["bob", "carol", "dave"];
    for (user, host) in users.iter().zip(2..) {
        online(&setup, &mut world, user, None, host);
    }
    world.pass(Duration::from_secs(2));
    // A home of bob's that is nobody's own super node.
    let clients = world.nodes.iter().enumerate().filter(|(_, node)| matches!(node.role, Role::Client(_)));
    let own: Vec<_> = clients.map(|(place, _)| super_node_of(&world, place)).collect();
    let leaver = rule(&world, "bob").into_iter().find(|home| !own.contains(home)).expect("four homes");
    let node = node_at(&world, leaver);
    world.leave(node);
    // A death is found out after four seconds at the least.
    world.pass(Duration::from_secs(1));
    assert!(world.super_node(node).is_settled());
    world.crash(node);
    for user in users {
        assert!(holders(&world, user).is_superset(&rule(&world, user)), "{user}");
    }
    let dead =
        |address: &SocketAddrV4| world.super_node(node_at(&world, *address)).directory_status().dead == 1;
    assert_eq!(alive(&world).iter().filter(|address| dead(address)).count(), 29);
    let search = search(&mut world, alice, "bob");
    assert!(search.found().expect("bob is online").online);
}

#[test]
fn who_was_connected_to_a_super_node_that_leaves_is_found_at_another_one() {
    let setup = setup(30, 48);
    let mut world = setup.world();
    let alice = online(&setup, &mut world, "alice", None, 1);
    let bob = online(&setup, &mut world, "bob", None, 2);
    let leaver = super_node_of(&world, bob);
    assert_ne!(leaver, super_node_of(&world, alice), "another seed is needed");
    let node = node_at(&world, leaver);
    world.leave(node);
    world.pass(Duration::from_secs(1));
    world.crash(node);
    world.pass(Duration::from_secs(2));
    assert_ne!(super_node_of(&world, bob), leaver);
    let search = search(&mut world, alice, "bob");
    assert!(search.found().expect("bob is online").online);
}
