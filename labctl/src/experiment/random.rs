//! Seeds and choices. The same seed gives the same run.

use std::iter;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// What a seed is for. Seeds of different purposes have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client's login: its port, keys, choices.
    Login,
    /// The host cache that a client starts with.
    HostCache,
    /// A user's password.
    Password,
    /// The names of a run's users.
    Users,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Login => b"login",
            Self::HostCache => b"host-cache",
            Self::Password => b"password",
            Self::Users => b"users",
        }
    }
}

/// A seed made from another one, a purpose and whatever tells one use from another.
///
/// It has 53 bits, so that every program that reads JSON numbers as doubles reads it exactly.
#[must_use]
pub fn derive_seed(seed: u64, purpose: Purpose, which: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"labctl seed\0");
    hash.update(seed.to_le_bytes());
    for part in iter::once(&purpose.label()).chain(which) {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let first = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    first >> (64 - 53)
}

/// Choices from a seed.
#[derive(Debug)]
pub(super) struct Choices(ChaCha12Rng);

impl Choices {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A number below `bound`, which is not 0; each as likely to within 2^-32.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.0.next_u64()) * bound as u128;
        usize::try_from(product >> 64).expect("it is below a usize")
    }

    /// Puts a list into random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seeds_differ_by_seed_purpose_and_use_and_fit_a_double() {
        let seeds: Vec<u64> = (0..50u32)
            .flat_map(|n| {
                let n = n.to_le_bytes();
                [
                    derive_seed(1, Purpose::Login, &[b"first-time", &n]),
                    derive_seed(1, Purpose::Login, &[b"subsequent", &n]),
                    derive_seed(1, Purpose::HostCache, &[b"first-time", &n]),
                    derive_seed(2, Purpose::Login, &[b"first-time", &n]),
                ]
            })
            .collect();
        assert_eq!(seeds.iter().collect::<HashSet<_>>().len(), seeds.len());
        assert!(seeds.iter().all(|&seed| seed < 1 << 53));
        assert_ne!(
            derive_seed(1, Purpose::Login, &[b"ab", b"c"]),
            derive_seed(1, Purpose::Login, &[b"a", b"bc"])
        );
        assert_eq!(seeds[0], derive_seed(1, Purpose::Login, &[b"first-time", &0u32.to_le_bytes()]));
    }

    #[test]
    fn a_shuffle_keeps_every_element_and_reaches_every_order() {
        let mut orders = HashSet::new();
        for seed in 0..200 {
            let mut list = [1, 2, 3];
            Choices::new(seed).shuffle(&mut list);
            orders.insert(list);
        }
        assert_eq!(orders.len(), 6);
    }
}
