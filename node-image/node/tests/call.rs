//! Calls through the control socket and real sockets: voice that can be heard.

#![expect(clippy::unwrap_used, reason = "a test whose case cannot be set up has failed")]

#[allow(dead_code, reason = "other tests use more of it")]
mod support;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use overlay_control::{AwaitCallRequest, CallEnd, CallEvent, CallLine, CallRequest, LoginEvent, SoundFiles};
use overlay_voice::{SAMPLE_RATE, speech, wav};
use support::{Overlay, Process, json, parse};

async fn log_in(client: &Process, overlay: &Overlay, user: &str) {
    let events = client.login(&overlay.request(user, "secret", true)).await.all().await;
    assert!(matches!(events.last(), Some(LoginEvent::Finished { .. })), "{events:?}");
}

fn heard_in(file: &str) -> SoundFiles {
    SoundFiles { said: None, heard: Some(file.to_owned()) }
}

async fn begin(client: &Process, path: &str, body: hyper::body::Bytes) -> Incoming {
    let (status, body) = client.open("POST", path, body).await;
    assert_eq!(status, StatusCode::OK);
    body
}

async fn lines(body: Incoming) -> Vec<CallLine> {
    let bytes = body.collect().await.unwrap().to_bytes();
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
}

/// How alike two stretches of sound are, at the best of the first `most` shifts of the second: 1 if they are the
/// same.
fn likeness(said: &[f32], heard: &[f32], most: usize) -> (usize, f32) {
    let energy = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>();
    (0..most)
        .map(|shift| {
            let part = &heard[shift..shift + said.len()];
            let product: f32 = said.iter().zip(part).map(|(one, other)| one * other).sum();
            (shift, product / (energy(said) * energy(part)).sqrt().max(f32::MIN_POSITIVE))
        })
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_one_says_the_other_hears() {
    let overlay = Overlay::new(80);
    let _super_nodes = Process::start(&overlay.super_nodes());
    let _login_server = Process::start(&overlay.login_server());
    let (alice, bob) =
        (Process::start(&overlay.client("alice", 20)), Process::start(&overlay.client("bob", 21)));
    log_in(&alice, &overlay, "alice").await;
    log_in(&bob, &overlay, "bob").await;

    let waits = AwaitCallRequest { answer_after_ms: Some(100), sound: heard_in("heard.wav") };
    let at_bob = begin(&bob, "/v1/await-call", json(&waits)).await;
    let call = CallRequest { user: "bob".to_owned(), talk_ms: Some(3_000), sound: heard_in("heard.wav") };
    let at_alice = begin(&alice, "/v1/call", json(&call)).await;
    let (at_alice, at_bob) = tokio::join!(lines(at_alice), lines(at_bob));

    let named =
        |lines: &[CallLine], which: fn(&CallEvent) -> bool| lines.iter().any(|line| which(&line.event));
    assert!(named(&at_alice, |event| matches!(event, CallEvent::Ringing { .. })), "{at_alice:?}");
    assert!(named(&at_bob, |event| matches!(event, CallEvent::Incoming { .. })), "{at_bob:?}");
    for (lines, expected) in [(&at_alice, CallEnd::HungUp), (&at_bob, CallEnd::PeerHungUp)] {
        let last = lines.last().unwrap();
        assert!(matches!(&last.event, CallEvent::Ended { reason, .. } if *reason == expected), "{last:?}");
        let voice = last.voice.unwrap();
        // Three seconds are 200 packets; the ends hear of answer and end at different moments.
        assert!((195..=205).contains(&voice.said), "{voice:?}");
        assert!(voice.played > 150, "{voice:?}");
    }

    let said = speech::sample();
    for client in [&alice, &bob] {
        let heard = wav::read(&client.directory().join("heard.wav")).unwrap();
        assert!(heard.len() > 2 * SAMPLE_RATE as usize, "{}", heard.len());
        // A second of it is found where it was said, give or take what was missed at the beginning.
        let from = SAMPLE_RATE as usize / 2;
        let part = &said[from..from + SAMPLE_RATE as usize / 2];
        let (_, likeness) = likeness(part, &heard, heard.len() - part.len());
        assert!(likeness > 0.6, "{likeness}");
    }
    assert_eq!(alice.status().await.instances.remove(0).call.as_deref(), Some("none"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_who_goes_away_ends_the_call_and_one_call_is_followed_at_a_time() {
    let overlay = Overlay::new(81);
    let _super_nodes = Process::start(&overlay.super_nodes());
    let _login_server = Process::start(&overlay.login_server());
    let (alice, bob) =
        (Process::start(&overlay.client("alice", 20)), Process::start(&overlay.client("bob", 21)));
    let request = json(&CallRequest { user: "bob".to_owned(), talk_ms: None, sound: SoundFiles::default() });
    let (status, error) = alice.refused("POST", "/v1/call", request.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("log in first"), "{error}");
    log_in(&alice, &overlay, "alice").await;
    log_in(&bob, &overlay, "bob").await;

    let at_bob = begin(&bob, "/v1/await-call", json(&AwaitCallRequest::default())).await;
    let mut at_alice = begin(&alice, "/v1/call", request.clone()).await;
    let (status, error) = alice.refused("POST", "/v1/call", request).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(error.contains("under way"), "{error}");
    // Until it rings; then the caller's reader goes away.
    loop {
        let frame = at_alice.frame().await.unwrap().unwrap().into_data().unwrap();
        if String::from_utf8_lossy(&frame).contains("\"ringing\"") {
            break;
        }
    }
    drop(at_alice);
    let at_bob = lines(at_bob).await;
    let ended = CallEnd::Cancelled;
    assert!(
        matches!(&at_bob.last().unwrap().event, CallEvent::Ended { reason, .. } if *reason == ended),
        "{at_bob:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sound_files_outside_the_nodes_directory_and_of_another_kind_are_refused() {
    let overlay = Overlay::new(82);
    let _super_nodes = Process::start(&overlay.super_nodes());
    let _login_server = Process::start(&overlay.login_server());
    let alice = Process::start(&overlay.client("alice", 20));
    log_in(&alice, &overlay, "alice").await;
    let request = |said: &str| {
        let sound = SoundFiles { said: Some(said.to_owned()), heard: None };
        json(&AwaitCallRequest { answer_after_ms: None, sound })
    };
    let (status, error) = alice.refused("POST", "/v1/await-call", request("../a.wav")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.contains("plain name"), "{error}");
    let (status, error) = alice.refused("POST", "/v1/await-call", request("config.json")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.contains("config.json"), "{error}");
}
