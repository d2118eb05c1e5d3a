//! What a super node does for the clients that are connected by TCP.

use std::net::SocketAddrV4;

use rand_core::RngCore;

use super::SuperNode;
use crate::certificate::{Certificate, Signature};
use crate::event::ServerEvent;
use crate::machine::{ConnectionId, Output, Time};
use crate::user::UserName;
use crate::wire::stream::Stream;
use crate::wire::super_node::{FromSuperNode, Presence, RegistrationRefusal, ToSuperNode, UserEntry};
use crate::wire::{DecodeError, List, Message};

/// Answers that one connection gets within `server_idle_timeout`: far more than a login takes, and few
/// enough that a peer which asks and does not read cannot pile them up.
const MOST_ANSWERS: u32 = 500;

/// A connection of a client.
#[derive(Debug)]
pub(super) struct Session {
    from: SocketAddrV4,
    stream: Stream,
    stage: Stage,
    answers_left: u32,
    answers_renewed_at: Time,
}

#[derive(Debug)]
enum Stage {
    Accepted,
    Welcomed { nonce: [u8; 8] },
    Registered { user: UserName },
}

/// A user whose certificate this super node holds.
#[derive(Debug)]
pub(super) struct UserRecord {
    entry: UserEntry,
    /// The connection that registered it.
    connection: ConnectionId,
}

impl UserRecord {
    pub fn is_online(&self) -> bool {
        self.entry.online
    }

    pub fn connection(&self) -> ConnectionId {
        self.connection
    }
}

impl SuperNode {
    pub(super) fn accepted(&mut self, now: Time, connection: ConnectionId, from: SocketAddrV4) {
        // A greeting tells a client that there is no room; a crowd that does not even greet is not let in.
        if self.sessions.len() >= 2 * self.config.parameters.server_connections.get() {
            self.outputs.push_back(Output::Close { connection });
            return;
        }
        let session = Session {
            from,
            stream: Stream::default(),
            stage: Stage::Accepted,
            answers_left: MOST_ANSWERS,
            answers_renewed_at: now,
        };
        self.sessions.insert(connection, session);
        self.deadlines.set(connection, now + self.config.parameters.server_greeting_timeout.duration());
    }

    pub(super) fn forget(&mut self, now: Time, connection: ConnectionId) {
        self.deadlines.clear(connection);
        self.directory.forget_client(connection);
        self.forget_channels(connection);
        self.forget_relay(connection);
        let session = self.sessions.remove(&connection);
        if let Some(Session { stage: Stage::Registered { user }, .. }) = session
            && let Some(record) = self.records.get_mut(&user)
            && record.connection == connection
        {
            record.entry.online = false;
            self.directory.detached(now, &user);
        }
    }

    pub(super) fn data(&mut self, now: Time, connection: ConnectionId, data: &[u8]) {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        session.stream.receive(data);
        let idle = self.config.parameters.server_idle_timeout.duration();
        if now - session.answers_renewed_at >= idle {
            session.answers_renewed_at = now;
            session.answers_left = MOST_ANSWERS;
        }
        if !matches!(session.stage, Stage::Accepted) {
            self.deadlines.set(connection, now + idle);
        }
        while let Some(session) = self.sessions.get_mut(&connection) {
            let from = session.from;
            let step = match session.stream.next_message::<ToSuperNode>() {
                Ok(None) => return,
                Ok(Some(message)) => self.message(now, connection, message),
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                self.event(ServerEvent::Misbehaved { from, what: error.to_string() });
                self.close(now, connection);
            }
        }
    }

    fn message(
        &mut self,
        now: Time,
        connection: ConnectionId,
        message: ToSuperNode,
    ) -> Result<(), DecodeError> {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return Ok(());
        };
        let unexpected = DecodeError::Type(message.kind());
        match (&session.stage, message) {
            (Stage::Accepted, ToSuperNode::Hello {}) => self.hello(now, connection),
            (Stage::Welcomed { nonce }, ToSuperNode::Register { certificate, presence, signature }) => {
                let nonce = *nonce;
                self.register(now, connection, nonce, certificate, presence, &signature)
            }
            (Stage::Accepted, _) => Err(unexpected),
            (_, ToSuperNode::HostsWanted { most }) => {
                let entries = List::new(self.some_peers(usize::from(most)));
                self.answer(connection, &FromSuperNode::Hosts { entries })
            }
            (Stage::Registered { .. }, ToSuperNode::RelaysWanted { most }) => {
                let entries = List::new(self.some_peers(usize::from(most)));
                self.answer(connection, &FromSuperNode::Relays { entries })
            }
            (Stage::Registered { .. }, ToSuperNode::BuddiesWanted { users }) => {
                users.into_vec().into_iter().try_for_each(|user| {
                    let found = self.records.get(&user).map(|record| record.entry.clone());
                    self.answer(connection, &FromSuperNode::Buddy { user, found })
                })
            }
            (_, ToSuperNode::KeepAlive {}) => self.answer(connection, &FromSuperNode::StillHere {}),
            (Stage::Registered { .. }, ToSuperNode::Search { search, user, on_behalf }) => {
                self.directory.search(now, connection, search, user, on_behalf)
            }
            (Stage::Registered { .. }, ToSuperNode::SearchReport { search, found_at }) => {
                self.directory.search_reported(now, connection, search, found_at);
                Ok(())
            }
            (
                _,
                message @ (ToSuperNode::ReachUser { .. }
                | ToSuperNode::PassSignal { .. }
                | ToSuperNode::CloseChannel { .. }),
            ) => self.signalling(connection, message),
            (_, ToSuperNode::JoinRelay { ticket }) => {
                self.join_relay_by_tcp(now, connection, ticket);
                Ok(())
            }
            (_, ToSuperNode::RelayedMedia { packet }) => {
                self.relay_stream(now, connection, packet.as_slice());
                Ok(())
            }
            _ => Err(unexpected),
        }
    }

    fn hello(&mut self, now: Time, connection: ConnectionId) -> Result<(), DecodeError> {
        if self.sessions.len() > self.config.parameters.server_connections.get() {
            self.answer(connection, &FromSuperNode::Busy {})?;
            self.close(now, connection);
            return Ok(());
        }
        let mut nonce = [0; 8];
        self.random.fill_bytes(&mut nonce);
        let Some(session) = self.sessions.get_mut(&connection) else {
            return Ok(());
        };
        session.stage = Stage::Welcomed { nonce };
        let observed = session.from;
        self.deadlines.set(connection, now + self.config.parameters.server_idle_timeout.duration());
        self.answer(connection, &FromSuperNode::Welcome { nonce, observed })
    }

    fn register(
        &mut self,
        now: Time,
        connection: ConnectionId,
        nonce: [u8; 8],
        certificate: Certificate,
        presence: Presence,
        signature: &Signature,
    ) -> Result<(), DecodeError> {
        let user = certificate.user.clone();
        if let Err((reason, why)) = self.check(nonce, &certificate, &presence, signature) {
            self.answer(connection, &FromSuperNode::RegistrationRefused { reason })?;
            if let Some(session) = self.sessions.get(&connection) {
                let from = session.from;
                self.event(ServerEvent::Refused { from, why: format!("user {user}: {why}") });
            }
            self.close(now, connection);
            return Ok(());
        }
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.stage = Stage::Registered { user: user.clone() };
        }
        self.directory.attached(now, &certificate, &presence);
        let entry = UserEntry { certificate, presence, online: true };
        self.records.enter(user.clone(), UserRecord { entry, connection });
        self.event(ServerEvent::Registered { user: user.into() });
        self.answer(connection, &FromSuperNode::Registered {})
    }

    fn check(
        &self,
        nonce: [u8; 8],
        certificate: &Certificate,
        presence: &Presence,
        signature: &Signature,
    ) -> Result<(), (RegistrationRefusal, String)> {
        certificate
            .verify(&self.config.login_server_keys)
            .map_err(|error| (RegistrationRefusal::ForgedCertificate, error.to_string()))?;
        if !certificate.public_key.verify(&presence.signed_bytes(&nonce), signature.as_slice()) {
            let why = "the registration is not signed with the certificate's key".to_owned();
            return Err((RegistrationRefusal::ForeignKey, why));
        }
        match self.records.get(&certificate.user) {
            Some(UserRecord { entry, .. })
                if entry.certificate.issuer == certificate.issuer
                    && entry.certificate.issued > certificate.issued =>
            {
                Err((RegistrationRefusal::Outdated, "a newer certificate is registered".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Sends what the client did not ask for, or what has a bound of its own.
    pub(super) fn push(&mut self, connection: ConnectionId, message: &FromSuperNode) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            let data = session.stream.send(&mut self.random, message);
            self.outputs.push_back(Output::Send { connection, data });
        }
    }

    pub(super) fn answer(
        &mut self,
        connection: ConnectionId,
        message: &FromSuperNode,
    ) -> Result<(), DecodeError> {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return Ok(());
        };
        session.answers_left = session
            .answers_left
            .checked_sub(1)
            .ok_or(DecodeError::Value("more questions than are answered"))?;
        let data = session.stream.send(&mut self.random, message);
        self.outputs.push_back(Output::Send { connection, data });
        Ok(())
    }
}
