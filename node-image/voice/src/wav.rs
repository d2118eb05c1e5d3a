//! WAV files of the one kind that is used: 16 kHz, one channel, 16 bits.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::SAMPLE_RATE;

const SPEC: hound::WavSpec = hound::WavSpec {
    channels: 1,
    sample_rate: SAMPLE_RATE,
    bits_per_sample: 16,
    sample_format: hound::SampleFormat::Int,
};

/// A WAV file that cannot be read or written.
#[derive(Debug, Error)]
pub enum WavError {
    /// The file, or its form.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: hound::Error,
    },
    /// Another kind of sound.
    #[error(
        "{}: {rate} Hz, {channels} channels, {bits} bits; a call takes {SAMPLE_RATE} Hz, one channel, 16 bits: convert it, for instance with `sox IN -r {SAMPLE_RATE} -c 1 -b 16 OUT`",
        path.display()
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// Samples per second.
        rate: u32,
        /// Channels.
        channels: u16,
        /// Bits of a sample.
        bits: u16,
    },
}

/// Reads a file: samples from -1 to 1.
///
/// # Errors
///
/// If it is no WAV file, or of another kind.
pub fn read(path: &Path) -> Result<Vec<f32>, WavError> {
    let failed = |source| WavError::File { path: path.to_owned(), source };
    let mut reader = hound::WavReader::open(path).map_err(failed)?;
    let spec = reader.spec();
    if spec != SPEC {
        let (rate, channels, bits) = (spec.sample_rate, spec.channels, spec.bits_per_sample);
        return Err(WavError::Kind { path: path.to_owned(), rate, channels, bits });
    }
    reader
        .samples::<i16>()
        .map(|sample| sample.map(|sample| f32::from(sample) / 32_768.0).map_err(failed))
        .collect()
}

/// A file that is being written, a piece at a time. It is a whole WAV file only after [`Recorder::finish`].
pub struct Recorder {
    path: PathBuf,
    writer: hound::WavWriter<BufWriter<File>>,
}

impl Recorder {
    /// Makes the file, in place of one that is there.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(path: &Path) -> Result<Self, WavError> {
        let writer = hound::WavWriter::create(path, SPEC)
            .map_err(|source| WavError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Appends samples; what is beyond -1 and 1 is clipped.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn write(&mut self, samples: &[f32]) -> Result<(), WavError> {
        for &sample in samples {
            self.writer
                .write_sample(to_16_bits(sample))
                .map_err(|source| WavError::File { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(self) -> Result<(), WavError> {
        let Self { path, writer } = self;
        writer.finalize().map_err(|source| WavError::File { path, source })
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Writes a whole file.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(path: &Path, samples: &[f32]) -> Result<(), WavError> {
    let mut recorder = Recorder::create(path)?;
    recorder.write(samples)?;
    recorder.finish()
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to what 16 bits hold")]
fn to_16_bits(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_too_loud_is_clipped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wav");
        write(&path, &[0.0, 0.5, -1.0, 2.0]).unwrap();
        assert_eq!(read(&path).unwrap(), [0.0, 0.5, -1.0, 32_767.0 / 32_768.0]);
    }

    #[test]
    fn another_kind_of_file_is_refused_with_the_mend() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wav");
        let stereo = hound::WavSpec { channels: 2, sample_rate: 44_100, ..SPEC };
        hound::WavWriter::create(&path, stereo).unwrap().finalize().unwrap();
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains("44100 Hz, 2 channels") && text.contains("sox IN -r 16000"), "{text}");
        std::fs::write(&path, b"not sound").unwrap();
        assert!(matches!(read(&path), Err(WavError::File { .. })));
    }
}
