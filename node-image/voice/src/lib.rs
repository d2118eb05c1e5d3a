//! The voice of a call: what is said, how it is coded, and how well it is heard.
//!
//! [`speech`] makes a sample, [`codec`] turns it into packets of one size and one pace, [`jitter`] puts what
//! arrives back in order and time, [`wav`] reads and writes files, and [`quality`] rates the result by the
//! E-model. Nothing here has a clock or a socket: moments come from the caller.

pub mod codec;
pub mod jitter;
pub mod quality;
pub mod speech;
pub mod wav;

/// Samples per second, one channel: wideband speech, 50 to 7,000 Hz.
pub const SAMPLE_RATE: u32 = 16_000;
