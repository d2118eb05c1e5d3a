//! The overlay of login server, super nodes and clients, as state machines without I/O.
//!
//! Every role is a [`Machine`]: it takes inputs with an explicit `now`, and yields outputs. There is no
//! socket, clock, thread or source of randomness in here but what the caller hands in, so that tests run
//! whole logins between in-memory nodes in virtual time, and so that the same seed gives the same bytes.

pub mod machine;
pub mod parameters;

pub use machine::{ConnectionId, Input, Machine, Output, StreamError, Time, UdpSocket};
pub use parameters::{ParameterFile, Parameters};
