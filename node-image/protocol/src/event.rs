//! What the machines tell their owners.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::call::event::{CallEnd, CallEvent, CallSummary, MediaProtocol};

/// What a client tells.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Of its login.
    Login(LoginEvent),
    /// Of a search.
    Search(SearchEvent),
    /// Of a call.
    Call(CallEvent),
    /// A packet of coded voice came in.
    Voice {
        /// Counts the peer's packets from 0.
        sequence: u32,
        /// The coded voice.
        voice: Vec<u8>,
    },
}

impl From<LoginEvent> for ClientEvent {
    fn from(event: LoginEvent) -> Self {
        Self::Login(event)
    }
}

impl From<CallEvent> for ClientEvent {
    fn from(event: CallEvent) -> Self {
        Self::Call(event)
    }
}

impl From<SearchEvent> for ClientEvent {
    fn from(event: SearchEvent) -> Self {
        Self::Search(event)
    }
}

/// What a client tells of its login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LoginEvent {
    /// A round (1 to 5) begins.
    Round {
        /// Which one.
        round: u32,
    },
    /// A host-cache entry was sent a UDP probe.
    UdpProbe {
        /// The entry.
        to: SocketAddrV4,
    },
    /// A host-cache entry answered by UDP.
    UdpAnswer {
        /// The entry.
        from: SocketAddrV4,
    },
    /// No probe was answered: UDP is taken for blocked.
    UdpBlocked {
        /// How many probes were sent.
        probes: u32,
    },
    /// A TCP connection to a super node is tried.
    TcpAttempt {
        /// Address and port that is tried.
        to: SocketAddrV4,
    },
    /// A super node accepted the client.
    SuperNode {
        /// Its address, with its own port.
        address: SocketAddrV4,
    },
    /// The NAT type is known.
    NatType {
        /// What was found.
        verdict: NatVerdict,
    },
    /// The login server answered: the user has a certificate.
    Authenticated {
        /// Which login server.
        server: SocketAddrV4,
    },
    /// The user is logged in.
    LoggedIn,
    /// The advertisements of step 4 are done; the login is complete. Always the last line of a success.
    Finished {
        /// What came out.
        summary: LoginSummary,
    },
    /// The login failed. Always the last line of a failure.
    Failed {
        /// Why.
        reason: LoginFailure,
        /// One sentence on what exactly was seen.
        detail: String,
    },
}

/// What came out of a login, by the client's own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginSummary {
    /// The client's own NAT type.
    pub nat: NatVerdict,
    /// The super nodes that it keeps a connection with; the first is the one in use.
    pub super_nodes: Vec<SocketAddrV4>,
    /// How many nodes were sent an advertisement.
    pub advertised_to: u32,
    /// How many of them answered.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum LoginFailure {
    /// No super node could be reached in all rounds.
    #[error("no super node could be reached")]
    NoSuperNode,
    /// No login server could be reached in the last of all rounds, or it takes no more users.
    #[error("no login server could be reached")]
    NoLoginServer,
    /// The login server does not know the user.
    #[error("the login server does not know the user")]
    UnknownUser,
    /// The password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// The user name is taken (at registration).
    #[error("the user name is taken")]
    NameTaken,
    /// The login server saw this login before.
    #[error("the login server saw this login before")]
    Replayed,
    /// What the login server sent is not signed by its key, or does not certify this user and key.
    #[error("the certificate is not signed by the login server, or is another user's")]
    ForgedCertificate,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol")]
    Protocol,
    /// The login was given up on by command.
    #[error("the login was given up on by command")]
    Cancelled,
}

/// What a client tells of a search. The last line of a search is `Found`, `Unknown` or `Failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum SearchEvent {
    /// The super node in use is asked.
    Asked {
        /// Who is searched for.
        user: String,
        /// The super node.
        super_node: SocketAddrV4,
        /// The super node is to search on the client's behalf, because UDP is blocked.
        on_behalf: bool,
    },
    /// The super node gave nodes to ask by UDP.
    Batch {
        /// Who is searched for.
        user: String,
        /// The nodes, the likeliest first.
        nodes: Vec<SocketAddrV4>,
    },
    /// A node answered by UDP.
    Answer {
        /// Who is searched for.
        user: String,
        /// The node.
        from: SocketAddrV4,
        /// It knows the user, and the certificate is signed by a login server.
        found: bool,
    },
    /// The user is found.
    Found {
        /// What was found.
        found: FoundUser,
        /// How the search went.
        summary: SearchSummary,
    },
    /// No node knows the user: never logged in, or not within the lifetime of a record.
    Unknown {
        /// Who was searched for.
        user: String,
        /// How the search went.
        summary: SearchSummary,
    },
    /// The search could not be carried out.
    Failed {
        /// Who was searched for.
        user: String,
        /// Why.
        reason: SearchFailure,
        /// How the search went.
        summary: SearchSummary,
    },
}

impl SearchEvent {
    /// Who is searched for.
    #[must_use]
    pub fn user(&self) -> &str {
        match self {
            Self::Asked { user, .. }
            | Self::Batch { user, .. }
            | Self::Answer { user, .. }
            | Self::Unknown { user, .. }
            | Self::Failed { user, .. } => user,
            Self::Found { found, .. } => &found.user,
        }
    }

    /// True for the last line of a search.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Found { .. } | Self::Unknown { .. } | Self::Failed { .. })
    }
}

/// A user who was found, without the certificate: that is in [`crate::Client::resolved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUser {
    /// The user.
    pub user: String,
    /// True if the user's client is connected to a super node.
    pub online: bool,
    /// The address and port behind the NAT.
    pub private: SocketAddrV4,
    /// The address and port as super nodes see it.
    pub public: SocketAddrV4,
    /// The NAT type; `udp-blocked` behind a UDP-restricted firewall.
    pub nat: NatVerdict,
    /// The user's super nodes, the one in use first.
    pub super_nodes: Vec<SocketAddrV4>,
    /// Seconds since the last login.
    pub logged_in_s: u32,
    /// Seconds since the user was last known to be online.
    pub seen_s: u32,
}

/// How a search went, by the client's own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchSummary {
    /// Batches that the super node gave.
    pub batches: u32,
    /// Nodes that were asked beside the super node: by UDP, or by the super node on the client's behalf.
    pub asked: u32,
    /// Overlay nodes on the way to the record, the last one included: 1 if the super node had it.
    pub hops: u32,
    /// Where the record came from, if there was one.
    pub source: Option<RecordSource>,
}

/// Where a super node has a record from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordSource {
    /// It is one of the user's homes, or the user is attached to it.
    Index,
    /// It saw the result of an earlier search.
    Cache,
    /// It asked other nodes for it just now.
    Search,
}

/// Why a search was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum SearchFailure {
    /// The client is not logged in.
    #[error("the client is not logged in")]
    NotLoggedIn,
    /// As many searches as a client makes at a time are under way.
    #[error("too many searches are under way")]
    TooMany,
    /// No super node answered within the time limit of a search.
    #[error("no super node answered within the time limit of a search")]
    TimedOut,
}

/// What a super node or login server tells of its work: for its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ServerEvent {
    /// Login server: a user was registered. Super node: a user's certificate and presence were accepted.
    Registered {
        /// The user.
        user: String,
    },
    /// Login server: a certificate was issued.
    Certified {
        /// The user.
        user: String,
    },
    /// Super node: a call that it relayed for is over.
    Relayed {
        /// Media packets that were passed on, both ways.
        packets: u64,
        /// Their bytes, without what UDP or TCP put around them.
        bytes: u64,
    },
    /// A request was refused, by the rules.
    Refused {
        /// Who asked.
        from: SocketAddrV4,
        /// Why, in one sentence.
        why: String,
    },
    /// A peer broke the protocol, and its connection was closed.
    Misbehaved {
        /// Who.
        from: SocketAddrV4,
        /// What was wrong, in one sentence.
        what: String,
    },
}
