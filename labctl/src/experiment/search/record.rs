//! What is written down of a search, one JSON object a line. `docs/data-formats.md` describes it.

use std::net::SocketAddrV4;

use overlay_control::{DirectoryStatus, FoundUser, SearchLine, SearchSummary};
use serde::{Deserialize, Serialize};

use crate::experiment::record::{Failure, Outside, Seen};
use crate::meter::{Timestamp, Traffic};
use crate::names::NodeName;

/// Which user is searched for, and what is known of them on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// A user who is online; no super node keeps the result of an earlier search.
    Cold,
    /// The same user again, at once: the client's super node keeps what was found.
    Warm,
    /// A user who has logged out.
    Offline,
    /// A user who was not seen for a record's lifetime.
    Expired,
    /// A user who never existed.
    Unknown,
}

impl Case {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 5] = [Self::Cold, Self::Warm, Self::Offline, Self::Expired, Self::Unknown];

    /// The name in records, tables and file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Offline => "offline",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }

    /// True for the user who exists and is online.
    #[must_use]
    pub const fn is_of_existing_user(self) -> bool {
        matches!(self, Self::Cold | Self::Warm)
    }
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The user is online.
    Online,
    /// The user is known, and offline.
    Offline,
    /// No node knows the user.
    Unknown,
}

/// One search by one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// The case.
    pub case: Case,
    /// Its number among those of its case, from 1.
    pub trial: u32,
    /// The client.
    pub client: NodeName,
    /// The gateway that the client is behind.
    pub gateway: Option<NodeName>,
    /// The user who searches.
    pub searcher: String,
    /// The user who is searched for.
    pub user: String,
    /// When the search command was sent; `None` if it could not be.
    pub started: Option<Timestamp>,
    /// From the search command to the last event, in seconds, by labctl's monotonic clock.
    pub latency_s: Option<f64>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// What the meter saw at the client; `None` if it failed. The connection to the super node was made before
    /// the search, so its bytes are in `left_over`.
    pub seen: Option<Seen>,
    /// What passed the gateway's outside meanwhile; `None` without a gateway.
    pub outside: Option<Outside>,
    /// Nodes that the client exchanged packets with, by the packets.
    pub contacted: Option<u64>,
    /// Latency over the round trip between the client and the one that it searched for.
    pub path_stretch: Option<f64>,
    /// The user, as the client has it.
    pub found: Option<FoundUser>,
    /// The client's own account: batches, nodes asked, hops, where the record came from.
    pub summary: Option<SearchSummary>,
    /// File of the packets, in the run's directory.
    pub packets: String,
    /// Why the trial does not count; `None` if it does.
    pub failure: Option<Failure>,
}

impl SearchRecord {
    /// All that passed at the client while it searched, whenever the flow began.
    #[must_use]
    pub fn traffic(&self) -> Option<Traffic> {
        self.seen.as_ref().map(|seen| {
            let mut all = seen.traffic;
            all.udp += seen.left_over.udp;
            all.tcp += seen.left_over.tcp;
            all
        })
    }
}

/// One event of one search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchEventRecord {
    /// The case.
    pub case: Case,
    /// Number of the trial.
    pub trial: u32,
    /// The client.
    pub client: NodeName,
    /// From the search command to the arrival of the event, in seconds, by labctl's monotonic clock.
    pub received_s: f64,
    /// What the client said.
    #[serde(flatten)]
    pub line: SearchLine,
}

/// A super node's part of the directory during a run, by its own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuperNodeRecord {
    /// Name in the topology, with the number of the instance.
    pub name: String,
    /// Its address.
    pub address: SocketAddrV4,
    /// Connections that are established at the end.
    pub clients: usize,
    /// What it holds at the end, and what it did during the searches.
    #[serde(flatten)]
    pub directory: DirectoryStatus,
}
