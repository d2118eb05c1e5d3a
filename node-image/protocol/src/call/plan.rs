//! The paths that media can take, by generation.

use std::net::SocketAddrV4;

use crate::event::NatVerdict;

/// What the ends agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The own NAT type.
    pub own: NatVerdict,
    /// The peer's NAT type.
    pub peer: NatVerdict,
    /// The peer's address, if media can go straight.
    pub straight: Option<SocketAddrV4>,
    /// Relays, in order.
    pub relays: Vec<SocketAddrV4>,
    /// The port that this end reached its own super node at, if it is not that node's own: it is tried first.
    pub port: Option<u16>,
}

/// Where media of one generation go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Straight(SocketAddrV4),
    Relay(SocketAddrV4),
}

impl Plan {
    pub fn first_generation(&self) -> u32 {
        u32::from(self.straight.is_none())
    }

    pub fn target(&self, generation: u32) -> Option<Target> {
        let relay = usize::try_from(generation).ok()?.checked_sub(1);
        match (self.straight, relay) {
            (Some(peer), None) => Some(Target::Straight(peer)),
            (Some(peer), _) if self.relays.is_empty() => Some(Target::Straight(peer)),
            (_, Some(place)) if !self.relays.is_empty() => {
                Some(Target::Relay(self.relays[place % self.relays.len()]))
            }
            _ => None,
        }
    }
}
