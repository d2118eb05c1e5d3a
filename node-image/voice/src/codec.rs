//! Opus (RFC 6716) at a constant rate, in packets shaped like those that were measured in 2006.
//!
//! # Where the numbers come from
//!
//! Published: about 67 bytes of UDP payload a packet, about 5 kB/s each way, no silence suppression. Together
//! that is a packet each 67 / 5,000 s = 13.4 ms. Opus frames last 2.5, 5, 10 or 20 ms and more, and all frames of
//! a packet are of one length, so the nearest packet times are 12.5 ms (five frames of 2.5 ms, which code
//! speech badly) and **15 ms** (three of 5 ms). At 15 ms the payload must have 67.5 to 73.7 bytes for payload and
//! byte rate to be both within a tenth of the published figures:
//!
//! | part | bytes |
//! | --- | --- |
//! | the media packet around the voice: stream, sequence number, tag | 12 |
//! | Opus: one byte of configuration, one of frame count, three frames of 19 | 59 |
//! | UDP payload | 71 (published 67: +6.0 %) |
//! | per second, 1 / 15 ms packets | 4,733 (published 5,000: -5.3 %) |
//!
//! A frame of 19 bytes and the configuration byte that the encoder puts before each, 20 bytes in 5 ms, are the
//! encoder's 32 kbit/s. The codec of 2006 (iSAC) had 10 to 32 kbit/s.

use std::time::Duration;

use opusic_c::{Application, Bandwidth, Bitrate, Channels, ErrorCode, SampleRate, Signal};
use thiserror::Error;

use crate::SAMPLE_RATE;

/// What one packet plays for.
pub const PACKET_TIME: Duration = Duration::from_millis(15);
/// Samples in a packet.
pub const PACKET_SAMPLES: usize = FRAMES * FRAME_SAMPLES;
/// Bytes of a coded packet: always these, in speech and in silence.
pub const PACKET_BYTES: usize = 2 + FRAMES * FRAME_BYTES;

const FRAME_COUNT: u8 = 3;
const FRAMES: usize = FRAME_COUNT as usize;
/// 5 ms.
const FRAME_SAMPLES: usize = SAMPLE_RATE as usize / 200;
const FRAME_BYTES: usize = 19;
/// What the encoder yields for a frame: the configuration byte and the frame.
const ENCODED: usize = 1 + FRAME_BYTES;
/// Bits each second: [`ENCODED`] bytes for each 5 ms.
const BIT_RATE: u32 = 32_000;
/// RFC 6716, section 3.1: the two low bits of the configuration byte say how frames are counted; 3 is "the next
/// byte says".
const COUNTED: u8 = 3;

/// The codec failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// What libopus says.
    #[error("the Opus library cannot {doing}: {error:?}")]
    Opus {
        /// What was being done.
        doing: &'static str,
        /// Its code.
        error: ErrorCode,
    },
    /// A packet that this profile does not send.
    #[error(
        "a packet of {bytes} bytes that plays {samples} samples; this profile has {PACKET_BYTES} bytes for {PACKET_SAMPLES}"
    )]
    Foreign {
        /// Its length.
        bytes: usize,
        /// What it would play; 0 if it is no Opus packet.
        samples: usize,
    },
}

fn failed(doing: &'static str) -> impl Fn(ErrorCode) -> CodecError {
    move |error| CodecError::Opus { doing, error }
}

/// Samples to packets.
pub struct Encoder {
    opus: opusic_c::Encoder,
}

impl Encoder {
    /// An encoder at the beginning of a stream.
    pub fn new() -> Result<Self, CodecError> {
        let make = || {
            let mut opus =
                opusic_c::Encoder::new(Channels::Mono, SampleRate::Hz16000, Application::LowDelay)?;
            opus.set_bitrate(Bitrate::Value(BIT_RATE))?;
            opus.set_vbr(false)?;
            opus.set_dtx(false)?;
            opus.set_bandwidth(Bandwidth::Wide)?;
            opus.set_signal(Signal::Voice)?;
            opus.set_complexity(5)?;
            Ok(opus)
        };
        Ok(Self { opus: make().map_err(failed("make an encoder"))? })
    }

    /// Codes 15 ms of sound, samples from -1 to 1.
    pub fn encode(&mut self, samples: &[f32; PACKET_SAMPLES]) -> Result<[u8; PACKET_BYTES], CodecError> {
        let mut packet = [0; PACKET_BYTES];
        let (head, frames) = packet.split_at_mut(2);
        head[1] = FRAME_COUNT;
        for (samples, room) in samples.chunks_exact(FRAME_SAMPLES).zip(frames.chunks_exact_mut(FRAME_BYTES)) {
            let mut frame = [0; ENCODED];
            let length =
                self.opus.encode_float_to_slice(samples, &mut frame).map_err(failed("encode a frame"))?;
            if length != ENCODED {
                return Err(CodecError::Foreign { bytes: length, samples: FRAME_SAMPLES });
            }
            room.copy_from_slice(&frame[1..]);
            // The same for every frame, since nothing of the configuration changes.
            head[0] = frame[0] | COUNTED;
        }
        Ok(packet)
    }

    /// Sound that the coding holds back, beside the packet time.
    pub fn look_ahead(&mut self) -> Result<Duration, CodecError> {
        let samples = self.opus.get_look_ahead().map_err(failed("tell its look-ahead"))?;
        Ok(Duration::from_secs(1) * samples / SAMPLE_RATE)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder(..)")
    }
}

/// Packets to samples.
pub struct Decoder {
    opus: opusic_c::Decoder,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Result<Self, CodecError> {
        let opus =
            opusic_c::Decoder::new(Channels::Mono, SampleRate::Hz16000).map_err(failed("make a decoder"))?;
        Ok(Self { opus })
    }

    /// The sound of a packet: samples from about -1 to 1.
    pub fn decode(&mut self, packet: &[u8]) -> Result<[f32; PACKET_SAMPLES], CodecError> {
        let samples = self.opus.get_nb_samples(packet).unwrap_or(0);
        if packet.len() != PACKET_BYTES || samples != PACKET_SAMPLES {
            return Err(CodecError::Foreign { bytes: packet.len(), samples });
        }
        self.play(packet)
    }

    /// Sound in the place of a packet that did not come: the voice's last pitch, fading away within some
    /// packets (libopus, packet loss concealment).
    pub fn conceal(&mut self) -> Result<[f32; PACKET_SAMPLES], CodecError> {
        self.play(&[])
    }

    fn play(&mut self, packet: &[u8]) -> Result<[f32; PACKET_SAMPLES], CodecError> {
        let mut samples = [0.0; PACKET_SAMPLES];
        self.opus.decode_float_to_slice(packet, &mut samples, false).map_err(failed("decode a packet"))?;
        Ok(samples)
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 400 Hz.
    fn tone(packet: usize) -> [f32; PACKET_SAMPLES] {
        std::array::from_fn(|sample| {
            let at = (packet * PACKET_SAMPLES + sample) as f32 / SAMPLE_RATE as f32;
            0.5 * (at * 400.0 * std::f32::consts::TAU).sin()
        })
    }

    fn energy(samples: &[f32]) -> f32 {
        samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn the_profile_meets_the_published_figures_within_a_tenth() {
        let payload = (PACKET_BYTES + 12) as f64;
        assert!((payload / 67.0 - 1.0).abs() < 0.1, "{payload} bytes");
        let rate = payload / PACKET_TIME.as_secs_f64();
        assert!((rate / 5_000.0 - 1.0).abs() < 0.1, "{rate} bytes/s");
        assert_eq!(PACKET_SAMPLES as u128 * 1_000, PACKET_TIME.as_millis() * u128::from(SAMPLE_RATE));
    }

    #[test]
    fn speech_and_silence_have_packets_of_one_size_and_come_back_as_they_were() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        let mut heard = Vec::new();
        for packet in 0..40 {
            let said = if packet < 20 { tone(packet) } else { [0.0; PACKET_SAMPLES] };
            heard.push(energy(&decoder.decode(&encoder.encode(&said).unwrap()).unwrap()));
        }
        assert!((heard[10] - 0.125).abs() < 0.02, "a tone has half its peak's square: {}", heard[10]);
        assert!(heard[30] < 1e-4, "silence stays silent: {}", heard[30]);
    }

    #[test]
    fn a_lost_packet_is_concealed_by_sound_that_fades() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        for packet in 0..20 {
            decoder.decode(&encoder.encode(&tone(packet)).unwrap()).unwrap();
        }
        let first = energy(&decoder.conceal().unwrap());
        let last = (0..40).map(|_| energy(&decoder.conceal().unwrap())).last().unwrap();
        assert!(first > 0.05, "{first}");
        assert!(last < first / 10.0, "{last}");
    }

    #[test]
    fn packets_of_another_profile_are_refused() {
        let mut decoder = Decoder::new().unwrap();
        for bytes in [0, 1, PACKET_BYTES - 1, PACKET_BYTES, 1_000] {
            assert!(matches!(decoder.decode(&vec![0; bytes]), Err(CodecError::Foreign { .. })), "{bytes}");
        }
    }

    #[test]
    fn the_coder_holds_back_a_few_milliseconds_at_most() {
        let held = Encoder::new().unwrap().look_ahead().unwrap();
        assert!(held > Duration::ZERO && held < Duration::from_millis(10), "{held:?}");
    }
}
