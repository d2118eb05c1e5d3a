//! Searches through the control socket and real sockets.

#![expect(clippy::unwrap_used, reason = "a test whose case cannot be set up has failed")]

#[allow(dead_code, reason = "other tests use more of it")]
mod support;

use hyper::StatusCode;
use overlay_control::{AgeRequest, SearchEvent, SearchFailure, SearchRequest};
use overlay_protocol::LoginEvent;
use support::{Overlay, Process, SUPER_NODES, json, search_events};

fn asks(user: &str) -> hyper::body::Bytes {
    json(&SearchRequest { user: user.to_owned() })
}

fn three_days(user: &str) -> AgeRequest {
    AgeRequest { user: user.to_owned(), by_s: 72 * 3_600 }
}

async fn search(client: &Process, user: &str) -> Vec<SearchEvent> {
    search_events(client.begin_search(user).await).await
}

async fn log_in(client: &Process, overlay: &Overlay, user: &str) {
    let events = client.login(&overlay.request(user, "secret", true)).await.all().await;
    assert!(matches!(events.last(), Some(LoginEvent::Finished { .. })), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_is_found_online_then_offline_then_not_at_all() {
    let overlay = Overlay::new(70);
    let super_nodes = Process::start(&overlay.super_nodes());
    let _login_server = Process::start(&overlay.login_server());
    let (alice, bob) =
        (Process::start(&overlay.client("alice", 20)), Process::start(&overlay.client("bob", 21)));
    let (status, error) = alice.refused("POST", "/v1/search", asks("bob")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("log in first"), "{error}");
    log_in(&alice, &overlay, "alice").await;
    log_in(&bob, &overlay, "bob").await;

    let events = search(&alice, "bob").await;
    let Some(SearchEvent::Found { found, .. }) = events.last() else { panic!("{events:?}") };
    assert!(found.online && found.user == "bob", "{found:?}");
    assert_eq!(found.public.ip(), overlay.address(21).ip());
    let used = bob.status().await.instances.remove(0).super_node.expect("bob is logged in");
    assert!(found.super_nodes.contains(&used), "{found:?} {used}");

    let events = search(&alice, "nobody").await;
    assert!(
        matches!(events.last(), Some(SearchEvent::Unknown { summary, .. }) if summary.asked == 3),
        "{events:?}"
    );

    // What bob's super node publishes reaches the homes in its own time; the cache has no say in what is unknown.
    bob.logout().await;
    let (status, body) = super_nodes.call("POST", "/v1/age", json(&three_days("bob"))).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body:?}");
    loop {
        let events = search(&alice, "bob").await;
        match events.last() {
            Some(SearchEvent::Unknown { .. }) => break,
            // Bob went offline after the records were made older.
            Some(SearchEvent::Found { found, .. }) => {
                assert!(!found.online || found.seen_s < 72 * 3_600, "{found:?}");
                super_nodes.call("POST", "/v1/age", json(&three_days("bob"))).await;
            }
            other => panic!("{other:?}"),
        }
    }
    let status = super_nodes.status().await;
    let directories: Vec<_> = status.instances.iter().map(|instance| instance.directory.unwrap()).collect();
    assert_eq!(directories.len(), usize::from(SUPER_NODES));
    assert!(directories.iter().all(|directory| directory.members == 3), "{directories:?}");
    assert!(directories.iter().map(|directory| directory.lookups).sum::<u64>() >= 3, "{directories:?}");
    assert!(status.instances.iter().all(|instance| instance.address.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_make_no_sense_are_refused_with_the_reason() {
    let overlay = Overlay::new(71);
    let super_nodes = Process::start(&overlay.super_nodes());
    let client = Process::start(&overlay.client("alice", 20));
    assert_eq!(super_nodes.refused("POST", "/v1/search", asks("bob")).await.0, StatusCode::CONFLICT);
    let (status, error) = client.refused("POST", "/v1/age", json(&three_days("bob"))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("for a super node"), "{error}");
    assert_eq!(client.refused("POST", "/v1/forget-results", "").await.0, StatusCode::CONFLICT);
    assert_eq!(super_nodes.call("POST", "/v1/forget-results", "").await.0, StatusCode::NO_CONTENT);
    let (status, error) = client.refused("POST", "/v1/search", asks("two words")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.contains("two words"), "{error}");
    let (status, error) = super_nodes.refused("POST", "/v1/age", r#"{"user":"bob","by_s":-1}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_logout_ends_a_search() {
    let overlay = Overlay::new(72);
    let super_nodes = Process::start(&overlay.super_nodes());
    let _login_server = Process::start(&overlay.login_server());
    let alice = Process::start(&overlay.client("alice", 20));
    log_in(&alice, &overlay, "alice").await;
    // Nobody answers any more: the search would go on until its time limit.
    super_nodes.signal(nix::sys::signal::Signal::SIGSTOP);
    let answer = alice.begin_search("bob").await;
    let (status, error) = alice.refused("POST", "/v1/search", asks("bob")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("searched for already"), "{error}");
    alice.logout().await;
    let events = search_events(answer).await;
    let failed =
        matches!(events.last(), Some(SearchEvent::Failed { reason: SearchFailure::NotLoggedIn, .. }));
    assert!(failed, "{events:?}");
}
