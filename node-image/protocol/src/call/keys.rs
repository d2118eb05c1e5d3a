//! The session key of a call, made of a half from each side, and what is sealed under it.
//!
//! Each side sends 32 random bytes, encrypted with the other's certified key. The session key is HMAC-SHA-256,
//! keyed with both halves, over the hashes of invitation and answer. So neither side alone chooses it, and it is
//! another one if anything of the handshake was changed on the way.
//!
//! From it follow, for each direction and for signalling and media apart, an AES-128 key and an HMAC-SHA-256
//! key; and for each media path a [`Ticket`]. AES counts from the packet's number, which is never used twice
//! under one key.

use std::fmt;

use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::wire::call::{MediaPacket, Ticket};

/// Bytes of a tag on signalling.
const CONTROL_TAG: usize = 16;

/// The two ends of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// One side's half of the session key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Half([u8; 32]);

impl Half {
    /// A new one.
    pub fn generate(random: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut half = [0; 32];
        random.fill_bytes(&mut half);
        Self(half)
    }

    /// The half that came in a block; `None` if it has another length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// To be encrypted for the other side.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Half(..)")
    }
}

/// AES and HMAC keys of one direction and purpose.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Pair {
    encrypt: [u8; 16],
    authenticate: [u8; 32],
}

impl Pair {
    fn cipher(&self, number: u32) -> Ctr128BE<Aes128> {
        let mut counter = [0; 16];
        // The low bytes count the blocks within a packet.
        counter[8..12].copy_from_slice(&number.to_be_bytes());
        Ctr128BE::new((&self.encrypt).into(), &counter.into())
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.authenticate).expect("HMAC takes any key");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// All keys of a call.
pub struct CallKeys {
    session: Zeroizing<[u8; 32]>,
    control: [Pair; 2],
    media: [Pair; 2],
}

impl CallKeys {
    /// What both sides come to, of the two halves and the frames of invitation and answer.
    ///
    /// # Panics
    ///
    /// Never: a derived key has 32 bytes.
    #[must_use]
    pub fn agree(callers: &Half, other: &Half, invite: &[u8], ringing: &[u8]) -> Self {
        let mut both = Zeroizing::new([0; 64]);
        both[..32].copy_from_slice(&callers.0);
        both[32..].copy_from_slice(&other.0);
        let transcript = [Sha256::digest(invite), Sha256::digest(ringing)].concat();
        let session = derive(&*both, &[b"call", &transcript]);
        let pair = |purpose: &[u8], side: &[u8]| {
            let encrypt = derive(&*session, &[b"encrypt", purpose, side]);
            Pair {
                encrypt: encrypt[..16].try_into().expect("16 bytes"),
                authenticate: *derive(&*session, &[b"authenticate", purpose, side]),
            }
        };
        let pairs = |purpose: &[u8]| [pair(purpose, b"caller"), pair(purpose, b"callee")];
        Self { control: pairs(b"control"), media: pairs(b"media"), session }
    }

    /// The ticket of a media path.
    ///
    /// # Panics
    ///
    /// Never: a derived key has 32 bytes.
    #[must_use]
    pub fn ticket(&self, generation: u32) -> Ticket {
        let bytes = derive(&*self.session, &[b"path", &generation.to_be_bytes()]);
        bytes[..16].try_into().expect("16 bytes")
    }

    /// Seals a signalling message; `number` once for each.
    #[must_use]
    pub fn seal_control(&self, from: Side, number: u32, text: &[u8]) -> Vec<u8> {
        let pair = &self.control[from as usize];
        let mut sealed = text.to_vec();
        pair.cipher(number).apply_keystream(&mut sealed);
        let tag = pair.tag(&[&number.to_be_bytes(), &sealed]);
        sealed.extend_from_slice(&tag[..CONTROL_TAG]);
        sealed
    }

    /// Opens a signalling message; `None` if the other side did not seal it.
    #[must_use]
    pub fn open_control(&self, from: Side, number: u32, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(CONTROL_TAG)?)?;
        let pair = &self.control[from as usize];
        let expected = pair.tag(&[&number.to_be_bytes(), text]);
        if !bool::from(expected[..CONTROL_TAG].ct_eq(tag)) {
            return None;
        }
        let mut text = Zeroizing::new(text.to_vec());
        pair.cipher(number).apply_keystream(&mut text);
        Some(text)
    }

    /// A media packet; `sequence` once for each.
    #[must_use]
    pub fn seal_media(&self, from: Side, ticket: &Ticket, sequence: u32, voice: &[u8]) -> Vec<u8> {
        let pair = &self.media[from as usize];
        let mut packet = Vec::with_capacity(MediaPacket::OVERHEAD + voice.len());
        packet.extend_from_slice(&ticket[..4]);
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(voice);
        pair.cipher(sequence).apply_keystream(&mut packet[8..]);
        let tag = pair.tag(&[&packet]);
        packet.extend_from_slice(&tag[..4]);
        packet
    }

    /// What is in a media packet; `None` if the other side did not seal it for this path.
    #[must_use]
    pub fn open_media(&self, from: Side, ticket: &Ticket, packet: &[u8]) -> Option<(u32, Vec<u8>)> {
        let parsed = MediaPacket::parse(packet)?;
        let pair = &self.media[from as usize];
        let (authentic, _) = packet.split_last_chunk::<4>()?;
        let expected = pair.tag(&[authentic]);
        if parsed.token != ticket[..4] || !bool::from(expected[..4].ct_eq(&parsed.tag)) {
            return None;
        }
        let mut voice = parsed.sealed.to_vec();
        pair.cipher(parsed.sequence).apply_keystream(&mut voice);
        Some((parsed.sequence, voice))
    }
}

impl fmt::Debug for CallKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallKeys(..)")
    }
}

/// HMAC-SHA-256 over the parts, each with its length before it.
fn derive(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn keys(seed: u64, ringing: &[u8]) -> CallKeys {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let (one, other) = (Half::generate(&mut random), Half::generate(&mut random));
        CallKeys::agree(&one, &other, b"invite", ringing)
    }

    #[test]
    fn both_sides_come_to_the_same_keys_and_to_others_if_a_byte_was_changed() {
        let (here, there, changed) = (keys(1, b"ringing"), keys(1, b"ringing"), keys(1, b"rinGing"));
        let sealed = here.seal_control(Side::Caller, 7, b"text");
        assert_eq!(there.open_control(Side::Caller, 7, &sealed).unwrap().as_slice(), b"text");
        assert!(changed.open_control(Side::Caller, 7, &sealed).is_none());
        assert_eq!(here.ticket(2), there.ticket(2));
        assert_ne!(here.ticket(2), changed.ticket(2));
        assert_ne!(here.ticket(2), here.ticket(3));
    }

    #[test]
    fn nothing_sealed_opens_for_another_direction_number_or_path() {
        let keys = keys(1, b"ringing");
        let sealed = keys.seal_control(Side::Caller, 7, b"text");
        assert!(keys.open_control(Side::Callee, 7, &sealed).is_none());
        assert!(keys.open_control(Side::Caller, 8, &sealed).is_none());
        let packet = keys.seal_media(Side::Callee, &keys.ticket(1), 9, b"voice");
        assert_eq!(packet.len(), 5 + MediaPacket::OVERHEAD);
        assert_eq!(keys.open_media(Side::Callee, &keys.ticket(1), &packet), Some((9, b"voice".to_vec())));
        assert_eq!(keys.open_media(Side::Caller, &keys.ticket(1), &packet), None);
        assert_eq!(keys.open_media(Side::Callee, &keys.ticket(2), &packet), None);
    }

    #[test]
    fn any_changed_bit_of_a_media_packet_is_noticed() {
        let keys = keys(1, b"ringing");
        let ticket = keys.ticket(1);
        let packet = keys.seal_media(Side::Caller, &ticket, 3, &[5; 59]);
        assert!(!packet.windows(8).any(|window| window == [5; 8]), "the voice is not in clear");
        for bit in 0..8 * packet.len() {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open_media(Side::Caller, &ticket, &changed), None, "bit {bit}");
        }
        for length in 0..packet.len() {
            assert_eq!(keys.open_media(Side::Caller, &ticket, &packet[..length]), None, "{length} bytes");
        }
    }
}
