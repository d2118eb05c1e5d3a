//! What moves the time of a login, and by how much the algorithm says.

use std::collections::BTreeSet;
use std::time::Duration;

use overlay_protocol::{LoginEvent, LoginFailure, Time};

use crate::world::gateway::Policy;
use crate::world::setup::{Login, Setup, log_in};
use crate::world::{Role, World};

fn run(setup: &Setup, policy: Option<Policy>, change: impl Fn(&mut World)) -> (Login, World) {
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), policy, 1);
    change(&mut world);
    let login = log_in(&mut world, client);
    (login, world)
}

fn time(setup: &Setup, policy: Option<Policy>, change: impl Fn(&mut World)) -> Duration {
    run(setup, policy, change).0.logged_in.expect("logged in")
}

fn set_ups() -> [Option<Policy>; 3] {
    [None, Some(Policy::port_restricted()), Some(Policy::udp_restricted())]
}

#[test]
fn slower_paths_make_the_login_later() {
    for policy in set_ups() {
        let setup = Setup::subsequent(5);
        let near = time(&setup, policy.clone(), |_| ());
        let far = time(&setup, policy, |world| {
            world.round_trips = (Duration::from_millis(330), Duration::from_millis(390));
        });
        // Seven round trips stand one after another in every set-up; each became 300 ms longer.
        let later = far.saturating_sub(near);
        assert!((1.5..3.0).contains(&later.as_secs_f64()), "{near:?} became {far:?}");
    }
}

#[test]
fn a_cleaner_host_cache_makes_the_login_sooner() {
    for policy in set_ups() {
        let total = |stale| -> Duration {
            let setup = |seed| Setup { subsequent: Some((100, stale)), ..Setup::subsequent(seed) };
            (0..5).map(|seed| time(&setup(seed), policy.clone(), |_| ())).sum()
        };
        let (clean, usual, stale) = (total(0), total(45), total(70));
        assert!(clean < usual && usual < stale, "{clean:?}, {usual:?}, {stale:?}");
    }
}

#[test]
fn without_stale_entries_two_probe_intervals_and_a_few_round_trips_remain() {
    let setup = Setup { subsequent: Some((100, 0)), ..Setup::subsequent(1) };
    let took = time(&setup, None, |_| ()).as_secs_f64();
    assert!((1.7..2.5).contains(&took), "{took} s");
}

#[test]
fn blocked_own_ports_cost_one_answer_timeout() {
    let web_only = |policy: Policy| Policy { tcp_ports: Some(BTreeSet::from([80, 443])), ..policy };
    for policy in [Policy::open(), Policy::port_restricted(), Policy::udp_restricted()] {
        let setup = Setup::subsequent(5);
        let free = time(&setup, Some(policy.clone()), |_| ());
        let (login, world) = run(&setup, Some(web_only(policy.clone())), |_| ());
        let blocked = login.logged_in.expect("logged in");
        // Once for the super nodes, once for the login server.
        let later = blocked.saturating_sub(free).as_secs_f64();
        assert!((8.0..10.1).contains(&later), "{free:?} became {blocked:?}");
        let client = world.nodes.len() - 1;
        assert!(
            world
                .events_of(client)
                .any(|(_, event)| matches!(event, LoginEvent::TcpAttempt { to } if to.port() == 80))
        );
    }
}

#[test]
fn a_reset_from_the_firewall_costs_nothing() {
    let rejecting =
        Policy { tcp_ports: Some(BTreeSet::from([443])), tcp_rejects: true, ..Policy::udp_restricted() };
    let setup = Setup::subsequent(5);
    let free = time(&setup, Some(Policy::udp_restricted()), |_| ());
    let rejected = time(&setup, Some(rejecting), |_| ());
    assert!(rejected.saturating_sub(free) < Duration::from_millis(100), "{free:?} became {rejected:?}");
}

#[test]
fn with_everything_blocked_the_login_fails_after_five_rounds() {
    let nothing = Policy { tcp_ports: Some(BTreeSet::new()), ..Policy::udp_restricted() };
    let (login, world) = run(&Setup::subsequent(5), Some(nothing), |_| ());
    assert_eq!(login.result.expect_err("the login fails"), LoginFailure::NoSuperNode);
    // UDP: 29 intervals and one timeout. TCP: 29 intervals and three timeouts.
    let round = Duration::from_millis(29 * 920 + 5_000 + 29 * 500 + 3 * 5_000);
    assert_eq!(login.ended, 5 * round + 4 * Duration::from_secs(6));
    let client = world.nodes.len() - 1;
    let rounds = world.events_of(client).filter(|(_, event)| matches!(event, LoginEvent::Round { .. }));
    assert_eq!(rounds.count(), 5);
    assert_eq!(world.client(client).connections(), 0);
}

#[test]
fn a_login_succeeds_in_a_later_round_if_the_network_comes_back() {
    let setup = Setup::first_time(5);
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    let dead = |world: &mut World, dead| {
        for node in &mut world.nodes {
            node.dead = dead && !matches!(node.role, Role::Client(_));
        }
    };
    dead(&mut world, true);
    world.command(client, overlay_protocol::ClientCommand::Login);
    world.run_until(Time::from_epoch(Duration::from_secs(32)), |_| false);
    dead(&mut world, false);
    world.run_until(Time::from_epoch(Duration::from_secs(120)), |_| false);
    let login = crate::world::setup::login_of(&world, client, Time::ZERO);
    assert_eq!(login.result.expect("the login succeeds").rounds, 2);
}

#[test]
fn a_closed_login_server_port_is_passed_over_and_a_dead_server_is_reported() {
    let setup = Setup::subsequent(5);
    let usual = time(&setup, None, |_| ());
    let refused = time(&setup, None, |world| world.nodes[0].closed_ports = vec![33_034, 80]);
    assert!(
        refused > usual && refused.saturating_sub(usual) < Duration::from_millis(300),
        "{usual:?}, {refused:?}"
    );

    let (login, _) = run(&setup, None, |world| world.nodes[0].dead = true);
    assert_eq!(login.result.expect_err("the login fails"), LoginFailure::NoLoginServer);
    // Five rounds, in each of which the login server has three ports, with a pause between them.
    assert!(login.ended > 5 * Duration::from_secs(3 * 5) + 4 * Duration::from_secs(6), "{:?}", login.ended);
}

#[test]
fn a_login_server_that_answers_again_is_found_in_a_later_round() {
    let setup = Setup::first_time(5);
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    world.nodes[0].dead = true;
    world.command(client, overlay_protocol::ClientCommand::Login);
    world.run_until(Time::from_epoch(Duration::from_secs(20)), |_| false);
    world.nodes[0].dead = false;
    world.run_until(Time::from_epoch(Duration::from_secs(120)), |_| false);
    let login = crate::world::setup::login_of(&world, client, Time::ZERO);
    assert_eq!(login.result.expect("the login succeeds").rounds, 2);
}

#[test]
fn giving_up_by_command_closes_everything() {
    let setup = Setup::subsequent(5);
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), Some(Policy::udp_restricted()), 1);
    world.command(client, overlay_protocol::ClientCommand::Login);
    world.run_until(Time::from_epoch(Duration::from_secs(33)), |_| false);
    world.command(client, overlay_protocol::ClientCommand::Logout);
    let login = crate::world::setup::login_of(&world, client, Time::ZERO);
    assert_eq!(login.result.expect_err("the login is given up"), LoginFailure::Cancelled);
    let before = world.events.len();
    world.run_until(Time::from_epoch(Duration::from_secs(600)), |_| false);
    assert_eq!(world.events.len(), before);
    assert_eq!(world.client(client).state(), "failed");
}
