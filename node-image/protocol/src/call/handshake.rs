//! Invitation and answer: making and checking them.

use std::net::SocketAddrV4;

use super::agent::Own;
use super::keys::Half;
use crate::certificate::{Certificate, Signature};
use crate::login::Core;
use crate::user::UserName;
use crate::wire::call::{RelayList, Share, Signal};
use crate::wire::login_server::Nonce;
use crate::wire::super_node::Presence;
use crate::wire::{List, Message, Wire};

/// The fields that an invitation's signature is over.
fn invite_text(
    nonce: &Nonce,
    callee: &UserName,
    presence: &Presence,
    relays: &RelayList,
    share: &Share,
) -> Vec<u8> {
    let mut text = b"invite".to_vec();
    nonce.put(&mut text);
    callee.put(&mut text);
    presence.put(&mut text);
    relays.put(&mut text);
    share.put(&mut text);
    text
}

/// The fields that an answer's signature is over; the invitation as its frame.
fn ringing_text(invite: &[u8], presence: &Presence, relays: &RelayList, share: &Share) -> Vec<u8> {
    let mut text = b"ringing".to_vec();
    text.extend_from_slice(invite);
    presence.put(&mut text);
    relays.put(&mut text);
    share.put(&mut text);
    text
}

fn share_for(core: &mut Core, certificate: &Certificate, half: &Half) -> Share {
    let block = certificate.public_key.encrypt(&mut core.random, half.as_bytes());
    Share::new(block.expect("half a key fits into a block")).expect("a block is as long as the modulus")
}

fn sign(core: &mut Core, own: &Own<'_>, text: &[u8]) -> Signature {
    Signature::new(own.keys.sign(&mut core.random, text)).expect("a signature is as long as the modulus")
}

/// The caller's invitation.
pub(super) fn invite(
    core: &mut Core,
    own: &Own<'_>,
    callee: &Certificate,
    nonce: &Nonce,
    half: &Half,
) -> Signal {
    let share = share_for(core, callee, half);
    let relays = List::new(own.relays.iter().copied());
    let text = invite_text(nonce, &callee.user, &own.presence, &relays, &share);
    let signature = sign(core, own, &text);
    Signal::Invite {
        callee: callee.user.clone(),
        certificate: own.certificate.clone(),
        presence: own.presence.clone(),
        relays,
        share,
        signature,
    }
}

/// What an answer says.
pub(super) struct Said {
    pub certificate: Certificate,
    pub presence: Presence,
    pub relays: Vec<SocketAddrV4>,
    pub half: Half,
}

/// Why an invitation or answer does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    AnotherUser,
    NotAuthentic,
}

/// Checks an invitation that came after `nonce`.
pub(super) fn check_invite(
    core: &mut Core,
    own: &Own<'_>,
    nonce: &Nonce,
    signal: Signal,
) -> Result<Said, Fault> {
    let Signal::Invite { callee, certificate, presence, relays, share, signature } = signal else {
        return Err(Fault::NotAuthentic);
    };
    let text = invite_text(nonce, &callee, &presence, &relays, &share);
    let known = own.login_servers.iter().map(|(_, key)| key);
    if certificate.verify(known).is_err() || !certificate.public_key.verify(&text, signature.as_slice()) {
        return Err(Fault::NotAuthentic);
    }
    if callee != *own.user {
        return Err(Fault::AnotherUser);
    }
    open(core, own, certificate, presence, relays, &share)
}

/// The callee's answer to the invitation `invite` (its frame).
pub(super) fn ringing(
    core: &mut Core,
    own: &Own<'_>,
    caller: &Certificate,
    invite: &[u8],
    relays: &[SocketAddrV4],
    half: &Half,
) -> Signal {
    let share = share_for(core, caller, half);
    let relays = List::new(relays.iter().copied());
    let text = ringing_text(invite, &own.presence, &relays, &share);
    let signature = sign(core, own, &text);
    Signal::Ringing {
        certificate: own.certificate.clone(),
        presence: own.presence.clone(),
        relays,
        share,
        signature,
    }
}

/// Checks an answer to the invitation `invite` that was meant for `callee`.
pub(super) fn check_ringing(
    core: &mut Core,
    own: &Own<'_>,
    callee: &Certificate,
    invite: &[u8],
    signal: Signal,
) -> Result<Said, Fault> {
    let Signal::Ringing { certificate, presence, relays, share, signature } = signal else {
        return Err(Fault::NotAuthentic);
    };
    let text = ringing_text(invite, &presence, &relays, &share);
    let known = own.login_servers.iter().map(|(_, key)| key);
    if certificate.user != callee.user
        || certificate.public_key != callee.public_key
        || certificate.verify(known).is_err()
        || !certificate.public_key.verify(&text, signature.as_slice())
    {
        return Err(Fault::NotAuthentic);
    }
    open(core, own, certificate, presence, relays, &share)
}

fn open(
    core: &mut Core,
    own: &Own<'_>,
    certificate: Certificate,
    presence: Presence,
    relays: RelayList,
    share: &Share,
) -> Result<Said, Fault> {
    let half = own.keys.decrypt(&mut core.random, share.as_slice());
    let half = half.and_then(|half| Half::from_slice(&half)).ok_or(Fault::NotAuthentic)?;
    Ok(Said { certificate, presence, relays: relays.into_vec(), half })
}

/// The frame that both ends hash and sign.
pub(super) fn frame(signal: &Signal) -> Vec<u8> {
    signal.to_frame()
}
