//! Voice that a peer sends: packets with any numbers at any times go through the jitter buffer, and any packet into the
//! decoder. The buffer holds no more than it says, and every sound has its length.
//!
//! Of each three bytes the first is how many milliseconds later, the others make the number and the packet.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use overlay_voice::codec::{Decoder, PACKET_BYTES};
use overlay_voice::jitter::{JitterBuffer, JitterConfig, MOST_AHEAD, Playout};

/// A packet's number: near the last one, or at an end of what a number can be.
fn sequence(last: u32, step: u8) -> u32 {
    match step {
        0 => 0,
        1 => u32::MAX,
        2 => u32::MAX - 1,
        3 => last.wrapping_add(u32::MAX / 2),
        _ => last.wrapping_add(u32::from(step)).wrapping_sub(130),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = JitterBuffer::new(JitterConfig::default());
    let mut decoder = Decoder::new().expect("the codec is there");
    let (mut now, mut last) = (Duration::ZERO, 0);
    for piece in bytes.chunks_exact(3) {
        now += Duration::from_millis(piece[0].into());
        last = sequence(last, piece[1]);
        // Mostly of the length that packets have, with what the input goes on with.
        let length = if piece[2] < 16 { usize::from(piece[2]) } else { PACKET_BYTES };
        let voice = bytes.iter().copied().cycle().skip(piece[2].into()).take(length).collect();
        buffer.push(now, last, voice);
        assert!(buffer.waiting() <= MOST_AHEAD as usize, "{}", buffer.waiting());
        while let Some(playout) = buffer.pop(now) {
            let sound = match playout {
                Playout::Packet { voice, .. } => decoder.decode(&voice),
                Playout::Conceal => decoder.conceal(),
            };
            if let Ok(samples) = sound {
                assert!(samples.iter().all(|sample| sample.is_finite()));
            }
        }
    }
});
