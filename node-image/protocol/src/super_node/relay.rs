//! Media of calls that go through this node: packets from one end to the other, by UDP or TCP as each end needs.
//!
//! An end takes its place with a ticket; the two that have the same one are a call. By UDP the node first makes
//! sure that the end is where its datagrams come from (a cookie), so that nobody can have media sent to
//! somebody else. It takes `relay_calls` calls at a time, and [`MOST_A_SECOND`] packets of each end: a node with a public
//! address does this for others, and must not suffer for it.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use hmac::{Hmac, Mac};
use rand_core::RngCore;
use sha2::Sha256;

use super::SuperNode;
use crate::event::ServerEvent;
use crate::machine::{ConnectionId, Output, Time, UdpSocket};
use crate::wire::Bytes;
use crate::wire::call::{MediaPacket, Ticket};
use crate::wire::datagram::Datagram;
use crate::wire::super_node::FromSuperNode;

/// Packets of one end that are passed on in a second: thrice what voice has.
pub const MOST_A_SECOND: u32 = 200;

/// One end's way to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leg {
    Udp(SocketAddrV4, [u8; 4]),
    Tcp(ConnectionId),
}

#[derive(Debug)]
struct End {
    leg: Leg,
    last: Time,
    second: Time,
    in_second: u32,
}

/// One call.
#[derive(Debug, Default)]
struct Place {
    ends: Vec<End>,
    packets: u64,
    bytes: u64,
}

/// All calls that this node relays for.
#[derive(Debug)]
pub(super) struct Relays {
    secret: [u8; 32],
    places: BTreeMap<Ticket, Place>,
    by_leg: BTreeMap<Leg, Ticket>,
    sweep_at: Option<Time>,
}

impl Relays {
    pub fn new(random: &mut impl RngCore) -> Self {
        let mut secret = [0; 32];
        random.fill_bytes(&mut secret);
        Self { secret, places: BTreeMap::new(), by_leg: BTreeMap::new(), sweep_at: None }
    }

    /// Calls that have a place.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.sweep_at
    }

    fn cookie(&self, from: SocketAddrV4) -> [u8; 8] {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.secret).expect("HMAC takes any key");
        let mac = mac.chain_update(from.ip().octets()).chain_update(from.port().to_be_bytes());
        mac.finalize().into_bytes()[..8].try_into().expect("8 bytes")
    }

    /// Gives an end its place, or keeps it; `false` if there is none.
    fn join(&mut self, now: Time, ticket: Ticket, leg: Leg, most: usize, idle: Duration) -> bool {
        if self.by_leg.get(&leg).is_some_and(|earlier| *earlier != ticket) {
            self.leave(leg);
        }
        if !self.places.contains_key(&ticket) && self.places.len() >= most {
            return false;
        }
        let place = self.places.entry(ticket).or_default();
        if let Some(end) = place.ends.iter_mut().find(|end| end.leg == leg) {
            end.last = now;
            return true;
        }
        if place.ends.len() >= 2 {
            return false;
        }
        place.ends.push(End { leg, last: now, second: now, in_second: 0 });
        self.by_leg.insert(leg, ticket);
        self.sweep_at.get_or_insert(now + idle);
        true
    }

    /// Where a packet of this leg goes; `None` if nowhere.
    fn pass(&mut self, now: Time, leg: Leg, bytes: usize) -> Option<Leg> {
        let place = self.places.get_mut(self.by_leg.get(&leg)?)?;
        let end = place.ends.iter_mut().find(|end| end.leg == leg)?;
        end.last = now;
        if now - end.second >= Duration::from_secs(1) {
            (end.second, end.in_second) = (now, 0);
        }
        end.in_second += 1;
        if end.in_second > MOST_A_SECOND {
            return None;
        }
        let other = place.ends.iter().find(|end| end.leg != leg)?.leg;
        place.packets += 1;
        place.bytes += bytes as u64;
        Some(other)
    }

    /// An end is gone. Yields what was passed on, when it was the last.
    fn leave(&mut self, leg: Leg) -> Option<ServerEvent> {
        let ticket = self.by_leg.remove(&leg)?;
        let place = self.places.get_mut(&ticket)?;
        place.ends.retain(|end| end.leg != leg);
        if !place.ends.is_empty() {
            return None;
        }
        let Place { packets, bytes, .. } = self.places.remove(&ticket)?;
        Some(ServerEvent::Relayed { packets, bytes })
    }
}

impl SuperNode {
    /// An end asks for its place by UDP.
    pub(super) fn join_relay_by_udp(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        transaction: u32,
        ticket: Ticket,
        cookie: [u8; 8],
    ) {
        let expected = self.relays.cookie(from);
        let answer = if cookie != expected {
            Datagram::RelayCookie { transaction, cookie: expected }
        } else if self.join_relay(now, ticket, Leg::Udp(from, [ticket[0], ticket[1], ticket[2], ticket[3]])) {
            Datagram::RelayJoined { transaction }
        } else {
            Datagram::RelayFull { transaction }
        };
        self.send(UdpSocket::Main, from, &answer);
    }

    /// An end asks for its place by TCP.
    pub(super) fn join_relay_by_tcp(&mut self, now: Time, connection: ConnectionId, ticket: Ticket) {
        let joined = self.join_relay(now, ticket, Leg::Tcp(connection));
        let answer = if joined { FromSuperNode::RelayJoined {} } else { FromSuperNode::RelayFull {} };
        self.push(connection, &answer);
    }

    fn join_relay(&mut self, now: Time, ticket: Ticket, leg: Leg) -> bool {
        let most = self.config.parameters.relay_calls.get();
        let idle = self.config.parameters.relay_idle_timeout.duration();
        self.relays.join(now, ticket, leg, most, idle)
    }

    /// Passes on a datagram that is a media packet of a call here; `false` if it is not.
    pub(super) fn relay_datagram(&mut self, now: Time, from: SocketAddrV4, data: &[u8]) -> bool {
        let Some(packet) = MediaPacket::parse(data) else {
            return false;
        };
        let leg = Leg::Udp(from, packet.token);
        if !self.relays.by_leg.contains_key(&leg) {
            return false;
        }
        self.relay(now, leg, data);
        true
    }

    /// Passes on a media packet that came by TCP.
    pub(super) fn relay_stream(&mut self, now: Time, connection: ConnectionId, packet: &[u8]) {
        self.relay(now, Leg::Tcp(connection), packet);
    }

    fn relay(&mut self, now: Time, leg: Leg, packet: &[u8]) {
        match self.relays.pass(now, leg, packet.len()) {
            None => {}
            Some(Leg::Udp(to, _)) => {
                let data = packet.to_vec();
                self.outputs.push_back(Output::Datagram { socket: UdpSocket::Main, to, data });
            }
            Some(Leg::Tcp(connection)) => {
                if let Ok(packet) = Bytes::new(packet.to_vec()) {
                    self.push(connection, &FromSuperNode::RelayedMedia { packet });
                }
            }
        }
    }

    /// A connection is gone, and the place that it had.
    pub(super) fn forget_relay(&mut self, connection: ConnectionId) {
        let over = self.relays.leave(Leg::Tcp(connection));
        self.outputs.extend(over.map(Output::Event));
    }

    /// Takes the places of ends that nothing came from.
    pub(super) fn sweep_relays(&mut self, now: Time) {
        if self.relays.sweep_at.is_none_or(|at| now < at) {
            return;
        }
        let idle = self.config.parameters.relay_idle_timeout.duration();
        let ends = self.relays.places.values().flat_map(|place| &place.ends);
        let silent: Vec<_> = ends.filter(|end| now >= end.last + idle).map(|end| end.leg).collect();
        for leg in silent {
            let over = self.relays.leave(leg);
            self.outputs.extend(over.map(Output::Event));
        }
        self.relays.sweep_at = (!self.relays.places.is_empty()).then(|| now + idle);
    }
}
