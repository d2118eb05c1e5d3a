//! Seeds of everything random, derived from the topology's.

use sha2::{Digest, Sha256};

/// The seed of one thing in a lab.
///
/// It is the first 53 bits of the SHA-256 hash of: the text `labctl seed 1`, a zero byte, the topology's seed
/// as 8 bytes (big-endian), `purpose`, a zero byte, `name`. So every thing has a seed of its own, none
/// changes when another is added, and anybody can work it out. 53 bits, because that is what every reader
/// of JSON keeps of a number.
#[must_use]
pub fn derive_seed(topology: u64, purpose: &str, name: &str) -> u64 {
    let hash = Sha256::new()
        .chain_update(b"labctl seed 1\0")
        .chain_update(topology.to_be_bytes())
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(name)
        .finalize();
    let first = hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    first >> 11
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seed_purpose_and_name_each_make_a_difference() {
        let seeds: HashSet<u64> = [
            derive_seed(1, "node", "alice"),
            derive_seed(2, "node", "alice"),
            derive_seed(1, "port", "alice"),
            derive_seed(1, "node", "bob"),
            derive_seed(1, "nodea", "lice"),
        ]
        .into();
        assert_eq!(seeds.len(), 5);
        assert!(seeds.iter().all(|seed| *seed < 1 << 53));
    }

    /// Worked out with `printf 'labctl seed 1\0\0\0\0\0\0\0\0\1node\0alice' | sha256sum`.
    #[test]
    fn a_seed_can_be_worked_out_by_hand() {
        assert_eq!(derive_seed(1, "node", "alice"), 0x6b74_ae5e_cf3c_9a7a >> 11);
    }
}
