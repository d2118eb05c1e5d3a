//! The security steps: who is refused, and with which error.

use overlay_protocol::certificate::Certificate;
use overlay_protocol::crypto::seal::{Purpose, SessionKey};
use overlay_protocol::wire::Bytes;
use overlay_protocol::wire::login_server::{
    Credentials, FromLoginServer, Outcome, ToLoginServer, from_bytes, to_bytes,
};
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::{
    ConnectionId, Input, LoginFailure, Machine, Output, Password, ServerEvent, ServerKeyPair, SuperNode,
    SuperNodeConfig,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::world::setup::{Setup, add_user, attach, log_in, name, server_keys, super_node_address};
use crate::world::{Role, World};

fn failure(world: &mut World, client: usize) -> LoginFailure {
    log_in(world, client).result.expect_err("the login fails")
}

#[test]
fn a_wrong_password_is_refused() {
    let setup = Setup::subsequent(11);
    let mut world = setup.world();
    let mut config = setup.client("alice");
    config.password = Password::new("battery staple");
    let client = setup.add(&mut world, config, None, 1);
    assert_eq!(failure(&mut world, client), LoginFailure::WrongPassword);
}

#[test]
fn an_unknown_user_is_refused() {
    let setup = Setup::subsequent(11);
    let mut world = setup.world();
    add_user(&mut world, &name("bob"), "correct horse");
    let client = attach(&mut world, setup.client("alice"), None, 1);
    assert_eq!(failure(&mut world, client), LoginFailure::UnknownUser);
}

#[test]
fn a_name_that_is_taken_cannot_be_registered() {
    let setup = Setup::first_time(11);
    let mut world = setup.world();
    add_user(&mut world, &name("alice"), "battery staple");
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    assert_eq!(failure(&mut world, client), LoginFailure::NameTaken);
}

#[test]
fn a_registration_whose_answer_was_lost_can_be_repeated() {
    let setup = Setup::first_time(11);
    let mut world = setup.world();
    add_user(&mut world, &name("alice"), "correct horse");
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    log_in(&mut world, client).result.expect("the login succeeds");
}

#[test]
fn a_request_that_does_not_repeat_the_servers_nonce_counts_as_replayed() {
    let setup = Setup::subsequent(11);
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    // Behind the seed and the header is the nonce: under RC4 a flipped bit stays a flipped bit.
    world.tamper = Some(Box::new(|sender, bytes| {
        if sender == 0 && bytes.len() == 4 + 4 + 16 {
            bytes[10] ^= 1;
        }
    }));
    assert_eq!(failure(&mut world, client), LoginFailure::Replayed);
}

#[test]
fn an_answer_that_was_changed_on_the_way_is_refused() {
    let setup = Setup::subsequent(11);
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    world.tamper = Some(Box::new(|sender, bytes| {
        if sender == 0 && bytes.len() > 100 {
            bytes[50] ^= 1;
        }
    }));
    assert_eq!(failure(&mut world, client), LoginFailure::Protocol);
}

#[test]
fn a_recorded_login_that_is_sent_again_is_refused() {
    for setup in [Setup::first_time(11), Setup::subsequent(11)] {
        let mut world = setup.world();
        let client = setup.add(&mut world, setup.client("alice"), None, 1);
        log_in(&mut world, client).result.expect("the login succeeds");
        let recorded = world.recorded[&(client, 0)].clone();
        let Role::LoginServer(server) = &mut world.nodes[0].role else {
            panic!("node 0 is the login server")
        };
        let connection = ConnectionId(9_999);
        let from = super_node_address(200);
        let now = world.now;
        server.handle(now, Input::Accepted { connection, local_port: 443, from });
        server.handle(now, Input::Data { connection, data: &recorded });
        let (mut refused, mut closed) = (false, false);
        while let Some(output) = server.poll_output() {
            match output {
                Output::Event(ServerEvent::Refused { from: who, why }) => {
                    assert_eq!(who, from);
                    assert!(why.contains("recorded on another connection"), "{why}");
                    refused = true;
                }
                Output::Event(other) => panic!("{other:?}"),
                Output::Close { connection: which } => closed = which == connection,
                _ => {}
            }
        }
        assert!(refused && closed);
    }
}

/// One who reads along between client and login server, with the server's key stolen for reading, and
/// replaces the certificate.
struct Forger {
    from_client: Stream,
    from_server: Stream,
    to_client: Stream,
    key: Option<(SessionKey, Credentials)>,
    random: ChaCha20Rng,
    forge: fn(&mut ChaCha20Rng, &Credentials) -> Certificate,
}

impl Forger {
    fn new(forge: fn(&mut ChaCha20Rng, &Credentials) -> Certificate) -> Self {
        Self {
            from_client: Stream::default(),
            from_server: Stream::default(),
            to_client: Stream::default(),
            key: None,
            random: ChaCha20Rng::seed_from_u64(666),
            forge,
        }
    }

    fn pass(&mut self, sender: usize, client: usize, bytes: &mut Vec<u8>) {
        if sender == client {
            // Requests to the login server are the only ones with two blocks of its key's length.
            if bytes.len() < 400 || self.key.is_some() {
                return;
            }
            self.from_client.receive(bytes);
            let Ok(Some(ToLoginServer::Login { key, sealed })) = self.from_client.next_message() else {
                return;
            };
            let text = server_keys().decrypt(&mut self.random, key.as_slice()).expect("for the server");
            let key: SessionKey = from_bytes(&text).expect("a session key");
            let text = key.open(Purpose::Request, sealed.as_slice()).expect("sealed with it");
            self.key = Some((key, from_bytes(&text).expect("credentials")));
        } else if sender == 0 {
            self.from_server.receive(bytes);
            let message: FromLoginServer =
                self.from_server.next_message().expect("a message").expect("whole");
            let message = match (&self.key, message) {
                (Some((key, credentials)), FromLoginServer::Answer { .. }) => {
                    let outcome = Outcome::Certified((self.forge)(&mut self.random, credentials));
                    let sealed = Bytes::new(key.seal(Purpose::Answer, &to_bytes(&outcome))).expect("short");
                    FromLoginServer::Answer { sealed }
                }
                (_, other) => other,
            };
            *bytes = self.to_client.send(&mut self.random, &message);
        }
    }
}

fn failure_by_forgery(forge: fn(&mut ChaCha20Rng, &Credentials) -> Certificate) -> LoginFailure {
    let setup = Setup::subsequent(11);
    let mut world = setup.world();
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    let mut forger = Forger::new(forge);
    world.tamper = Some(Box::new(move |sender, bytes| forger.pass(sender, client, bytes)));
    failure(&mut world, client)
}

#[test]
fn a_certificate_that_another_key_signed_is_refused() {
    let failure = failure_by_forgery(|random, credentials| {
        let other = ServerKeyPair::generate(1, 1_536).expect("a size that is used");
        Certificate::issue(&other, random, credentials.user.clone(), credentials.public_key.clone(), 0)
    });
    assert_eq!(failure, LoginFailure::ForgedCertificate);
}

#[test]
fn a_certificate_for_another_user_is_refused() {
    let failure = failure_by_forgery(|random, credentials| {
        Certificate::issue(server_keys(), random, name("mallory"), credentials.public_key.clone(), 0)
    });
    assert_eq!(failure, LoginFailure::ForgedCertificate);
}

#[test]
fn super_nodes_refuse_a_certificate_of_a_login_server_that_they_do_not_know() {
    let setup = Setup { super_nodes: 5, ..Setup::first_time(11) };
    let mut world = setup.world();
    let other = ServerKeyPair::generate(1, 1_536).expect("a size that is used").public();
    for node in &mut world.nodes {
        if let Role::SuperNode(super_node) = &mut node.role {
            **super_node = SuperNode::new(SuperNodeConfig {
                address: node.address,
                peers: (0..5).map(super_node_address).collect(),
                login_server_keys: vec![other.clone()],
                seed: 1,
                parameters: setup.parameters.clone(),
            });
        }
    }
    let client = setup.add(&mut world, setup.client("alice"), None, 1);
    assert_eq!(failure(&mut world, client), LoginFailure::ForgedCertificate);
}

#[test]
fn a_buddys_certificate_is_returned_and_verified() {
    let setup = Setup { super_nodes: 3, ..Setup::first_time(11) };
    let mut world = setup.world();
    let bob = setup.add(&mut world, setup.client("bob"), None, 2);
    log_in(&mut world, bob).result.expect("bob logs in");
    let alice = setup.add(&mut world, setup.client("alice"), None, 1);
    log_in(&mut world, alice).result.expect("alice logs in");
    let entry = &world.client(alice).buddies()[&name("bob")];
    assert_eq!(entry.presence.public, world.nodes[bob].address);
    entry.certificate.verify([&server_keys().public()]).expect("signed by the login server");
}

#[test]
fn nothing_secret_is_shown() {
    let setup = Setup::first_time(11);
    let mut world = setup.world();
    let alice = setup.add(&mut world, setup.client("alice"), None, 1);
    log_in(&mut world, alice).result.expect("alice logs in");
    let shown = format!("{:?} {:?}", world.client(alice), setup.client("alice"));
    assert!(!shown.contains("correct horse"));
    let private = server_keys().to_der_hex();
    let Role::LoginServer(server) = &world.nodes[0].role else { panic!("node 0 is the login server") };
    let shown = format!("{server:?}");
    assert!(!shown.contains(&private[200..260]) && shown.contains("ServerKeyPair(1536 bits, ..)"));
    assert_eq!(server.records(), 1);
}
