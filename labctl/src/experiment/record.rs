//! What is written down of a run, one JSON object a line (NDJSON). `docs/data-formats.md` describes it.

use overlay_control::{EventLine, LoginSummary};
use serde::{Deserialize, Serialize};

use crate::meter::{Apart, Count, Flow, Statistics, Timestamp, Traffic, TwoWay};
use crate::names::NodeName;

/// Whether a client logs in for the first time after installation, or has logged in before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The user is new, and the host cache holds the bootstrap super nodes.
    FirstTime,
    /// The user is known to the login server, and the host cache is full.
    Subsequent,
}

impl Kind {
    /// The name in records, options and file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstTime => "first-time",
            Self::Subsequent => "subsequent",
        }
    }
}

/// One login of one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// First-time or subsequent.
    pub kind: Kind,
    /// Its number among those of its kind, from 1.
    pub trial: u32,
    /// The client.
    pub client: NodeName,
    /// The gateway that the client is behind.
    pub gateway: Option<NodeName>,
    /// The user.
    pub user: String,
    /// Seed of the login.
    pub seed: u64,
    /// Entries in the host cache at the start.
    pub host_cache_entries: usize,
    /// When the login command was sent; `None` if it could not be.
    pub started: Option<Timestamp>,
    /// From the login command to the event `logged-in`, in seconds, by labctl's monotonic clock.
    pub login_s: Option<f64>,
    /// From the login command to the event `finished`, in seconds.
    pub finished_s: Option<f64>,
    /// What the meter saw at the client; `None` if it failed.
    pub seen: Option<Seen>,
    /// What passed the gateway's outside meanwhile; `None` without a gateway.
    pub outside: Option<Outside>,
    /// The client's own account. Nothing is measured by it.
    pub summary: Option<LoginSummary>,
    /// File of the packets, in the run's directory.
    pub packets: String,
    /// Why the trial does not count; `None` if it does.
    pub failure: Option<Failure>,
}

/// What the meter saw at a client's interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// From the login command to the first packet of the login, in seconds.
    pub first_packet_s: Option<f64>,
    /// From the login command to the last packet of the login, in seconds.
    pub last_packet_s: Option<f64>,
    /// Totals of the login: the flows that began after the login command.
    pub traffic: Traffic,
    /// Totals of flows that were left over from before.
    pub left_over: Traffic,
    /// What is in no flow.
    pub apart: Apart,
    /// Every flow.
    pub flows: Vec<Flow>,
    /// What the kernel counted.
    pub kernel: Statistics,
}

/// What passed the outside of a gateway from the login command to the end of the login. With several clients
/// behind the gateway it is the sum of what they did in that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// UDP on the interface `wan`; `received` is before the firewall.
    pub udp: TwoWay,
    /// TCP likewise; payload as in the packets, so retransmissions are in it.
    pub tcp: TwoWay,
}

impl Outside {
    /// UDP packets that left the gateway, or came to it.
    #[must_use]
    pub fn udp_packets(&self) -> u64 {
        let Count { packets, .. } = self.udp.both();
        packets
    }
}

/// Why a trial does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A word for it.
    pub reason: FailureReason,
    /// A sentence.
    pub detail: String,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The client reported that its login failed.
    Login,
    /// The search failed, or ended otherwise than it must.
    Search,
    /// The login or search did not end within the longest time that the protocol can take.
    TimedOut,
    /// The control socket failed.
    Control,
    /// The meter failed, or lost packets.
    Meter,
}

/// One event of one login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// First-time or subsequent.
    pub kind: Kind,
    /// Number of the trial.
    pub trial: u32,
    /// The client.
    pub client: NodeName,
    /// From the login command to the arrival of the event, in seconds, by labctl's monotonic clock.
    pub received_s: f64,
    /// What the client said.
    #[serde(flatten)]
    pub line: EventLine,
}
