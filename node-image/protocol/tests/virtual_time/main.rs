//! Whole logins between in-memory nodes, in virtual time.

mod world;

mod nat_types;
mod published;
mod robustness;
mod security;
mod timing;
mod transcript;
