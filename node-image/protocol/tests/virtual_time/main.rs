//! Whole logins between in-memory nodes, in virtual time.

mod world;

mod calls;
mod directory;
mod nat_types;
mod published;
mod robustness;
mod search;
mod security;
mod timing;
mod transcript;
