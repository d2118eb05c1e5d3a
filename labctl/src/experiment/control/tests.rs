//! The client against a server that says what the test wants, byte for byte.

use overlay_control::LoginEvent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;

/// Answers one connection with these bytes; gives what it was sent.
fn answer_once(directory: &Path, answer: Vec<u8>) -> (Control, JoinHandle<String>) {
    let socket = directory.join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 64 << 10];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(&answer).await.unwrap();
        asked.truncate(length);
        String::from_utf8(asked).unwrap()
    });
    (Control::new(&socket), asked)
}

fn with_body(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn stream_of(chunks: &[&str]) -> Vec<u8> {
    let mut answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    answer.extend(chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())));
    answer.push_str("0\r\n\r\n");
    answer.into_bytes()
}

fn request() -> LoginRequest {
    LoginRequest {
        user: "alice".into(),
        password: "secret".into(),
        seed: 5,
        first_time: true,
        host_cache: vec!["198.18.0.1:33033".parse().unwrap()],
        buddies: Vec::new(),
    }
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let directory = tempfile::tempdir().unwrap();
    let (control, asked) = answer_once(directory.path(), with_body("204 No Content", ""));
    let user = UserRecord { user: "alice".into(), password: "secret".into() };
    control.enter_user(&user).await.unwrap();
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /v1/users HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/json\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"user":"alice","password":"secret"}"#), "{asked}");
}

#[tokio::test]
async fn events_come_one_by_one_however_the_stream_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let chunks = [
        "{\"at_ms\":1.5,\"event\":\"round\",\"rou",
        "nd\":1}\n{\"at_ms\":2,\"event\":\"udp-blocked\",\"probes\":30}\n{\"at_ms\":3,",
        "\"event\":\"logged-in\"}\n",
    ];
    let (control, _asked) = answer_once(directory.path(), stream_of(&chunks));
    let mut events = control.login(&request()).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let received = events.next().await.unwrap();
        assert!(received.at >= events.sent());
        seen.push(received.line.event);
    }
    let expected =
        [LoginEvent::Round { round: 1 }, LoginEvent::UdpBlocked { probes: 30 }, LoginEvent::LoggedIn];
    assert_eq!(seen, expected);
    assert!(matches!(events.next().await, Err(ControlError::Ended(_))));
}

#[tokio::test]
async fn a_refusal_shows_the_nodes_own_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let body = r#"{"error":"a login is under way"}"#;
    let (control, _asked) = answer_once(directory.path(), with_body("409 Conflict", body));
    let error = control.login(&request()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ControlError::Refused(_, StatusCode::CONFLICT, _)), "{text}");
    assert!(text.contains("a login is under way") && text.contains("POST /v1/login"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_no_status_is_malformed() {
    let directory = tempfile::tempdir().unwrap();
    let (control, _asked) = answer_once(directory.path(), with_body("200 OK", "[]"));
    assert!(matches!(control.status().await, Err(ControlError::Malformed(..))));
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(LONGEST_ANSWER + 1);
    let (control, _asked) = answer_once(directory.path(), with_body("200 OK", &long));
    assert!(matches!(control.status().await, Err(ControlError::Body(..))));
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_named() {
    let error = Control::new(Path::new("/nowhere/control.sock")).logout().await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/control.sock") && error.contains("nobody answers"), "{error}");
}
