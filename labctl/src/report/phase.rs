//! Which part of a login a message belongs to. Pure.

use overlay_control::LoginEvent;

use super::ladder::Ladder;
use crate::experiment::record::EventRecord;
use crate::meter::Transport;

/// A part of a login. Each ends with what the client said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Until the first TCP attempt: super nodes are looked for by UDP.
    Finding,
    /// Until the last super node was connected before the login server answered.
    Connecting,
    /// Until the client was logged in.
    Authenticating,
    /// From then on: presence is advertised.
    Advertising,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Finding, Self::Connecting, Self::Authenticating, Self::Advertising];

    /// In words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Finding => "finding super nodes",
            Self::Connecting => "connecting to super nodes",
            Self::Authenticating => "authenticating",
            Self::Advertising => "advertising",
        }
    }
}

/// When the phases of one login ended, in seconds from the login command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phases {
    ends: [f64; 3],
}

impl Phases {
    /// By what the client said, by labctl's clock. `None` if it did not come to be logged in.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a EventRecord>) -> Option<Self> {
        let (mut attempt, mut super_node, mut authenticated) = (None, None, false);
        for event in events {
            let at = event.received_s;
            match event.line.event {
                LoginEvent::TcpAttempt { .. } if attempt.is_none() => attempt = Some(at),
                LoginEvent::SuperNode { .. } if !authenticated => super_node = Some(at),
                LoginEvent::Authenticated { .. } => authenticated = true,
                LoginEvent::LoggedIn => {
                    let first = attempt.unwrap_or(0.0);
                    return Some(Self { ends: [first, super_node.unwrap_or(first), at] });
                }
                _ => {}
            }
        }
        None
    }

    /// The phase of a moment, in seconds from the login command.
    #[must_use]
    pub fn at(&self, after_s: f64) -> Phase {
        let over = self.ends.iter().filter(|&&end| after_s > end).count();
        Phase::ALL[over]
    }
}

/// Payload of one login by phase, in bytes, both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseBytes {
    /// UDP, in the order of [`Phase::ALL`].
    pub udp: [u64; 4],
    /// TCP likewise.
    pub tcp: [u64; 4],
}

impl PhaseBytes {
    /// Of a login's messages. All of them are in it once.
    #[must_use]
    pub fn of(ladder: &Ladder, phases: &Phases) -> Self {
        let mut bytes = Self::default();
        for message in &ladder.messages {
            let row = match message.transport {
                Transport::Udp => &mut bytes.udp,
                Transport::Tcp => &mut bytes.tcp,
            };
            row[phases.at(message.after_s) as usize] += message.payload_bytes;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use overlay_control::EventLine;

    use super::*;
    use crate::experiment::record::Kind;
    use crate::meter::Direction;
    use crate::report::Message;

    fn event(received_s: f64, event: LoginEvent) -> EventRecord {
        let client = "alice".parse().unwrap();
        let line = EventLine { at_ms: received_s * 1000.0, event };
        EventRecord { kind: Kind::FirstTime, trial: 1, client, received_s, line }
    }

    fn login() -> Vec<EventRecord> {
        let node = "198.18.0.7:80".parse().unwrap();
        vec![
            event(0.1, LoginEvent::UdpProbe { to: node }),
            event(1.0, LoginEvent::TcpAttempt { to: node }),
            event(1.5, LoginEvent::TcpAttempt { to: node }),
            event(2.0, LoginEvent::SuperNode { address: node }),
            event(2.4, LoginEvent::Authenticated { server: node }),
            event(2.5, LoginEvent::SuperNode { address: node }),
            event(3.0, LoginEvent::LoggedIn),
        ]
    }

    #[test]
    fn every_message_is_in_one_phase() {
        let phases = Phases::of(&login()).unwrap();
        let at = |after_s, transport, payload_bytes| Message {
            after_s,
            direction: Direction::Sent,
            transport,
            remote: "198.18.0.7:80".parse().unwrap(),
            payload_bytes,
            opens: false,
            packets: 1,
            until_s: after_s,
        };
        let messages = vec![
            at(0.2, Transport::Udp, 1),
            at(1.1, Transport::Tcp, 2),
            at(1.2, Transport::Udp, 4),
            at(2.2, Transport::Tcp, 8),
            at(9.0, Transport::Udp, 16),
        ];
        let ladder = Ladder { messages };
        let bytes = PhaseBytes::of(&ladder, &phases);
        assert_eq!(bytes, PhaseBytes { udp: [1, 4, 0, 16], tcp: [0, 2, 8, 0] });
        assert_eq!(bytes.udp.iter().chain(&bytes.tcp).sum::<u64>(), ladder.total_bytes());
    }

    #[test]
    fn a_login_that_did_not_end_has_no_phases() {
        assert_eq!(Phases::of(&login()[..6]), None);
    }
}
