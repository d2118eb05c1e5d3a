//! The login server: knows the users' passwords and signs certificates.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::certificate::Certificate;
use crate::crypto::keys::ServerKeyPair;
use crate::crypto::password::PasswordHash;
use crate::crypto::seal::{Purpose, SessionKey};
use crate::deadlines::Deadlines;
use crate::event::ServerEvent;
use crate::machine::{ConnectionId, Input, Machine, Output, Time};
use crate::parameters::Parameters;
use crate::user::{Password, UserName};
use crate::wire::login_server::{
    Credentials, FromLoginServer, Nonce, Outcome, Registration, ToLoginServer, from_bytes, to_bytes,
};
use crate::wire::stream::Stream;
use crate::wire::{Bytes, DecodeError};

/// What a login server is told before it starts.
#[derive(Clone, Debug)]
pub struct LoginServerConfig {
    /// Its key pair (Ks+, Ks-).
    pub private_key: ServerKeyPair,
    /// Its own public address, with its TCP port.
    pub address: SocketAddrV4,
    /// Seed of everything random in it.
    pub seed: u64,
    /// The overlay's parameters.
    pub parameters: Parameters,
}

/// What a login server's owner can ask for.
#[derive(Clone, Debug)]
pub enum LoginServerCommand {
    /// Enter a user as if registered earlier; replaces the password of a user that is known.
    AddUser {
        /// The user.
        user: UserName,
        /// The password; the server keeps only its hash.
        password: Password,
    },
}

/// The one that knows the users' passwords and signs certificates.
#[derive(Debug)]
pub struct LoginServer {
    config: LoginServerConfig,
    random: ChaCha20Rng,
    users: BTreeMap<UserName, PasswordHash>,
    sessions: BTreeMap<ConnectionId, Session>,
    deadlines: Deadlines,
    outputs: VecDeque<Output<ServerEvent>>,
}

/// A connection: one registration, if any, then one login.
#[derive(Debug)]
struct Session {
    from: SocketAddrV4,
    stream: Stream,
    nonce: Nonce,
    registered: bool,
}

impl LoginServer {
    /// A login server that serves from the first input on.
    #[must_use]
    pub fn new(config: LoginServerConfig) -> Self {
        Self {
            random: ChaCha20Rng::seed_from_u64(config.seed),
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
            deadlines: Deadlines::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// The TCP ports that it listens on: its own, and those that firewalls let through.
    #[must_use]
    pub fn listening_ports(&self) -> Vec<u16> {
        self.config.parameters.listening_ports(self.config.address.port())
    }

    /// TCP connections that are established.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Users that it knows.
    #[must_use]
    pub fn records(&self) -> usize {
        self.users.len()
    }

    fn accepted(&mut self, now: Time, connection: ConnectionId, from: SocketAddrV4) {
        if self.sessions.len() >= self.config.parameters.server_connections.get() {
            self.outputs.push_back(Output::Close { connection });
            return;
        }
        let mut nonce = Nonce::default();
        self.random.fill_bytes(&mut nonce);
        let session = Session { from, stream: Stream::default(), nonce, registered: false };
        self.sessions.insert(connection, session);
        self.deadlines.set(connection, now + self.config.parameters.server_greeting_timeout.duration());
        self.send(connection, &FromLoginServer::Greeting { nonce });
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.deadlines.clear(connection);
        self.sessions.remove(&connection);
    }

    fn close(&mut self, connection: ConnectionId) {
        self.outputs.push_back(Output::Close { connection });
        self.forget(connection);
    }

    fn data(&mut self, now: Time, connection: ConnectionId, data: &[u8]) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.stream.receive(data);
        }
        while let Some(session) = self.sessions.get_mut(&connection) {
            let from = session.from;
            let step = match session.stream.next_message::<ToLoginServer>() {
                Ok(None) => return,
                Ok(Some(ToLoginServer::Register { block })) => self.register(connection, block.as_slice()),
                Ok(Some(ToLoginServer::Login { key, sealed })) => {
                    self.log_in(now, connection, key.as_slice(), sealed.as_slice())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                self.event(ServerEvent::Misbehaved { from, what: error.to_string() });
                self.close(connection);
            }
        }
    }

    fn register(&mut self, connection: ConnectionId, block: &[u8]) -> Result<(), DecodeError> {
        let text = self
            .config
            .private_key
            .decrypt(&mut self.random, block)
            .ok_or(DecodeError::Value("a block that is not encrypted with the server's key"))?;
        let registration: Registration = from_bytes(&text)?;
        let Some(session) = self.sessions.get_mut(&connection) else {
            return Ok(());
        };
        if session.registered {
            return Err(DecodeError::Value("a second registration on one connection"));
        }
        session.registered = true;
        let outcome = if registration.nonce != session.nonce {
            Outcome::Replayed
        } else if let Some(known) = self.users.get(&registration.user) {
            // Who has the password registered it and asks again: the answer did not arrive in time.
            if known.matches(&registration.password) { Outcome::Registered } else { Outcome::NameTaken }
        } else if self.users.len() >= self.config.parameters.server_records.get() {
            Outcome::Full
        } else {
            self.users.insert(registration.user.clone(), registration.password.clone());
            Outcome::Registered
        };
        self.answer(connection, &registration.key, &registration.user, &outcome)
    }

    fn log_in(
        &mut self,
        now: Time,
        connection: ConnectionId,
        block: &[u8],
        sealed: &[u8],
    ) -> Result<(), DecodeError> {
        let text = self
            .config
            .private_key
            .decrypt(&mut self.random, block)
            .ok_or(DecodeError::Value("a block that is not encrypted with the server's key"))?;
        let key: SessionKey = from_bytes(&text)?;
        let text = key
            .open(Purpose::Request, sealed)
            .ok_or(DecodeError::Value("credentials that are not sealed with the session key"))?;
        let credentials: Credentials = from_bytes(&text)?;
        let user = credentials.user.clone();
        let outcome = self.judge(now, connection, credentials);
        self.answer(connection, &key, &user, &outcome)
    }

    fn judge(&mut self, now: Time, connection: ConnectionId, credentials: Credentials) -> Outcome {
        if self.sessions.get(&connection).is_none_or(|session| session.nonce != credentials.nonce) {
            return Outcome::Replayed;
        }
        match self.users.get(&credentials.user) {
            None => Outcome::UnknownUser,
            Some(known) if !known.matches(&credentials.password) => Outcome::WrongPassword,
            Some(_) => {
                // The server's clock would have to run for half a billion years.
                let issued = u64::try_from(now.since_epoch().as_millis()).unwrap_or(u64::MAX);
                Outcome::Certified(Certificate::issue(
                    &self.config.private_key,
                    &mut self.random,
                    credentials.user,
                    credentials.public_key,
                    issued,
                ))
            }
        }
    }

    /// Answers, and closes the connection unless a login may follow.
    fn answer(
        &mut self,
        connection: ConnectionId,
        key: &SessionKey,
        user: &UserName,
        outcome: &Outcome,
    ) -> Result<(), DecodeError> {
        let sealed = Bytes::new(key.seal(Purpose::Answer, &to_bytes(outcome)))?;
        self.send(connection, &FromLoginServer::Answer { sealed });
        let why = match outcome {
            Outcome::Registered => {
                self.event(ServerEvent::Registered { user: user.to_string() });
                return Ok(());
            }
            Outcome::Certified(_) => {
                self.event(ServerEvent::Certified { user: user.to_string() });
                self.close(connection);
                return Ok(());
            }
            Outcome::NameTaken => "the user name is taken",
            Outcome::UnknownUser => "no such user",
            Outcome::WrongPassword => "the password is wrong",
            Outcome::Replayed => "the request was recorded on another connection",
            Outcome::Full => "no room for another user",
        };
        if let Some(session) = self.sessions.get(&connection) {
            let from = session.from;
            self.event(ServerEvent::Refused { from, why: format!("user {user}: {why}") });
        }
        self.close(connection);
        Ok(())
    }

    fn send(&mut self, connection: ConnectionId, message: &FromLoginServer) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            let data = session.stream.send(&mut self.random, message);
            self.outputs.push_back(Output::Send { connection, data });
        }
    }

    fn event(&mut self, event: ServerEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

impl Machine for LoginServer {
    type Command = LoginServerCommand;
    type Event = ServerEvent;

    fn handle(&mut self, now: Time, input: Input<'_, LoginServerCommand>) {
        match input {
            Input::Accepted { connection, from, .. } => self.accepted(now, connection, from),
            Input::Data { connection, data } => self.data(now, connection, data),
            Input::Closed { connection, .. } => self.forget(connection),
            Input::Command(LoginServerCommand::AddUser { user, password }) => {
                let hash = PasswordHash::new(&user, &password);
                self.users.insert(user, hash);
            }
            // It serves no UDP, and opens no connection itself.
            Input::Datagram { .. }
            | Input::Connected { .. }
            | Input::ConnectFailed { .. }
            | Input::Timeout => {}
        }
        while let Some(connection) = self.deadlines.take_passed(now) {
            self.close(connection);
        }
    }

    fn poll_output(&mut self) -> Option<Output<ServerEvent>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }
}
