//! The callee's side of the handshake: who is let in.

use super::agent::{Calls, Own, Pending, turned_away};
use super::channel::Channel;
use super::current::Call;
use super::event::{CallEnd, CallEvent};
use super::handshake::{self, Fault};
use super::keys::{CallKeys, Half, Side};
use super::media::Plan;
use super::path;
use crate::login::Core;
use crate::user::UserName;
use crate::wire::call::{Rejection, Signal};

impl Calls {
    /// Somebody who knocked says who it is.
    pub fn knocked(&mut self, core: &mut Core, own: &Own<'_>, place: usize, signal: Signal) {
        let Pending { mut channel, nonce, .. } = self.pending.swap_remove(place);
        let Signal::Invite { certificate, .. } = &signal else {
            self.for_link.extend(channel.close(core));
            return;
        };
        let claimed = certificate.user.clone();
        let invite = handshake::frame(&signal);
        let said = match handshake::check_invite(core, own, &nonce, signal) {
            Ok(said) => said,
            Err(fault) => {
                let reason = match fault {
                    Fault::AnotherUser => Rejection::AnotherUser,
                    Fault::NotAuthentic => Rejection::NotAuthentic,
                };
                turned_away(core, &claimed, CallEnd::NotAuthentic);
                self.reject(core, channel, reason);
                return;
            }
        };
        let glare = match self.clash(own, &claimed) {
            Ok(glare) => glare,
            Err(reason) => {
                if reason == Rejection::Busy {
                    turned_away(core, &claimed, CallEnd::Busy);
                }
                self.reject(core, channel, reason);
                return;
            }
        };
        if glare {
            core.event(CallEvent::Glare { user: claimed.to_string() });
            if let Some(own_call) = self.current.take() {
                self.for_link.extend(own_call.close(core));
            }
        }
        let half = Half::generate(&mut core.random);
        let relays = path::relay_order((said.presence.nat, &said.relays), (own.presence.nat, &own.relays));
        let answer = handshake::ringing(core, own, &said.certificate, &invite, &relays, &half);
        let keys = CallKeys::agree(&said.half, &half, &invite, &handshake::frame(&answer));
        self.for_link.extend(channel.send(core, &answer));
        let straight = path::straight_to(own.presence.nat, &said.presence);
        let mut call = Call::incoming(core, claimed, channel);
        let (here, there) = (own.presence.nat, said.presence.nat);
        let plan = Plan { own: here, peer: there, straight, relays, port: own.port };
        let agreed = call.agree(core, keys, plan);
        core.event(CallEvent::Incoming { user: call.peer.to_string() });
        self.current = Some(Box::new(call));
        if !agreed {
            self.end(core, CallEnd::NoMediaPath);
        } else if glare {
            self.answer(core);
        }
    }

    /// Whether a caller meets a call of this client's own: `true` if that one yields (rule 6).
    pub fn clash(&self, own: &Own<'_>, caller: &UserName) -> Result<bool, Rejection> {
        match &self.current {
            None => Ok(false),
            Some(call) if call.side == Side::Caller && call.answered.is_none() && call.peer == *caller => {
                if own.user < caller {
                    Err(Rejection::Glare)
                } else {
                    Ok(true)
                }
            }
            Some(_) => Err(Rejection::Busy),
        }
    }

    pub fn reject(&mut self, core: &mut Core, mut channel: Channel, reason: Rejection) {
        self.for_link.extend(channel.send(core, &Signal::Rejected { reason }));
        self.for_link.extend(channel.close(core));
    }
}
