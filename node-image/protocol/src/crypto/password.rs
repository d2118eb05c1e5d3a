//! H(pwd): what a client sends and a login server keeps in place of the password.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::user::{Password, UserName};
use crate::wire::{DecodeError, Reader, Wire};

/// SHA-256 of the user name, a zero byte and the password. Erased from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// The hash of a user's password.
    #[must_use]
    pub fn new(user: &UserName, password: &Password) -> Self {
        let digest =
            Sha256::new().chain_update(user.as_str()).chain_update([0]).chain_update(password.as_bytes());
        Self(digest.finalize().into())
    }

    /// Whether the two are the same; takes as long whether they are or not.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl Wire for PasswordHash {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(<[u8; 32]>::take(from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_user_and_password_and_is_never_shown() {
        let hash = |user: &str, password: &str| {
            PasswordHash::new(&UserName::new(user).unwrap(), &Password::new(password))
        };
        assert!(hash("alice", "secret").matches(&hash("alice", "secret")));
        assert!(!hash("alice", "secret").matches(&hash("alice", "Secret")));
        assert!(!hash("alice", "secret").matches(&hash("bob", "secret")));
        assert_eq!(format!("{:?}", hash("alice", "secret")), "PasswordHash(..)");
    }
}
