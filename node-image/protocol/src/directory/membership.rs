//! Which super nodes there are, and which of them live: learnt by gossip (in the manner of SWIM, Das, Gupta and
//! Motivala, 2002).
//!
//! 1. Each `gossip_interval` a super node asks another one, chosen at random, and tells it of up to
//!    `gossip_members` others; the answer does the same. What changed last is told first. While there is no news to
//!    tell, each interval is twice the one before, up to `gossip_longest_interval`.
//! 2. Who does not answer in `directory_tries`, `directory_retransmit_interval` apart, is taken for dead, and
//!    that is told on.
//! 3. Who hears of its own death raises its incarnation and says so at once: of two words on one super node the
//!    one with the higher incarnation counts, and of these the one that says dead.
//! 4. An address that is new is asked itself before it is believed.
//! 5. Once in eight times `gossip_interval` a dead one is asked, so that two halves of a network find each other again.
//! 6. Who **leaves** tells of its own death itself, and takes part no more: nobody has to find out by rule 2.
//!
//! The view holds `directory_members` at the most; a dead one makes room for one that answers.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use crate::login::below;
use crate::machine::Time;
use crate::parameters::Parameters;
use crate::wire::List;
use crate::wire::datagram::Datagram;
use crate::wire::directory::{Life, MOST_MEMBERS, Member};

/// Questions that may be open at a time; what is new beyond that is heard of again.
const MOST_QUESTIONS: usize = 64;
/// How often a change is told before it is as good as old.
const TELLINGS: u32 = 12;
/// How many are told by a super node that leaves; the others hear of it from these.
const TOLD_OF_LEAVING: usize = 64;
/// A dead super node is asked once in so many times the shortest interval.
const DEAD_INTERVALS: u32 = 8;

#[derive(Debug)]
struct Known {
    incarnation: u32,
    life: Life,
    /// How often its last change was told.
    told: u32,
}

#[derive(Debug)]
struct Question {
    to: SocketAddrV4,
    transaction: u32,
    tries: usize,
    due: Time,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Membership {
    own: SocketAddrV4,
    incarnation: u32,
    known: BTreeMap<SocketAddrV4, Known>,
    questions: Vec<Question>,
    next_round: Option<Time>,
    /// The interval that the last round began, between `interval` and `longest_interval`.
    pace: Duration,
    /// Intervals that have begun since a dead one was to be asked.
    without_dead: Duration,
    left: bool,
    /// Who came to life or died since this was last taken.
    changes: Vec<(SocketAddrV4, Life)>,
    outputs: Vec<(SocketAddrV4, Datagram)>,
    interval: Duration,
    longest_interval: Duration,
    patience: Duration,
    tries: usize,
    told_at_once: usize,
    limit: usize,
}

impl Membership {
    /// Takes `peers` for alive.
    pub fn new(
        own: SocketAddrV4,
        peers: impl IntoIterator<Item = SocketAddrV4>,
        parameters: &Parameters,
    ) -> Self {
        let limit = parameters.directory_members.get();
        let interval = parameters.gossip_interval.duration();
        let known = |address| (address, Known { incarnation: 0, life: Life::Alive, told: TELLINGS });
        Self {
            own,
            incarnation: 0,
            known: peers.into_iter().filter(|peer| *peer != own).take(limit).map(known).collect(),
            questions: Vec::new(),
            next_round: None,
            pace: interval,
            without_dead: Duration::ZERO,
            left: false,
            changes: Vec::new(),
            outputs: Vec::new(),
            interval,
            longest_interval: parameters.gossip_longest_interval.duration().max(interval),
            patience: parameters.directory_retransmit_interval.duration(),
            tries: parameters.directory_tries.get(),
            told_at_once: parameters.gossip_members.get(),
            limit,
        }
    }

    /// True for this super node and those that live.
    pub fn is_alive(&self, node: SocketAddrV4) -> bool {
        node == self.own || self.known.get(&node).is_some_and(|known| known.life == Life::Alive)
    }

    /// True for a super node that did not answer, or of which that was told.
    pub fn is_dead(&self, node: SocketAddrV4) -> bool {
        self.known.get(&node).is_some_and(|known| known.life == Life::Dead)
    }

    /// True for a super node that was met, dead or alive.
    pub fn is_known(&self, node: SocketAddrV4) -> bool {
        self.known.contains_key(&node)
    }

    /// The others that live.
    pub fn alive(&self) -> impl Iterator<Item = SocketAddrV4> + '_ {
        self.known.iter().filter(|(_, known)| known.life == Life::Alive).map(|(&address, _)| address)
    }

    /// How many others live, and how many are known to be dead.
    pub fn count(&self) -> (usize, usize) {
        let alive = self.alive().count();
        (alive, self.known.len() - alive)
    }

    /// Who came to life or died since the last call.
    pub fn take_changes(&mut self) -> Vec<(SocketAddrV4, Life)> {
        std::mem::take(&mut self.changes)
    }

    /// What is to be sent.
    pub fn take_outputs(&mut self) -> Vec<(SocketAddrV4, Datagram)> {
        std::mem::take(&mut self.outputs)
    }

    /// Rule 6.
    pub fn leave(&mut self, random: &mut ChaCha20Rng) {
        self.left = true;
        self.questions.clear();
        let mut nodes: Vec<_> = self.alive().collect();
        let death = Member { address: self.own, incarnation: self.incarnation, life: Life::Dead };
        for _ in 0..nodes.len().min(TOLD_OF_LEAVING) {
            let to = nodes.swap_remove(below(random, nodes.len()));
            let (transaction, members) = (random.next_u32(), List::new([death]));
            let incarnation = self.incarnation;
            self.outputs.push((to, Datagram::Gossip { transaction, incarnation, members }));
        }
    }

    /// Asks who is due to be asked, and gives up who did not answer.
    pub fn advance(&mut self, now: Time, random: &mut ChaCha20Rng) {
        if self.left {
            return;
        }
        self.repeat(now, random);
        // The first round is at a random moment, so that not all super nodes ask at once.
        let interval = self.interval;
        let at = *self.next_round.get_or_insert_with(|| {
            now + interval.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX))
        });
        if now >= at {
            self.pace =
                if self.has_news() { self.interval } else { (self.pace * 2).min(self.longest_interval) };
            self.next_round = Some(now + self.pace);
            self.ask_one(now, Life::Alive, random);
            self.without_dead += self.pace;
            if self.without_dead >= self.interval * DEAD_INTERVALS {
                self.without_dead = Duration::ZERO;
                self.ask_one(now, Life::Dead, random);
            }
        }
    }

    /// True if a change was not told [`TELLINGS`] times yet, and there is somebody to tell it to.
    fn has_news(&self) -> bool {
        let has_other = |node| self.alive().any(|other| other != node);
        self.known.iter().any(|(&node, known)| known.told < TELLINGS && has_other(node))
    }

    /// Somebody came to life or died: that is told at the shortest interval from now on.
    fn change(&mut self, now: Time, node: SocketAddrV4, life: Life) {
        self.changes.push((node, life));
        self.next_round = self.next_round.map(|at| at.min(now + self.interval));
    }

    /// Asks one of those that live, or of the dead, if there is one.
    fn ask_one(&mut self, now: Time, life: Life, random: &mut ChaCha20Rng) {
        let of_it = |(&node, known): (&SocketAddrV4, &Known)| (known.life == life).then_some(node);
        let nodes: Vec<_> = self.known.iter().filter_map(of_it).collect();
        if !nodes.is_empty() {
            self.ask(now, nodes[below(random, nodes.len())], random);
        }
    }

    fn ask(&mut self, now: Time, to: SocketAddrV4, random: &mut ChaCha20Rng) {
        if self.questions.len() < MOST_QUESTIONS && !self.questions.iter().any(|question| question.to == to) {
            let transaction = random.next_u32();
            self.questions.push(Question { to, transaction, tries: 1, due: now + self.patience });
            self.send_gossip(to, transaction, random);
        }
    }

    fn send_gossip(&mut self, to: SocketAddrV4, transaction: u32, random: &mut ChaCha20Rng) {
        let members = self.news_for(to, random);
        let incarnation = self.incarnation;
        self.outputs.push((to, Datagram::Gossip { transaction, incarnation, members }));
    }

    fn repeat(&mut self, now: Time, random: &mut ChaCha20Rng) {
        let mut silent = Vec::new();
        let mut again = Vec::new();
        for question in self.questions.iter_mut().filter(|question| now >= question.due) {
            if question.tries >= self.tries {
                silent.push(question.to);
            } else {
                question.tries += 1;
                question.due = now + self.patience;
                again.push((question.to, question.transaction));
            }
        }
        self.questions.retain(|question| !silent.contains(&question.to));
        for (to, transaction) in again {
            self.send_gossip(to, transaction, random);
        }
        for node in silent {
            if let Some(known) = self.known.get_mut(&node)
                && known.life == Life::Alive
            {
                (known.life, known.told) = (Life::Dead, 0);
                self.change(now, node, Life::Dead);
            }
        }
    }

    /// Takes a question; the answer is among the outputs.
    pub fn asked(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        transaction: u32,
        incarnation: u32,
        members: &[Member],
        random: &mut ChaCha20Rng,
    ) {
        if self.left {
            return;
        }
        self.hear(now, from, incarnation, members, random);
        let members = self.news_for(from, random);
        let incarnation = self.incarnation;
        self.outputs.push((from, Datagram::GossipAnswer { transaction, incarnation, members }));
    }

    /// Takes an answer; ignored if nothing was asked.
    pub fn answered(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        transaction: u32,
        incarnation: u32,
        members: &[Member],
        random: &mut ChaCha20Rng,
    ) {
        let place = self
            .questions
            .iter()
            .position(|question| question.to == from && question.transaction == transaction);
        let Some(place) = place else { return };
        self.questions.swap_remove(place);
        if !self.known.contains_key(&from) {
            self.enter(now, from, incarnation);
        }
        self.hear(now, from, incarnation, members, random);
    }

    /// A new one answered.
    fn enter(&mut self, now: Time, node: SocketAddrV4, incarnation: u32) {
        if self.known.len() >= self.limit {
            let dead = self.known.iter().find(|(_, known)| known.life == Life::Dead).map(|(&node, _)| node);
            let Some(dead) = dead else { return };
            self.known.remove(&dead);
        }
        self.known.insert(node, Known { incarnation, life: Life::Alive, told: 0 });
        self.change(now, node, Life::Alive);
    }

    /// Takes what `from` says of itself and of others. Only who is known is believed of others.
    fn hear(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        incarnation: u32,
        members: &[Member],
        random: &mut ChaCha20Rng,
    ) {
        self.learn(now, Member { address: from, incarnation, life: Life::Alive }, random);
        if !self.known.contains_key(&from) {
            return;
        }
        let mut slandered = false;
        for &member in members {
            if member.address != self.own {
                self.learn(now, member, random);
            } else if member.life == Life::Dead && member.incarnation >= self.incarnation {
                self.incarnation = member.incarnation.saturating_add(1);
                slandered = true;
            }
        }
        if slandered {
            self.ask(now, from, random);
        }
    }

    fn learn(&mut self, now: Time, member: Member, random: &mut ChaCha20Rng) {
        match self.known.get_mut(&member.address) {
            Some(known) if (member.incarnation, member.life) > (known.incarnation, known.life) => {
                let changed = member.life != known.life;
                *known = Known { incarnation: member.incarnation, life: member.life, told: 0 };
                if changed {
                    self.change(now, member.address, member.life);
                }
            }
            None if member.life == Life::Alive => self.ask(now, member.address, random),
            _ => {}
        }
    }

    /// What to tell `to`: its own death first, then the latest changes, then others at random.
    fn news_for(&mut self, to: SocketAddrV4, random: &mut ChaCha20Rng) -> List<Member, MOST_MEMBERS> {
        let mut order: Vec<_> = self
            .known
            .iter()
            .filter(|&(&node, known)| node != to || known.life == Life::Dead)
            .map(|(&node, known)| (node != to, known.told.min(TELLINGS), random.next_u32(), node))
            .collect();
        order.sort_unstable();
        order.truncate(self.told_at_once.min(MOST_MEMBERS));
        let mut members = Vec::new();
        for (.., address) in order {
            if let Some(known) = self.known.get_mut(&address) {
                known.told = known.told.saturating_add(1);
                members.push(Member { address, incarnation: known.incarnation, life: known.life });
            }
        }
        List::new(members)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        if self.left {
            return None;
        }
        // Nobody else begins.
        let round = self.next_round.unwrap_or(Time::ZERO);
        self.questions.iter().map(|question| question.due).chain([round]).min()
    }
}
