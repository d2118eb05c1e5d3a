//! Writes the speech sample, and the same after coding and decoding, to listen to:
//! `cargo run -p overlay-voice --example sample -- said.wav heard.wav`.

use std::error::Error;
use std::path::Path;

use overlay_voice::codec::{Decoder, Encoder, PACKET_SAMPLES};
use overlay_voice::{speech, wav};

fn main() -> Result<(), Box<dyn Error>> {
    let mut names = std::env::args().skip(1);
    let (Some(said), Some(heard)) = (names.next(), names.next()) else {
        return Err("give two names: SAID.wav HEARD.wav".into());
    };
    let sample = speech::sample();
    wav::write(Path::new(&said), &sample)?;
    let (mut encoder, mut decoder) = (Encoder::new()?, Decoder::new()?);
    let mut played = Vec::with_capacity(sample.len());
    for packet in sample.as_chunks::<PACKET_SAMPLES>().0 {
        played.extend(decoder.decode(&encoder.encode(packet)?)?);
    }
    wav::write(Path::new(&heard), &played)?;
    Ok(())
}
