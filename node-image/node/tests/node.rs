//! The program as labctl sees it: a directory, a control socket, signals and exit codes.

#![expect(clippy::unwrap_used, reason = "a test whose case cannot be set up has failed")]

#[allow(dead_code, reason = "other tests use more of it")]
mod support;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use hyper::StatusCode;
use nix::sys::signal::Signal;
use overlay_control::{CONFIG_FILE, LoginFailure, NodeConfig, Role, SOCKET_FILE};
use overlay_protocol::{LoginEvent, NatVerdict, installation_port};
use support::{Overlay, Process, SUPER_NODES, command, json};
use tempfile::TempDir;

fn failure(events: &[LoginEvent]) -> LoginFailure {
    match events.last() {
        Some(LoginEvent::Failed { reason, .. }) => *reason,
        other => panic!("a login that should fail ends with {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_status_tells_what_runs() {
    let overlay = Overlay::new(50);
    let node = Process::start(&overlay.super_nodes());
    let status = node.status().await;
    assert_eq!((status.name.as_str(), status.role), ("sn", Role::SuperNode));
    assert_eq!(status.instances.len(), usize::from(SUPER_NODES));
    for (instance, host) in status.instances.iter().zip(1..) {
        assert_eq!(instance.name, format!("sn.{host}"));
        assert_eq!(instance.state, "serving");
        assert_eq!(instance.tcp_ports[0], overlay.address(host).port());
        // 80 and 443 are there where the user may bind them.
        for port in &instance.tcp_ports {
            TcpStream::connect((*overlay.address(host).ip(), *port)).unwrap();
        }
    }
    assert_eq!(Process::start(&overlay.client("alice", 20)).status().await.instances[0].state, "idle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_makes_no_sense_is_refused_with_the_reason() {
    let overlay = Overlay::new(51).slow();
    let client = Process::start(&overlay.client("alice", 20));
    let server = Process::start(&overlay.login_server());
    let request = overlay.request("alice", "secret", true);

    let (status, error) = client.refused("GET", "/v1/nothing", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(error.contains("/v1/nothing") && error.contains("POST /v1/login"), "{error}");
    assert_eq!(client.refused("GET", "/v1/login", "").await.0, StatusCode::NOT_FOUND);

    let (status, error) = client.refused("POST", "/v1/login", "{").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.contains("line 1 column 1"), "{error}");
    let (status, error) = client.refused("POST", "/v1/login", r#"{"usr":"alice"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.contains("usr") && error.contains("user"), "{error}");
    let (status, error) = client.refused("POST", "/v1/login", vec![b' '; (128 << 10) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{error}");

    let mut other = request.clone();
    other.user = "alice smith".to_owned();
    let (status, error) = client.refused("POST", "/v1/login", json(&other)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.starts_with("user: ") && error.contains("alice smith"), "{error}");
    let mut other = request.clone();
    other.host_cache.clear();
    let (status, error) = client.refused("POST", "/v1/login", json(&other)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.starts_with("host_cache: "), "{error}");

    let (status, error) = server.refused("POST", "/v1/login", json(&request)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("a login server"), "{error}");
    assert_eq!(server.refused("POST", "/v1/logout", "").await.0, StatusCode::CONFLICT);
    let (status, error) = client.refused("POST", "/v1/users", r#"{"user":"a","password":"b"}"#).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("this node is a client"), "{error}");
    let (status, error) = server.refused("POST", "/v1/users", r#"{"user":"","password":"b"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");

    assert_eq!(client.status().await.instances[0].state, "idle", "nothing was begun");
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_with_its_place_and_the_mend() {
    let overlay = Overlay::new(52);
    let text = |config: &NodeConfig| serde_json::to_string(config).unwrap();
    let login_server = overlay.login_server();
    let mut twice = overlay.super_nodes();
    twice.instances[1].address = twice.instances[0].address;
    let mut key = overlay.client("alice", 20);
    key.login_servers[0].public_key = "12xy".to_owned();
    for (config, expected) in [
        (None, "labctl writes it before the node starts"),
        (Some("{".to_owned()), "is not a node's configuration: EOF"),
        (Some(text(&NodeConfig { instances: vec![], ..login_server.clone() })), "a login server has one"),
        (Some(text(&NodeConfig { private_key: None, ..login_server.clone() })), "`private_key` is missing"),
        (Some(text(&NodeConfig { login_servers: vec![], ..overlay.client("alice", 20) })), "at least one"),
        (Some(text(&NodeConfig { role: Role::SuperNode, ..overlay.client("alice", 20) })), "port 0"),
        (
            Some(text(&NodeConfig {
                private_key: Overlay::new(53).login_server().private_key,
                ..login_server.clone()
            })),
            "not the other half",
        ),
        (Some(text(&twice)), "sn.1 and sn.2 both have 127.0.52.1"),
        (Some(text(&key)), "the key is not hexadecimal"),
    ] {
        let directory = TempDir::new().unwrap();
        if let Some(config) = config {
            std::fs::write(directory.path().join(CONFIG_FILE), config).unwrap();
        }
        let output = command(directory.path()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains(expected) && log.contains(CONFIG_FILE), "expected '{expected}': {log}");
        assert!(!directory.path().join(SOCKET_FILE).exists());
    }
}

#[test]
fn a_signal_ends_the_node_at_once_and_leaves_no_socket() {
    let overlay = Overlay::new(54);
    for (signal, config) in
        [(Signal::SIGTERM, overlay.super_nodes()), (Signal::SIGINT, overlay.client("alice", 20))]
    {
        let node = Process::start(&config);
        assert!(node.directory().join(SOCKET_FILE).exists());
        node.signal(signal);
        let (status, directory) = node.wait();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(!directory.path().join(SOCKET_FILE).exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_socket_that_a_killed_node_left_is_replaced() {
    let overlay = Overlay::new(55);
    let node = Process::start(&overlay.super_nodes());
    node.signal(Signal::SIGKILL);
    let (_, directory) = node.wait();
    assert!(directory.path().join(SOCKET_FILE).exists());
    let node = Process::start_in(directory, &overlay.super_nodes());
    assert_eq!(node.status().await.instances.len(), usize::from(SUPER_NODES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_login_at_a_time_and_a_logout_cancels_it() {
    let overlay = Overlay::new(56).slow();
    let client = Process::start(&overlay.client("alice", 20));
    let request = overlay.request("alice", "secret", true);
    let events = client.login(&request).await;
    assert_eq!(client.status().await.instances[0].state, "logging-in");
    let (status, error) = client.refused("POST", "/v1/login", json(&request)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("POST /v1/logout"), "{error}");

    client.logout().await;
    assert_eq!(failure(&events.all().await), LoginFailure::Cancelled);
    assert_eq!(client.status().await.instances[0].state, "idle");
    client.logout().await;
    drop(client.login(&request).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_login_ends_when_its_reader_goes_away() {
    let overlay = Overlay::new(57).slow();
    let client = Process::start(&overlay.client("alice", 20));
    let request = overlay.request("alice", "secret", true);
    let address = *overlay.address(20).ip();
    for _ in 0..3 {
        let events = client.login(&request).await;
        assert!(UdpSocket::bind((address, installation_port(request.seed))).is_err(), "in use");
        drop(events);
        client.wait_for("its ports are free");
        drop(UdpSocket::bind((address, installation_port(request.seed))).unwrap());
        assert_eq!(client.status().await.instances[0].state, "idle");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_login_whose_port_is_taken_uses_the_next() {
    let overlay = Overlay::new(58).slow();
    let request = overlay.request("alice", "secret", true);
    let port = installation_port(request.seed);
    let _taken = UdpSocket::bind((*overlay.address(20).ip(), port)).unwrap();
    let client = Process::start(&overlay.client("alice", 20));
    let _events = client.login(&request).await;
    assert_eq!(client.status().await.instances[0].tcp_ports[0], port + 1);
}

/// A super-node process, a login server and one client.
fn whole(overlay: &Overlay) -> (Process, Process, Process) {
    (
        Process::start(&overlay.super_nodes()),
        Process::start(&overlay.login_server()),
        Process::start(&overlay.client("alice", 20)),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_first_login_and_a_second_one_go_through_real_sockets() {
    let overlay = Overlay::new(60);
    let (super_nodes, login_server, client) = whole(&overlay);
    let events = client.login(&overlay.request("alice", "secret", true)).await.all().await;
    let Some(LoginEvent::Finished { summary }) = events.last() else { panic!("{events:?}") };
    assert_eq!(summary.nat, NatVerdict::Open);
    assert_eq!(summary.rounds, 1);
    assert!(!summary.super_nodes.is_empty());
    let position = |wanted: fn(&LoginEvent) -> bool| events.iter().position(wanted).unwrap();
    let order = [
        position(|event| matches!(event, LoginEvent::UdpProbe { .. })),
        position(|event| matches!(event, LoginEvent::UdpAnswer { .. })),
        position(|event| matches!(event, LoginEvent::SuperNode { .. })),
        position(|event| matches!(event, LoginEvent::Authenticated { .. })),
        position(|event| matches!(event, LoginEvent::LoggedIn)),
    ];
    assert!(order.is_sorted(), "{events:?}");

    // The login is over and its answer read to the end; the client stays in the overlay.
    let status = client.status().await.instances.remove(0);
    assert_eq!(status.state, "logged-in");
    assert_eq!(status.connections, summary.super_nodes.len());
    let held: usize = super_nodes.status().await.instances.iter().map(|instance| instance.records).sum();
    assert!(held > 0, "no super node holds the certificate");
    assert_eq!(login_server.status().await.instances[0].records, 1);

    // Without a logout in between: the next login replaces it, from the same port.
    let events = client.login(&overlay.request("alice", "secret", false)).await.all().await;
    assert!(matches!(events.last(), Some(LoginEvent::Finished { .. })), "{events:?}");
    client.logout().await;
    let status = client.status().await.instances.remove(0);
    assert_eq!((status.state.as_str(), status.connections), ("idle", 0));
    // The super nodes hear of it over their sockets.
    while super_nodes.status().await.instances.iter().any(|instance| instance.connections > 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_login_that_is_refused_says_why_and_leaves_the_client_idle() {
    let overlay = Overlay::new(61);
    let (_super_nodes, login_server, client) = whole(&overlay);
    login_server.add_user("alice", "secret").await;
    assert_eq!(login_server.status().await.instances[0].records, 1);
    for (user, password, first_time, expected) in [
        ("alice", "guess", false, LoginFailure::WrongPassword),
        ("mallory", "secret", false, LoginFailure::UnknownUser),
        ("alice", "guess", true, LoginFailure::NameTaken),
    ] {
        let events = client.login(&overlay.request(user, password, first_time)).await.all().await;
        assert_eq!(failure(&events), expected, "{events:?}");
        assert_eq!(client.status().await.instances[0].state, "idle");
    }
    let events = client.login(&overlay.request("alice", "secret", false)).await.all().await;
    assert!(matches!(events.last(), Some(LoginEvent::Finished { .. })), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_that_are_no_message_cost_their_sender_the_connection_and_nobody_else_anything() {
    let overlay = Overlay::new(62);
    let (super_nodes, login_server, client) = whole(&overlay);
    let events = client.login(&overlay.request("alice", "secret", true)).await.all().await;
    assert!(matches!(events.last(), Some(LoginEvent::Finished { .. })), "{events:?}");
    let before = client.status().await.instances[0].connections;

    for host in (1..=SUPER_NODES).chain([9]) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0xff; 700], overlay.address(host)).unwrap();
        let mut stream = TcpStream::connect(overlay.address(host)).unwrap();
        stream.write_all(&[0xff; 5_000]).unwrap();
        // Closed or reset by the node; a node that waits for more would hang here.
        let closed = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new()));
        drop(closed.await.unwrap());
    }
    assert_eq!(client.status().await.instances[0].connections, before);
    assert_eq!(super_nodes.status().await.instances.len(), usize::from(SUPER_NODES));
    assert_eq!(login_server.status().await.instances[0].state, "serving");
    let other = Process::start(&overlay.client("bob", 21));
    let events = other.login(&overlay.request("bob", "secret", true)).await.all().await;
    assert!(matches!(events.last(), Some(LoginEvent::Finished { .. })), "{events:?}");
}
