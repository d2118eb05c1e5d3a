//! The overlay of login server, super nodes and clients, as state machines without I/O.
//!
//! Every role is a [`Machine`]: it takes inputs with an explicit `now`, and yields outputs. There is no
//! socket, clock, thread or source of randomness in here but what the caller hands in, so that tests run
//! whole logins between in-memory nodes in virtual time, and so that the same seed gives the same bytes.

pub mod call;
pub mod certificate;
pub mod crypto;
mod deadlines;
mod directory;
pub mod event;
pub mod host_cache;
mod inquiry;
pub mod login;
pub mod login_server;
pub mod machine;
mod paced;
pub mod parameters;
mod recent;
pub mod super_node;
pub mod user;
pub mod wire;

pub use crypto::keys::{KeyError, ServerKeyPair, ServerPublicKey};
pub use directory::{DirectoryStatus, homes};
pub use event::{
    CallEnd, CallEvent, CallSummary, ClientEvent, FoundUser, LoginEvent, LoginFailure, LoginSummary,
    MediaProtocol, NatVerdict, RecordSource, SearchEvent, SearchFailure, SearchSummary, ServerEvent,
};
pub use login::{Client, ClientCommand, ClientConfig, installation_port};
pub use login_server::{LoginServer, LoginServerCommand, LoginServerConfig};
pub use machine::{ConnectionId, Input, Machine, Output, StreamError, Time, UdpSocket};
pub use parameters::{Parameter, ParameterError, ParameterFile, Parameters};
pub use super_node::{SuperNode, SuperNodeCommand, SuperNodeConfig};
pub use user::{Password, UserName, UserNameError};
pub use wire::directory::DirectoryRecord as Resolved;
