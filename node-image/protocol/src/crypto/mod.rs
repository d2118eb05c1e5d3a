//! The cryptography of the system of 2006, for study.

pub mod keys;
