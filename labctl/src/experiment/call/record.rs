//! What is written down of a call. `docs/call.md` describes it.

use std::net::SocketAddrV4;

use overlay_control::VoiceSummary;
use overlay_voice::quality::Rating;
use serde::{Deserialize, Serialize};

use crate::meter::{Timestamp, Traffic, Transport};
use crate::names::NodeName;

/// One call, by the meters beside the nodes, and where they cannot know, by the nodes themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The caller's node.
    pub from: NodeName,
    /// The callee's node.
    pub to: NodeName,
    /// When the caller's node was told to call.
    pub started: Option<Timestamp>,
    /// How long they were to talk, in seconds; none in records of a labctl that did not write it down.
    #[serde(default)]
    pub talk_s: Option<f64>,
    /// From `started` until it rang, by labctl's clock, in seconds.
    pub ringing_s: Option<f64>,
    /// From then until it was answered, in seconds: search, signalling, media path, and the callee's node, which
    /// answers as soon as it can.
    pub setup_s: Option<f64>,
    /// From the caller's hanging up until the callee's end of the call, in seconds.
    pub teardown_s: Option<f64>,
    /// How each end says that the call ended: caller, callee.
    pub ended: [Option<String>; 2],
    /// Why the experiment has no call to show; none if it has.
    pub failure: Option<String>,
    /// TCP connections of the two ends other than media's, in the order in which they began.
    pub signalling: Vec<Connection>,
    /// Everything at the caller that is not media: until the answer, and from there to the end.
    pub until_answer: Traffic,
    /// See [`CallRecord::until_answer`]; this is keep-alive, and what ends the call.
    pub during: Traffic,
    /// Everything at the caller on the ways that media took, from the start to the end, what opens and checks them
    /// included; none in records of a labctl that did not write it down. With the two before, it is all that passed.
    #[serde(default)]
    pub media: Option<Traffic>,
    /// The ways that media took, one for each end and path, in the order in which they began.
    pub legs: Vec<Leg>,
    /// Caller to callee, and back.
    pub ways: Vec<Way>,
    /// What each super node exchanged with the two ends while they talked, by a meter at the super node.
    pub nodes: Vec<NodeShare>,
    /// What passed each gateway's outside while they talked.
    pub gateways: Vec<GatewayShare>,
    /// File names of the packets, below the run's directory.
    pub packets: Vec<String>,
    /// File names of what was heard, below the run's directory: at the caller, at the callee.
    pub heard: Vec<String>,
}

/// A TCP connection that is no media path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Whose end was metered.
    pub at: NodeName,
    /// Who opened it, if that was seen: true if this end did.
    pub opened_here: bool,
    /// The other end's address.
    pub remote: SocketAddrV4,
    /// Who has that address.
    pub peer: String,
    /// TCP payload in both directions.
    pub payload_bytes: u64,
}

/// The way of media at one end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Whose end.
    pub at: NodeName,
    /// UDP or TCP.
    pub transport: Transport,
    /// The other end's address.
    pub remote: SocketAddrV4,
    /// Who has that address: the other end's node or gateway, or a relay.
    pub peer: String,
    /// True if that is neither the other end nor a gateway before it.
    pub relayed: bool,
    /// First media packet, in seconds after the start.
    pub first_s: f64,
    /// Last media packet.
    pub last_s: f64,
    /// Media packets, sent and received.
    pub packets: [u64; 2],
}

/// One direction of the media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// Who speaks.
    pub from: NodeName,
    /// Who hears.
    pub to: NodeName,
    /// Media packets that left the speaker.
    pub sent: u64,
    /// Of these, how many came to the hearer.
    pub received: u64,
    /// Packets a second, at the speaker.
    pub packets_s: f64,
    /// UDP or TCP payload of media a second, at the speaker.
    pub payload_bytes_s: f64,
    /// Mean payload of a packet, in bytes.
    pub payload_bytes: f64,
    /// Share of the packets that did not come, 0 to 1.
    pub loss: f64,
    /// Interarrival jitter (RFC 3550, section 6.4.1), its mean, in milliseconds.
    pub jitter_ms: f64,
    /// One-way delay from the speaker's interface to the hearer's, mean and longest, in milliseconds.
    pub network_ms: [f64; 2],
    /// Longest silence between two packets that came, in milliseconds.
    pub longest_gap_ms: f64,
    /// By the hearer's node: what became of the voice.
    pub voice: Option<VoiceSummary>,
    /// Packet time, coder, network and jitter buffer together, in milliseconds.
    pub mouth_to_ear_ms: Option<f64>,
    /// By the E-model (ITU-T G.107).
    pub rating: Option<Rating>,
}

/// A super node's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeShare {
    /// Which, by its address.
    pub name: String,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// UDP payload to and from the two ends.
    pub udp_bytes: u64,
    /// TCP payload to and from them.
    pub tcp_bytes: u64,
    /// Packets of both that carried payload.
    pub packets: u64,
}

/// A gateway's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayShare {
    /// Which.
    pub name: NodeName,
    /// UDP packets outside, both ways.
    pub udp_packets: u64,
    /// TCP packets outside, both ways.
    pub tcp_packets: u64,
}

/// One line of `events.ndjson`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEventRecord {
    /// Whose event.
    pub node: NodeName,
    /// When labctl got it: seconds after the start.
    pub received_s: f64,
    /// What the node told.
    #[serde(flatten)]
    pub line: overlay_control::CallLine,
}
