//! One question to each of several nodes by UDP, at a pace, with a bounded number of repetitions.

use std::net::SocketAddrV4;
use std::time::Duration;

use rand_core::RngCore;

use crate::machine::Time;

/// How a question is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Time between the first questions to two nodes.
    pub interval: Duration,
    /// Time until a question counts as unanswered and is repeated or given up.
    pub patience: Duration,
    /// How often one node is asked.
    pub tries: usize,
}

#[derive(Debug)]
struct Question {
    to: SocketAddrV4,
    transaction: u32,
    tries: usize,
    asked: Time,
    state: State,
}

impl Question {
    fn is_answered_by(&self, from: SocketAddrV4, transaction: u32) -> bool {
        self.state == State::Open && self.to == from && self.transaction == transaction
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Open,
    Answered,
    GivenUp,
}

/// The questions and where they stand.
#[derive(Debug)]
pub(crate) struct Paced {
    pace: Pace,
    questions: Vec<Question>,
    next_start: Time,
}

impl Paced {
    /// Asks `nodes` in order, from now on.
    pub fn new(
        now: Time,
        random: &mut impl RngCore,
        nodes: impl IntoIterator<Item = SocketAddrV4>,
        pace: Pace,
    ) -> Self {
        let questions = nodes
            .into_iter()
            .map(|to| Question {
                to,
                transaction: random.next_u32(),
                tries: 0,
                asked: now,
                state: State::Waiting,
            })
            .collect();
        Self { pace, questions, next_start: now }
    }

    /// The questions to send now: to whom, and with which transaction.
    pub fn take_due(&mut self, now: Time) -> Vec<(SocketAddrV4, u32)> {
        let mut due = Vec::new();
        for question in &mut self.questions {
            let ask = match question.state {
                State::Waiting if now >= self.next_start => {
                    self.next_start = now + self.pace.interval;
                    true
                }
                State::Open if now >= question.asked + self.pace.patience => question.tries < self.pace.tries,
                _ => continue,
            };
            if ask {
                question.state = State::Open;
                question.asked = now;
                question.tries += 1;
                due.push((question.to, question.transaction));
            } else {
                question.state = State::GivenUp;
            }
        }
        due
    }

    /// True if this answers an open question.
    pub fn awaits(&self, from: SocketAddrV4, transaction: u32) -> bool {
        self.questions.iter().any(|question| question.is_answered_by(from, transaction))
    }

    /// Takes an answer, and says how long it took since the node was last asked; `None` if it answers no
    /// open question.
    pub fn answer(&mut self, now: Time, from: SocketAddrV4, transaction: u32) -> Option<Duration> {
        let question =
            self.questions.iter_mut().find(|question| question.is_answered_by(from, transaction))?;
        question.state = State::Answered;
        Some(now - question.asked)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.questions
            .iter()
            .filter_map(|question| match question.state {
                State::Waiting => Some(self.next_start),
                State::Open => Some(question.asked + self.pace.patience),
                State::Answered | State::GivenUp => None,
            })
            .min()
    }

    /// True when every question is answered or given up.
    pub fn is_over(&self) -> bool {
        self.questions.iter().all(|question| matches!(question.state, State::Answered | State::GivenUp))
    }

    /// How many nodes were asked so far.
    pub fn asked(&self) -> u32 {
        self.count(|question| question.tries > 0)
    }

    /// How many of them answered.
    pub fn answered(&self) -> u32 {
        self.count(|question| question.state == State::Answered)
    }

    /// The nodes that were asked in vain.
    pub fn silent(&self) -> impl Iterator<Item = SocketAddrV4> + '_ {
        self.questions.iter().filter(|question| question.state == State::GivenUp).map(|question| question.to)
    }

    fn count(&self, which: impl Fn(&Question) -> bool) -> u32 {
        u32::try_from(self.questions.iter().filter(|question| which(question)).count())
            .expect("there are at most 200 questions")
    }
}
