//! What the machines tell their owners.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    /// No login server could be reached.
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
