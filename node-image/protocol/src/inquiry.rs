//! Several nodes asked by UDP for one user: by a client, or by a super node on a client's behalf.

use std::net::SocketAddrV4;
use std::time::Duration;

use rand_core::RngCore;

use crate::crypto::keys::ServerPublicKey;
use crate::event::RecordSource;
use crate::machine::Time;
use crate::paced::{Pace, Paced};
use crate::parameters::Parameters;
use crate::user::UserName;
use crate::wire::datagram::Datagram;
use crate::wire::directory::DirectoryRecord;

/// A record, and who had it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub from: SocketAddrV4,
    pub record: DirectoryRecord,
    pub source: RecordSource,
}

/// The nodes of one batch, all asked at once.
///
/// It is over as soon as one node says that the user is online; otherwise when all have answered or were asked
/// in vain, and then the record of the latest login counts.
#[derive(Debug)]
pub(crate) struct Inquiry {
    user: UserName,
    questions: Paced,
    best: Option<Answer>,
}

impl Inquiry {
    pub fn new(
        now: Time,
        random: &mut impl RngCore,
        parameters: &Parameters,
        user: UserName,
        nodes: impl IntoIterator<Item = SocketAddrV4>,
    ) -> Self {
        let pace = Pace {
            interval: Duration::ZERO,
            patience: parameters.search_retransmit_interval.duration(),
            tries: parameters.search_tries.get(),
        };
        Self { user, questions: Paced::new(now, random, nodes, pace), best: None }
    }

    /// What is to be sent now.
    pub fn take_due(&mut self, now: Time) -> Vec<(SocketAddrV4, Datagram)> {
        let question = |transaction| Datagram::Lookup { transaction, user: self.user.clone() };
        self.questions
            .take_due(now)
            .into_iter()
            .map(|(to, transaction)| (to, question(transaction)))
            .collect()
    }

    /// Takes an answer; whether it holds a record that counts. Nothing if it answers no open question.
    pub fn answer<'k>(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        transaction: u32,
        found: Option<DirectoryRecord>,
        source: RecordSource,
        keys: impl IntoIterator<Item = &'k ServerPublicKey>,
    ) -> Option<bool> {
        self.questions.answer(now, from, transaction)?;
        let proven = found.filter(|record| is_proven(record, &self.user, keys));
        let Some(record) = proven else {
            return Some(false);
        };
        let rank = |record: &DirectoryRecord| (!record.online, record.logged_in);
        if self.best.as_ref().is_none_or(|best| rank(&record) < rank(&best.record)) {
            self.best = Some(Answer { from, record, source });
        }
        Some(true)
    }

    /// True when there is nothing to wait for.
    pub fn is_over(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.record.online) || self.questions.is_over()
    }

    /// The record that counts, once it is over.
    pub fn take_best(&mut self) -> Option<Answer> {
        self.best.take()
    }

    /// True if this answers one of its open questions.
    pub fn awaits(&self, from: SocketAddrV4, transaction: u32) -> bool {
        self.questions.awaits(from, transaction)
    }

    /// How many nodes were asked.
    pub fn asked(&self) -> u32 {
        self.questions.asked()
    }

    /// How many of them answered.
    pub fn answered(&self) -> u32 {
        self.questions.answered()
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.questions.next_timeout()
    }
}

/// True if the record is of this user, and its certificate is signed by a known login server.
pub(crate) fn is_proven<'k>(
    record: &DirectoryRecord,
    user: &UserName,
    keys: impl IntoIterator<Item = &'k ServerPublicKey>,
) -> bool {
    record.certificate.user == *user && record.certificate.verify(keys).is_ok()
}
