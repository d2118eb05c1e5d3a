//! What labctl and an overlay node say to each other over the node's control socket: HTTP/1.1 with JSON
//! bodies on the Unix socket `control.sock` in the node's directory.
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET /v1/status` | | [`Status`] |
//! | `POST /v1/login` | [`LoginRequest`] | a stream of NDJSON lines, each an [`EventLine`], as it happens; ends after [`LoginEvent::Finished`] or [`LoginEvent::Failed`] |
//! | `POST /v1/logout` | | 204; the client's sockets are closed and its state is forgotten |
//! | `POST /v1/users` | [`UserRecord`] | 204; login server only: enters a user as if registered earlier |
//!
//! A refused call answers with status 4xx and a [`Problem`].

use std::net::{Ipv4Addr, SocketAddrV4};

use overlay_protocol::Parameters;
use serde::{Deserialize, Serialize};

/// File name of the node's configuration in its directory.
pub const CONFIG_FILE: &str = "config.json";
/// File name of the control socket in the node's directory.
pub const SOCKET_FILE: &str = "control.sock";
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

/// What a client tells of its login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LoginEvent {
    /// A round (1 to 5) begins.
    Round { round: u32 },
    /// A host-cache entry was sent a UDP probe.
    UdpProbe { to: SocketAddrV4 },
    /// A host-cache entry answered by UDP.
    UdpAnswer { from: SocketAddrV4 },
    /// No probe was answered: UDP is taken for blocked.
    UdpBlocked { probes: u32 },
    /// A TCP connection to a super node is tried.
    TcpAttempt { to: SocketAddrV4 },
    /// A super node accepted the client.
    SuperNode { address: SocketAddrV4 },
    /// The NAT type is known.
    NatType { verdict: NatVerdict },
    /// The login server answered: the user has a certificate.
    Authenticated { server: SocketAddrV4 },
    /// The user is logged in.
    LoggedIn,
    /// The advertisements of step 4 are done; the login is complete. Always the last line of a success.
    Finished { summary: LoginSummary },
    /// The login failed. Always the last line of a failure.
    Failed { reason: LoginFailure, detail: String },
}

/// What came out of a login, by the client's own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginSummary {
    /// The client's own NAT type.
    pub nat: NatVerdict,
    /// The super nodes that it keeps a connection with; the first is the one in use.
    pub super_nodes: Vec<SocketAddrV4>,
    /// How many nodes were sent an advertisement, and how many answered.
    pub advertised_to: u32,
    /// See `advertised_to`.
    pub advertisements_answered: u32,
    /// Rounds that it took, 1 to 5.
    pub rounds: u32,
    /// Entries in the host cache afterwards.
    pub host_cache_entries: usize,
}

/// What the client concludes of the NAT and firewall before it (RFC 3489, section 5 and 10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatVerdict {
    /// A public address; unsolicited UDP arrives.
    Open,
    /// A public address behind a firewall that lets UDP in only from where UDP was sent to.
    SymmetricUdpFirewall,
    /// Endpoint-independent mapping and filtering.
    FullCone,
    /// Endpoint-independent mapping, address-dependent filtering.
    RestrictedCone,
    /// Endpoint-independent mapping, address- and port-dependent filtering.
    PortRestricted,
    /// The mapping depends on the destination.
    Symmetric,
    /// No UDP gets through.
    UdpBlocked,
}

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginFailure {
    /// No super node could be reached in five rounds.
    NoSuperNode,
    /// No login server could be reached.
    NoLoginServer,
    /// The login server does not know the user.
    UnknownUser,
    /// The password is wrong.
    WrongPassword,
    /// The user name is taken (at registration).
    NameTaken,
    /// The login server saw this login before.
    Replayed,
    /// What the login server sent is not signed by its key, or does not certify this user and key.
    ForgedCertificate,
    /// The peer broke the protocol.
    Protocol,
    /// The login was given up on by command.
    Cancelled,
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
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// One sentence.
    pub error: String,
}
