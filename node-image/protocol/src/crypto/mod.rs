//! The cryptography of the system of 2006, for study.
//!
//! RC4 is broken and 1024-bit RSA is too short today. They are here because that is what is reproduced;
//! nothing that matters may rest on them.

pub mod keys;
pub mod obfuscation;
pub mod password;
pub mod seal;
