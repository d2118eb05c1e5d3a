//! User names and passwords, as they come in from outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// A user's name: 1 to 32 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// A user name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("user name {found:?} cannot be used: a name has 1 to {limit} visible ASCII characters", limit = UserName::LONGEST)]
pub struct UserNameError {
    found: String,
}

impl UserName {
    /// Longest name, in bytes: it must fit, with a key and a hash, into one RSA block of a registration.
    pub const LONGEST: usize = 32;

    /// The name, if it can be one.
    ///
    /// # Errors
    ///
    /// If it is empty, too long, or holds anything but visible ASCII characters.
    pub fn new(name: &str) -> Result<Self, UserNameError> {
        if (1..=Self::LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(name.to_owned()))
        } else {
            Err(UserNameError { found: name.chars().take(2 * Self::LONGEST).collect() })
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(name: &str) -> Result<Self, UserNameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for UserName {
    type Error = UserNameError;

    fn try_from(name: String) -> Result<Self, UserNameError> {
        Self::new(&name)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A password: erased from memory when dropped, and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password over.
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_visible() {
        assert_eq!(UserName::new("alice").unwrap().to_string(), "alice");
        for bad in ["", "two words", "gr\u{fc}n", "a\n", &"x".repeat(33)] {
            let message = UserName::new(bad).unwrap_err().to_string();
            assert!(message.contains("1 to 32 visible ASCII characters"), "{message}");
        }
    }
}
