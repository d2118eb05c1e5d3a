//! What labctl and an overlay node say to each other over the node's control socket: HTTP/1.1 with JSON
//! bodies on the Unix socket `control.sock` in the node's directory.
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET /v1/status` | | [`Status`] |
//! | `POST /v1/login` | [`LoginRequest`] | a stream of NDJSON lines, each an [`EventLine`], as it happens; ends after [`LoginEvent::Finished`] or [`LoginEvent::Failed`] |
//! | `POST /v1/logout` | | 204; the client's sockets are closed and its state is forgotten |
//! | `POST /v1/search` | [`SearchRequest`] | a stream of NDJSON lines, each a [`SearchLine`], as it happens; ends after [`SearchEvent::Found`], [`SearchEvent::Unknown`] or [`SearchEvent::Failed`] |
//! | `POST /v1/users` | [`UserRecord`] | 204; login server only: enters a user as if registered earlier |
//! | `POST /v1/call` | [`CallRequest`] | a stream of NDJSON lines, each a [`CallLine`], as it happens; ends after [`CallEvent::Ended`] |
//! | `POST /v1/await-call` | [`AwaitCallRequest`] | the same for the next call that comes in; the first line is [`CallEvent::Incoming`] or [`CallEvent::TurnedAway`] |
//! | `POST /v1/answer` | | 204; takes the call that rings |
//! | `POST /v1/hang-up` | | 204; refuses the call that rings, cancels the own one, or hangs up |
//! | `POST /v1/age` | [`AgeRequest`] | 204; super node only: makes what it holds of a user older, since nobody waits 72 hours |
//! | `POST /v1/forget-results` | | 204; super node only: forgets the results of earlier searches |
//!
//! A refused call answers with a [`Problem`]: 400 for a body that makes no sense, 404 for a call that does
//! not exist, 409 for a node of another role, for a login while one is in progress, and for a search without a
//! login or for a user who is being searched for already, 413 for a body over 128 KiB, 500 when the node has no port to use. The content type of a body does not matter.
//!
//! A login after a login that is complete logs out first. A login whose answer is not read to its end
//! (the caller has gone) is cancelled. After the last line the client stays logged in until a logout.
//!
//! The socket appears in the directory when the node is ready to be called, not before.

pub mod restart;

use std::net::{Ipv4Addr, SocketAddrV4};

pub use overlay_protocol::{
    CallEnd, CallEvent, CallSummary, DirectoryStatus, FoundUser, LoginEvent, LoginFailure, LoginSummary,
    NatVerdict, RecordSource, SearchEvent, SearchFailure, SearchSummary,
};

use overlay_protocol::Parameters;
use serde::{Deserialize, Serialize};

/// File name of the node's configuration in its directory.
pub const CONFIG_FILE: &str = "config.json";
/// File name of the control socket in the node's directory.
pub const SOCKET_FILE: &str = "control.sock";
/// File name of the gate in the directory of a node whose program is not the overlay's: a Unix socket.
///
/// `overlay-node run` connects to it, waits for [`GATE_OPEN`], and becomes the program, at which moment the
/// connection closes. If it cannot, it writes the reason before that, as text.
pub const GATE_FILE: &str = "gate.sock";
/// The byte that lets a program start: the node's network is there.
pub const GATE_OPEN: u8 = b'!';
/// Where the node's directory is seen inside its container.
pub const DIRECTORY_IN_CONTAINER: &str = "/run/overlay";

/// What an overlay node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A user's node.
    Client,
    /// A node with a public address that clients log in through.
    SuperNode,
    /// The one that knows the users' passwords and signs certificates.
    LoginServer,
}

/// A node's configuration, written by labctl before the node starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Name in the topology.
    pub name: String,
    /// What the node is.
    pub role: Role,
    /// Seed of everything random in the node.
    pub seed: u64,
    /// The overlay nodes in this container. A client or login server has one; a super node's container
    /// can run several, each with an address and state of its own (`addresses:` in the topology).
    pub instances: Vec<Instance>,
    /// All super nodes of the overlay.
    pub super_nodes: Vec<SocketAddrV4>,
    /// The login servers that the node knows, with their public keys (Ks+).
    pub login_servers: Vec<LoginServer>,
    /// Login server only: its private key (Ks-), PKCS #1 DER in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// The overlay's parameters.
    pub parameters: Parameters,
}

/// One overlay node in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Name: the node's, with `.2`, `.3` … behind it for the second, third … instance.
    pub name: String,
    /// The address that it binds; `0.0.0.0` for a client.
    pub address: Ipv4Addr,
    /// UDP and TCP port of its own; 0 where every login chooses one (a client).
    pub port: u16,
}

/// A login server as the clients have it built in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginServer {
    /// Address and port.
    pub address: SocketAddrV4,
    /// Ks+, PKCS #1 DER in hexadecimal.
    pub public_key: String,
}

/// Asks a client to log in, from a fresh state: nothing of an earlier login is kept but what stands here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Seed of this login: listening port, keys, order of choices.
    pub seed: u64,
    /// True for the first login after installation: the user is registered first, and the host cache
    /// holds the bootstrap super nodes.
    pub first_time: bool,
    /// The host cache, in the order in which it is tried.
    pub host_cache: Vec<SocketAddrV4>,
    /// The users on this user's buddy list.
    #[serde(default)]
    pub buddies: Vec<String>,
}

/// One line of the answer to a login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// Milliseconds since the login command, by the node's clock. For the reader's eye: measurements use
    /// the packets and labctl's clock.
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: LoginEvent,
}

/// Asks a client that is logged in to search for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// User name.
    pub user: String,
}

/// One line of the answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchLine {
    /// Milliseconds since the search command, by the node's clock. See [`EventLine::at_ms`].
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: SearchEvent,
}

/// Asks a client that is logged in to call a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// User name.
    pub user: String,
    /// How long to talk, from the answer to hanging up, in milliseconds; none: until somebody hangs up.
    #[serde(default)]
    pub talk_ms: Option<u64>,
    /// What is said, and where what is heard goes.
    #[serde(flatten)]
    pub sound: SoundFiles,
}

/// Asks a client that is logged in to wait for a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitCallRequest {
    /// Take the call so many milliseconds after it began to ring; none: leave that to `POST /v1/answer`.
    #[serde(default)]
    pub answer_after_ms: Option<u64>,
    /// What is said, and where what is heard goes.
    #[serde(flatten)]
    pub sound: SoundFiles,
}

/// WAV files in the node's directory: 16 kHz, one channel, 16 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundFiles {
    /// Name of the file that is said, over and over; none: the built-in speech sample.
    #[serde(default)]
    pub said: Option<String>,
    /// Name of the file that what is heard is written to; none: it is not written.
    #[serde(default)]
    pub heard: Option<String>,
}

/// One line of the answer to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallLine {
    /// Milliseconds since the command, by the node's clock. See [`EventLine::at_ms`].
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: CallEvent,
    /// With the last line of a call that was answered: what became of the voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<VoiceSummary>,
}

/// What became of the voice at one end. Only the node knows it: it happens behind the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VoiceSummary {
    /// Packets that were coded and sent.
    pub said: u64,
    /// Packets that were played.
    pub played: u64,
    /// Packets that were not there when their time came, and whose sound was made up.
    pub lost: u64,
    /// Of these, packets that came later.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Times that the jitter buffer grew by one packet.
    pub stretched: u64,
    /// Packets that were left out to shorten the jitter buffer.
    pub skipped: u64,
    /// How long a played packet waited in the jitter buffer on average, in milliseconds.
    pub buffer_ms: f64,
    /// What a packet plays for, in milliseconds: it is sent when its last sound is there.
    pub packet_ms: f64,
    /// Sound that the coder holds back on top, in milliseconds.
    pub look_ahead_ms: f64,
    /// How much longer bursts of loss were than at random, 1 and up.
    pub burst_ratio: f64,
    /// The longest time by which this program came too late to send or play a packet, in milliseconds: its machine
    /// had other things to do. No network is to blame for it.
    #[serde(default)]
    pub machine_late_ms: f64,
}

/// Makes what the super nodes of a container hold of a user older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgeRequest {
    /// The user.
    pub user: String,
    /// Seconds.
    pub by_s: u32,
}

/// A user of the login server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// User name.
    pub user: String,
    /// Password; the server keeps only its hash.
    pub password: String,
}

/// A node's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name in the topology.
    pub name: String,
    /// What the node is.
    pub role: Role,
    /// Version of the node program.
    pub version: String,
    /// One per instance.
    pub instances: Vec<InstanceStatus>,
}

/// The state of one overlay node in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// See [`Instance::name`].
    pub name: String,
    /// `idle`, `logging-in`, `logged-in` (client) or `serving`.
    pub state: String,
    /// Connections that are established.
    pub connections: usize,
    /// Certificates (super node) or users (login server) that it holds.
    pub records: usize,
    /// TCP ports that it listens on: its own, and of 80 and 443 those that it could bind.
    pub tcp_ports: Vec<u16>,
    /// Client that is logged in only: `none`, `calling`, `ringing` or `active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Super node only: calls that it relays media for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed_calls: Option<usize>,
    /// Client that is logged in only: the super node in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub super_node: Option<SocketAddrV4>,
    /// Super node only: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddrV4>,
    /// Super node only: its part of the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryStatus>,
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// One sentence.
    pub error: String,
}
