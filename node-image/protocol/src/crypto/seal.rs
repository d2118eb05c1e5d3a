//! AES with integrity under a session key: encrypt, then authenticate.
//!
//! The session key K itself encrypts nothing. For each of its two purposes an AES-256 key and an
//! HMAC-SHA-256 key are derived from it; K is fresh for every request, so each derived key seals exactly one
//! text, and AES in counter mode may begin at zero. The tag is the first 16 bytes of the HMAC over the
//! ciphertext.

use std::fmt;

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use rand_core::{CryptoRng, RngCore};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::wire::{DecodeError, Reader, Wire};

/// Bytes that sealing adds.
pub const TAG: usize = 16;

/// The session key K of one request. Erased from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SessionKey([u8; 32]);

/// What a text is sealed for. Each has keys of its own, so that an answer cannot pass for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// From client to server.
    Request,
    /// From server to client.
    Answer,
}

impl SessionKey {
    /// A new key.
    pub fn generate(random: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        Self(key)
    }

    /// Encrypts and authenticates. Once per key and purpose.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, text: &[u8]) -> Vec<u8> {
        let mut sealed = text.to_vec();
        self.cipher(purpose).apply_keystream(&mut sealed);
        let tag = self.authenticator(purpose).chain_update(&sealed).finalize().into_bytes();
        sealed.extend_from_slice(&tag[..TAG]);
        sealed
    }

    /// Verifies and decrypts; `None` if it was not sealed with this key for this purpose.
    #[must_use]
    pub fn open(&self, purpose: Purpose, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG)?)?;
        self.authenticator(purpose).chain_update(text).verify_truncated_left(tag).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        self.cipher(purpose).apply_keystream(&mut text);
        Some(text)
    }

    /// The key that encrypts for this purpose, for tools that show what was sealed in a lab.
    #[must_use]
    pub fn encryption_key(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        self.derive(match purpose {
            Purpose::Request => b"encrypt request",
            Purpose::Answer => b"encrypt answer",
        })
    }

    fn cipher(&self, purpose: Purpose) -> Ctr128BE<Aes256> {
        Ctr128BE::new((&*self.encryption_key(purpose)).into(), &[0; 16].into())
    }

    fn authenticator(&self, purpose: Purpose) -> Hmac<Sha256> {
        let key = self.derive(match purpose {
            Purpose::Request => b"authenticate request",
            Purpose::Answer => b"authenticate answer",
        });
        <Hmac<Sha256> as Mac>::new_from_slice(&*key).expect("HMAC takes a key of any length")
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        Zeroizing::new(mac.chain_update(label).finalize().into_bytes().into())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl Wire for SessionKey {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(<[u8; 32]>::take(from)?))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn key(seed: u64) -> SessionKey {
        SessionKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_purpose_only() {
        let sealed = key(1).seal(Purpose::Request, b"text");
        assert_eq!(sealed.len(), 4 + TAG);
        assert_eq!(key(1).open(Purpose::Request, &sealed).unwrap().as_slice(), b"text");
        assert!(key(1).open(Purpose::Answer, &sealed).is_none());
        assert!(key(2).open(Purpose::Request, &sealed).is_none());
    }

    #[test]
    fn any_changed_bit_and_any_cut_is_noticed() {
        let sealed = key(1).seal(Purpose::Answer, b"text");
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key(1).open(Purpose::Answer, &changed).is_none(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key(1).open(Purpose::Answer, &sealed[..length]).is_none(), "{length} bytes");
        }
    }
}
