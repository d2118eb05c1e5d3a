//! The caller's side of the handshake, and what is said under the key.

use super::agent::{Calls, Own};
use super::channel::Dialled;
use super::current::{Agreed, Stage};
use super::event::{CallEnd, CallEvent};
use super::handshake;
use super::keys::{CallKeys, Half, Side};
use super::media::Plan;
use super::path;
use crate::login::Core;
use crate::wire::call::{Control, Rejection, Signal, whole};

impl Calls {
    pub fn dialled(&mut self, core: &mut Core, dialled: Dialled) {
        let Some(call) = &mut self.current else {
            return;
        };
        match dialled {
            Dialled::Pending => {}
            Dialled::Failed => self.end(core, CallEnd::Unreachable),
            Dialled::Open(channel, through) => {
                core.event(CallEvent::Reached { through });
                call.channel = Some(*channel);
                call.stage = Stage::Reached;
            }
        }
    }

    /// Takes the signals that have come on a connection of the call's own.
    pub fn signals(&mut self, core: &mut Core, own: &Own<'_>) {
        while let Some(channel) = self.current.as_mut().and_then(|call| call.channel.as_mut()) {
            match channel.next_signal() {
                Ok(None) => return,
                Ok(Some(signal)) => self.signal(core, own, signal),
                // A super node that closes a channel says so by what is no signal.
                Err(_) => {
                    self.for_link.extend(channel.close(core));
                    self.channel_lost(core);
                    return;
                }
            }
        }
    }

    pub fn signal(&mut self, core: &mut Core, own: &Own<'_>, signal: Signal) {
        let Some(call) = &mut self.current else {
            return;
        };
        match (&mut call.stage, signal) {
            (Stage::Reached, Signal::Greeting { nonce }) => {
                let Some(callee) = &call.callee else {
                    return;
                };
                let half = Half::generate(&mut core.random);
                let invite = handshake::invite(core, own, &callee.certificate, &nonce, &half);
                call.stage = Stage::Invited { frame: handshake::frame(&invite), half };
                if let Some(channel) = &mut call.channel {
                    self.for_link.extend(channel.send(core, &invite));
                }
            }
            (Stage::Invited { .. }, Signal::Rejected { reason }) => self.rejected(core, reason),
            (Stage::Invited { .. }, ringing @ Signal::Ringing { .. }) => self.rings(core, own, ringing),
            (_, Signal::Sealed { number, sealed }) => self.sealed(core, number, sealed.as_slice()),
            _ => self.end(core, CallEnd::Protocol),
        }
    }

    pub fn rejected(&mut self, core: &mut Core, reason: Rejection) {
        match reason {
            Rejection::Busy => self.end(core, CallEnd::Busy),
            Rejection::NotAuthentic => self.end(core, CallEnd::NotAuthentic),
            Rejection::AnotherUser => self.end(core, CallEnd::Unreachable),
            Rejection::Glare => {
                if let Some(call) = &mut self.current {
                    call.stage = Stage::Yielded;
                    call.deadline = Some(core.now + core.parameters.call_setup_timeout.duration());
                }
            }
        }
    }

    /// At the caller: the callee has answered the invitation.
    pub fn rings(&mut self, core: &mut Core, own: &Own<'_>, signal: Signal) {
        let Some(call) = &mut self.current else {
            return;
        };
        let (Some(callee), Stage::Invited { frame, half }) = (&call.callee, &call.stage) else {
            return;
        };
        let answer = handshake::frame(&signal);
        let Ok(said) = handshake::check_ringing(core, own, &callee.certificate, frame, signal) else {
            self.end(core, CallEnd::NotAuthentic);
            return;
        };
        let keys = CallKeys::agree(half, &said.half, frame, &answer);
        let plan = Plan {
            own: own.presence.nat,
            peer: said.presence.nat,
            straight: path::straight_to(own.presence.nat, &said.presence),
            relays: said.relays,
            port: own.port,
        };
        if call.agree(core, keys, plan) {
            core.event(CallEvent::Ringing { user: call.peer.to_string() });
        } else {
            self.end(core, CallEnd::NoMediaPath);
        }
    }

    pub fn sealed(&mut self, core: &mut Core, number: u32, sealed: &[u8]) {
        let Some(call) = &mut self.current else {
            return;
        };
        let Some(Agreed { keys, media }) = &mut call.agreed else {
            return;
        };
        // A number that was used: recorded, and sent again by somebody on the way.
        let text = if number < call.sealed_received {
            None
        } else {
            keys.open_control(call.side.other(), number, sealed)
        };
        let Some(control) = text.and_then(|text| whole::<Control>(&text).ok()) else {
            return;
        };
        call.sealed_received = number.saturating_add(1);
        match (&call.stage, call.side, control) {
            (Stage::Ringing, Side::Caller, Control::Answer {}) => call.activate(core),
            (Stage::Ringing, Side::Caller, Control::Refuse {}) => self.end(core, CallEnd::Refused),
            (Stage::Ringing, Side::Callee, Control::HangUp {}) => self.end(core, CallEnd::Cancelled),
            (Stage::Active, _, Control::HangUp {}) => self.end(core, CallEnd::PeerHungUp),
            (_, _, Control::Path { generation, ready }) => media.peer_moved(core, keys, generation, ready),
            _ => {}
        }
    }
}
