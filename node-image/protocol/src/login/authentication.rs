//! The user at a login server: registration (step 2 of the security scheme) and login (steps 3 to 5).

use std::net::SocketAddrV4;
use std::time::Duration;

use super::core::Core;
use super::dial::Dial;
use crate::certificate::Certificate;
use crate::crypto::keys::{ClientKeyPair, ServerPublicKey};
use crate::crypto::password::PasswordHash;
use crate::crypto::seal::{Purpose, SessionKey};
use crate::event::LoginFailure;
use crate::machine::{ConnectionId, Time};
use crate::user::UserName;
use crate::wire::login_server::{
    Block, Credentials, FromLoginServer, Nonce, Outcome, Registration, ToLoginServer, from_bytes, to_bytes,
};
use crate::wire::stream::Stream;
use crate::wire::{Bytes, DecodeError};

/// Where it stands.
#[derive(Debug)]
pub(super) enum Progress {
    /// Something is waited for.
    Pending,
    /// The user has a certificate.
    Certified { certificate: Box<Certificate>, keys: Box<ClientKeyPair>, server: SocketAddrV4 },
    /// No login server was reached, or none answered in time.
    NotReached {
        /// The last one that was tried.
        last: SocketAddrV4,
        /// The pair, if it was made: for the next round.
        keys: Option<Box<ClientKeyPair>>,
    },
    /// The login fails.
    Failed(LoginFailure, String),
}

/// What is waited for on the connection.
#[derive(Debug)]
enum Awaited {
    Connection,
    Greeting,
    Registration {
        nonce: Nonce,
        key: SessionKey,
    },
    /// The next turn: making the keys took a time that `core.now` does not know of yet.
    Turn {
        nonce: Nonce,
    },
    Certificate {
        key: SessionKey,
    },
}

/// The conversation with one login server after another, until one answers.
#[derive(Debug)]
pub(super) struct Authentication {
    servers: std::vec::IntoIter<(SocketAddrV4, ServerPublicKey)>,
    server_key: ServerPublicKey,
    dial: Dial,
    stream: Stream,
    awaited: Awaited,
    due: Time,
    user: UserName,
    password: PasswordHash,
    /// The user is to be registered first.
    first_time: bool,
    /// Made when they are needed, once for each login, however many login servers and rounds it takes.
    keys: Option<Box<ClientKeyPair>>,
}

impl Authentication {
    /// Begins with the first of `servers`; `None` if there is none. `keys` are those of an earlier round.
    pub fn start(
        core: &mut Core,
        servers: Vec<(SocketAddrV4, ServerPublicKey)>,
        user: UserName,
        password: PasswordHash,
        first_time: bool,
        keys: Option<Box<ClientKeyPair>>,
    ) -> Option<Self> {
        let mut servers = servers.into_iter();
        let (server, server_key) = servers.next()?;
        let dial = Dial::start(core, server);
        Some(Self {
            servers,
            server_key,
            due: dial.deadline,
            dial,
            stream: Stream::default(),
            awaited: Awaited::Connection,
            user,
            password,
            first_time,
            keys,
        })
    }

    /// True if this is its connection.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.dial.connection == connection
    }

    /// The connection was made.
    pub fn connected(&mut self, core: &Core) {
        self.awaited = Awaited::Greeting;
        self.due = core.answer_due();
    }

    /// Gives up what was waited for too long.
    pub fn advance(&mut self, core: &mut Core) -> Progress {
        if core.now < self.due {
            return Progress::Pending;
        }
        if let Awaited::Turn { nonce } = self.awaited {
            return self.log_in(core, nonce).unwrap_or_else(broken);
        }
        self.close(core);
        self.not_reached(core)
    }

    /// The port, or the server, is not reached: goes on to the next.
    pub fn not_reached(&mut self, core: &mut Core) -> Progress {
        if !self.dial.next_port(core) {
            let Some((server, key)) = self.servers.next() else {
                return Progress::NotReached { last: self.dial.node, keys: self.keys.take() };
            };
            self.server_key = key;
            self.dial = Dial::start(core, server);
        }
        self.stream = Stream::default();
        self.awaited = Awaited::Connection;
        self.due = self.dial.deadline;
        Progress::Pending
    }

    /// Bytes came in.
    pub fn data(&mut self, core: &mut Core, data: &[u8]) -> Progress {
        self.stream.receive(data);
        loop {
            let progress = match self.stream.next_message::<FromLoginServer>() {
                Ok(None) => return Progress::Pending,
                Ok(Some(message)) => self.message(core, message).unwrap_or_else(broken),
                Err(error) => broken(error),
            };
            if !matches!(progress, Progress::Pending) {
                self.close(core);
                return progress;
            }
        }
    }

    fn message(&mut self, core: &mut Core, message: FromLoginServer) -> Result<Progress, DecodeError> {
        match (std::mem::replace(&mut self.awaited, Awaited::Connection), message) {
            (Awaited::Greeting, FromLoginServer::Greeting { nonce }) if self.first_time => {
                self.register(core, nonce)
            }
            (Awaited::Greeting, FromLoginServer::Greeting { nonce }) => self.log_in(core, nonce),
            (Awaited::Registration { nonce, key }, FromLoginServer::Answer { sealed }) => {
                match open(&key, sealed.as_slice())? {
                    Outcome::Registered => {
                        self.first_time = false;
                        self.log_in(core, nonce)
                    }
                    outcome => self.refused(&outcome),
                }
            }
            (Awaited::Certificate { key }, FromLoginServer::Answer { sealed }) => {
                match open(&key, sealed.as_slice())? {
                    Outcome::Certified(certificate) => self.certified(certificate),
                    outcome => self.refused(&outcome),
                }
            }
            _ => Err(DecodeError::Value("a message that was not waited for")),
        }
    }

    fn register(&mut self, core: &mut Core, nonce: Nonce) -> Result<Progress, DecodeError> {
        let registration = Registration {
            nonce,
            key: SessionKey::generate(&mut core.random),
            user: self.user.clone(),
            password: self.password.clone(),
        };
        let block = self.encrypt(core, &to_bytes(&registration))?;
        self.send(core, &ToLoginServer::Register { block });
        self.awaited = Awaited::Registration { nonce, key: registration.key };
        Ok(Progress::Pending)
    }

    fn log_in(&mut self, core: &mut Core, nonce: Nonce) -> Result<Progress, DecodeError> {
        let Some(keys) = &self.keys else {
            let bits = core.parameters.client_key_bits.get();
            let keys = ClientKeyPair::generate(&mut core.random, bits)
                .map_err(|_| DecodeError::Value("a key size that is not used"))?;
            self.keys = Some(Box::new(keys));
            self.awaited = Awaited::Turn { nonce };
            self.due = core.now + Duration::from_nanos(1);
            return Ok(Progress::Pending);
        };
        let key = SessionKey::generate(&mut core.random);
        let credentials = Credentials {
            nonce,
            public_key: keys.public(),
            user: self.user.clone(),
            password: self.password.clone(),
        };
        let message = ToLoginServer::Login {
            key: self.encrypt(core, &to_bytes(&key))?,
            sealed: Bytes::new(key.seal(Purpose::Request, &to_bytes(&credentials)))?,
        };
        self.send(core, &message);
        self.awaited = Awaited::Certificate { key };
        Ok(Progress::Pending)
    }

    fn certified(&mut self, certificate: Certificate) -> Result<Progress, DecodeError> {
        let keys = self.keys.take().ok_or(DecodeError::Value("a certificate that was not asked for"))?;
        Ok(match certificate.verify_own(&self.server_key, &self.user, &keys.public()) {
            Ok(()) => {
                Progress::Certified { certificate: Box::new(certificate), keys, server: self.dial.node }
            }
            Err(error) => Progress::Failed(LoginFailure::ForgedCertificate, error.to_string()),
        })
    }

    fn refused(&self, outcome: &Outcome) -> Result<Progress, DecodeError> {
        let failure = match outcome {
            Outcome::NameTaken => LoginFailure::NameTaken,
            Outcome::UnknownUser => LoginFailure::UnknownUser,
            Outcome::WrongPassword => LoginFailure::WrongPassword,
            Outcome::Replayed => LoginFailure::Replayed,
            Outcome::Full => LoginFailure::NoLoginServer,
            Outcome::Registered | Outcome::Certified(_) => {
                return Err(DecodeError::Value("an outcome of another request"));
            }
        };
        let full = if *outcome == Outcome::Full { ", which takes no more users" } else { "" };
        Ok(Progress::Failed(failure, format!("login server {}{full}", self.dial.node)))
    }

    fn encrypt(&self, core: &mut Core, text: &[u8]) -> Result<Block, DecodeError> {
        let block = self
            .server_key
            .encrypt(&mut core.random, text)
            .map_err(|_| DecodeError::Value("a text that does not fit the server's key"))?;
        Block::new(block)
    }

    fn send(&mut self, core: &mut Core, message: &ToLoginServer) {
        self.due = core.answer_due();
        let bytes = self.stream.send(&mut core.random, message);
        core.send(self.dial.connection, bytes);
    }

    /// Closes the connection.
    pub fn close(&self, core: &mut Core) {
        core.close(self.dial.connection);
    }

    pub fn next_timeout(&self) -> Time {
        self.due
    }
}

fn open(key: &SessionKey, sealed: &[u8]) -> Result<Outcome, DecodeError> {
    let text = key.open(Purpose::Answer, sealed).ok_or(DecodeError::Value("an answer that is not sealed"))?;
    from_bytes(&text)
}

fn broken(error: DecodeError) -> Progress {
    Progress::Failed(LoginFailure::Protocol, error.to_string())
}
