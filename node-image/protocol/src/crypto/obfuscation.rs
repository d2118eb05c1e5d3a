//! RC4 over all signalling, with the seed of each keystream in clear before it.
//!
//! This hides what the traffic is from whoever looks at it in passing, as the system of 2006 did. It keeps
//! nothing secret: the seed is on the wire, RC4 is broken, and nothing is authenticated. What must be secret
//! or authentic is sealed ([`super::seal`]) or signed ([`super::keys`]) underneath.

use std::fmt;

use rand_core::RngCore;
use rc4::consts::U16;
use rc4::{KeyInit, Rc4, StreamCipher};
use sha2::{Digest, Sha256};

/// Bytes of a seed on the wire.
pub const SEED: usize = 4;

/// The keystream of one direction of a connection, or of one datagram.
pub struct Keystream(Rc4<U16>);

impl Keystream {
    /// The keystream that belongs to a seed: RC4 under the first 16 bytes of the SHA-256 of the seed.
    ///
    /// # Panics
    ///
    /// Never: 16 bytes are the length of this key.
    #[must_use]
    pub fn new(seed: [u8; SEED]) -> Self {
        let digest = Sha256::digest(seed);
        Self(Rc4::new_from_slice(&digest[..16]).expect("16 bytes are the length of this key"))
    }

    /// Obfuscates the next bytes, or reads them.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

impl fmt::Debug for Keystream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keystream(..)")
    }
}

/// A datagram's payload: a fresh seed, then the obfuscated frame.
pub fn datagram(random: &mut impl RngCore, frame: &[u8]) -> Vec<u8> {
    let mut seed = [0; SEED];
    random.fill_bytes(&mut seed);
    let mut payload = Vec::with_capacity(SEED + frame.len());
    payload.extend_from_slice(&seed);
    payload.extend_from_slice(frame);
    Keystream::new(seed).apply(&mut payload[SEED..]);
    payload
}

/// The frame in a datagram's payload; `None` if it is too short to hold a seed.
#[must_use]
pub fn read_datagram(payload: &[u8]) -> Option<Vec<u8>> {
    let (seed, frame) = payload.split_first_chunk::<SEED>()?;
    let mut frame = frame.to_vec();
    Keystream::new(*seed).apply(&mut frame);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keystream_is_rc4_under_the_hash_of_the_seed() {
        // RC4 by its definition, with nothing of the package's.
        let key = &Sha256::digest([1, 2, 3, 4])[..16];
        let mut state: Vec<u8> = (0..=255).collect();
        let mut j = 0_u8;
        for i in 0..256 {
            j = j.wrapping_add(state[i]).wrapping_add(key[i % 16]);
            state.swap(i, usize::from(j));
        }
        let (mut i, mut j) = (0_u8, 0_u8);
        let expected: Vec<u8> = (0..40)
            .map(|_| {
                i = i.wrapping_add(1);
                j = j.wrapping_add(state[usize::from(i)]);
                state.swap(usize::from(i), usize::from(j));
                state[usize::from(state[usize::from(i)].wrapping_add(state[usize::from(j)]))]
            })
            .collect();
        let mut keystream = vec![0; 40];
        Keystream::new([1, 2, 3, 4]).apply(&mut keystream);
        assert_eq!(keystream, expected);
    }
}
