//! The overlay of login server, super nodes and clients, as state machines without I/O.
//!
//! Every role is a [`Machine`]: it takes inputs with an explicit `now`, and yields outputs. There is no
//! socket, clock, thread or source of randomness in here but what the caller hands in, so that tests run
//! whole logins between in-memory nodes in virtual time, and so that the same seed gives the same bytes.

pub mod certificate;
pub mod crypto;
mod deadlines;
pub mod event;
pub mod host_cache;
pub mod login;
pub mod login_server;
pub mod machine;
pub mod parameters;
pub mod super_node;
pub mod user;
pub mod wire;

pub use crypto::keys::{KeyError, ServerKeyPair, ServerPublicKey};
pub use event::{LoginEvent, LoginFailure, LoginSummary, NatVerdict, ServerEvent};
pub use login::{Client, ClientCommand, ClientConfig, ClientEvent, installation_port};
pub use login_server::{LoginServer, LoginServerCommand, LoginServerConfig};
pub use machine::{ConnectionId, Input, Machine, Output, StreamError, Time, UdpSocket};
pub use parameters::{Parameter, ParameterError, ParameterFile, Parameters};
pub use super_node::{SuperNode, SuperNodeConfig};
pub use user::{Password, UserName, UserNameError};
