//! Counts and captures a node's packets from outside the node.
//!
//! A [`Capture`] takes every packet that passes one interface of one network namespace, with the
//! kernel's time, and hands it to a [`Sink`]. [`FlowTable`] counts, [`pcapng`] keeps. Nothing in here
//! asks the program under test.

mod capture;
mod flow;
mod packet;
mod packet_socket;
pub mod pcapng;
pub mod pcapng_reader;
mod sequence;

pub use capture::{Capture, CaptureError, Place, Sink};
pub use flow::{Added, Apart, Count, Flow, FlowKey, FlowTable, Traffic, TwoWay};
pub use packet::{Direction, FragmentKey, Packet, Parsed, Segment, Timestamp, Transport, parse};
pub use packet_socket::Statistics;
pub use sequence::Coverage;
