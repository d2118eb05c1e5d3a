//! The sound of one end of a call: what is said is coded, what is heard goes through the jitter buffer to a file.

use std::path::Path;
use std::time::Duration;

use overlay_control::VoiceSummary;
use overlay_voice::codec::{CodecError, Decoder, Encoder, PACKET_SAMPLES, PACKET_TIME};
use overlay_voice::jitter::{JitterBuffer, JitterConfig, Playout};
use overlay_voice::quality::burst_ratio;
use overlay_voice::wav::{Recorder, WavError};

/// Playouts whose fate is kept, to tell bursts of loss: an hour and a half.
const MOST_FATES: usize = 400_000;

/// What can go wrong with sound.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    /// The codec.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A file.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// A file with nothing in it.
    #[error("the sound file holds less than one packet ({PACKET_SAMPLES} samples)")]
    Empty,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Conversation {
    said: Vec<f32>,
    at: usize,
    packets_said: u64,
    encoder: Encoder,
    decoder: Decoder,
    buffer: JitterBuffer,
    recorder: Option<Recorder>,
    look_ahead: Duration,
    /// True for each playout that was concealed.
    fates: Vec<bool>,
    /// The longest time by which sound was sent or played too late.
    latest: Duration,
}

impl Conversation {
    /// Says `said` over and over; writes what is heard to the file.
    pub fn new(said: Vec<f32>, heard: Option<&Path>) -> Result<Self, VoiceError> {
        if said.len() < PACKET_SAMPLES {
            return Err(VoiceError::Empty);
        }
        let mut encoder = Encoder::new()?;
        let look_ahead = encoder.look_ahead()?;
        Ok(Self {
            said,
            at: 0,
            packets_said: 0,
            encoder,
            decoder: Decoder::new()?,
            buffer: JitterBuffer::new(JitterConfig::default()),
            recorder: heard.map(Recorder::create).transpose()?,
            look_ahead,
            fates: Vec::new(),
            latest: Duration::ZERO,
        })
    }

    /// Something was due, and the program came so much later.
    pub fn came_late(&mut self, by: Duration) {
        self.latest = self.latest.max(by);
    }

    /// The next packet to send.
    pub fn say(&mut self) -> Result<Vec<u8>, VoiceError> {
        let samples = std::array::from_fn(|place| self.said[(self.at + place) % self.said.len()]);
        self.at = (self.at + PACKET_SAMPLES) % self.said.len();
        self.packets_said += 1;
        Ok(self.encoder.encode(&samples)?.to_vec())
    }

    /// A packet came in at `now`.
    pub fn heard(&mut self, now: Duration, sequence: u32, voice: Vec<u8>) {
        self.buffer.push(now, sequence, voice);
    }

    /// When the next sound is due.
    pub fn next_playout(&self) -> Option<Duration> {
        self.buffer.next_playout()
    }

    /// Plays what is due at `now`.
    pub fn play(&mut self, now: Duration) -> Result<(), VoiceError> {
        while let Some(playout) = self.buffer.pop(now) {
            // A packet of another profile is as good as lost.
            let decoded = match &playout {
                Playout::Packet { voice, .. } => self.decoder.decode(voice).ok(),
                Playout::Conceal => None,
            };
            if self.fates.len() < MOST_FATES {
                self.fates.push(decoded.is_none());
            }
            let samples = match decoded {
                Some(samples) => samples,
                None => self.decoder.conceal()?,
            };
            if let Some(recorder) = &mut self.recorder {
                recorder.write(&samples)?;
            }
        }
        Ok(())
    }

    /// Completes the file, and tells what became of the voice.
    pub fn finish(mut self) -> Result<VoiceSummary, VoiceError> {
        // What came before the end is heard.
        while let Some(due) = self.next_playout().filter(|_| self.buffer.waiting() > 0) {
            self.play(due)?;
        }
        if let Some(recorder) = self.recorder {
            recorder.finish()?;
        }
        let counts = self.buffer.counts();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        Ok(VoiceSummary {
            said: self.packets_said,
            played: counts.played,
            lost: counts.lost,
            late: counts.late,
            duplicates: counts.duplicates,
            stretched: counts.stretched,
            skipped: counts.skipped,
            buffer_ms: counts.waited_us as f64 / counts.played.max(1) as f64 / 1e3,
            packet_ms: milliseconds(PACKET_TIME),
            look_ahead_ms: milliseconds(self.look_ahead),
            burst_ratio: burst_ratio(&self.fates),
            machine_late_ms: milliseconds(self.latest),
        })
    }
}
