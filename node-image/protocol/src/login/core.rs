//! What all steps of a login share: the moment, the parameters, randomness, and the way out.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::event::ClientEvent;
use crate::machine::{ConnectionId, Output, Time, UdpSocket};
use crate::parameters::Parameters;
use crate::wire::datagram::Datagram;

/// Shared by the steps.
#[derive(Debug)]
pub(crate) struct Core {
    /// The moment of the input that is being handled.
    pub now: Time,
    pub parameters: Parameters,
    pub random: ChaCha20Rng,
    /// Every address that was ever sent a datagram: through a NAT or firewall these may answer.
    pub contacted: BTreeSet<Ipv4Addr>,
    outputs: VecDeque<Output<ClientEvent>>,
    next_connection: u64,
}

impl Core {
    pub fn new(parameters: Parameters, seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            parameters,
            random: ChaCha20Rng::seed_from_u64(seed),
            contacted: BTreeSet::new(),
            outputs: VecDeque::new(),
            next_connection: 0,
        }
    }

    pub fn poll_output(&mut self) -> Option<Output<ClientEvent>> {
        self.outputs.pop_front()
    }

    pub fn event(&mut self, event: impl Into<ClientEvent>) {
        self.outputs.push_back(Output::Event(event.into()));
    }

    pub fn datagram(&mut self, to: SocketAddrV4, message: &Datagram) {
        self.contacted.insert(*to.ip());
        let data = message.to_payload(&mut self.random);
        self.outputs.push_back(Output::Datagram { socket: UdpSocket::Main, to, data });
    }

    /// Sends a media packet, which is sealed already.
    pub fn media(&mut self, to: SocketAddrV4, data: Vec<u8>) {
        self.outputs.push_back(Output::Datagram { socket: UdpSocket::Main, to, data });
    }

    /// Opens a connection under an even number of its own.
    pub fn connect(&mut self, to: SocketAddrV4) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 2;
        self.outputs.push_back(Output::Connect { connection, to });
        connection
    }

    pub fn send(&mut self, connection: ConnectionId, data: Vec<u8>) {
        self.outputs.push_back(Output::Send { connection, data });
    }

    pub fn close(&mut self, connection: ConnectionId) {
        self.outputs.push_back(Output::Close { connection });
    }

    /// When what is asked now counts as unanswered.
    pub fn answer_due(&self) -> Time {
        self.now + self.parameters.answer_timeout.duration()
    }

    pub fn transaction(&mut self) -> u32 {
        self.random.next_u32()
    }
}

/// Brings `things` into a random order.
pub(super) fn shuffle<T>(random: &mut impl RngCore, things: &mut [T]) {
    for last in (1..things.len()).rev() {
        things.swap(last, below(random, last + 1));
    }
}

/// A random number from 0 to `bound` - 1; `bound` must not be 0.
pub(crate) fn below(random: &mut impl RngCore, bound: usize) -> usize {
    let scaled = (u64::from(random.next_u32()) * bound as u64) >> 32;
    usize::try_from(scaled).expect("less than `bound`")
}
