//! A speech sample that is made by rule, so that it is nobody's recording and the same everywhere.
//!
//! A formant synthesiser in the manner of Klatt (1980): a voice source and a noise source, filtered by
//! resonators that follow the phonemes' formants. Formants of vowels: Peterson and Barney (1952), men.

mod phonemes;
mod synthesiser;

use self::phonemes::parse;
use self::synthesiser::speak;

/// What is said: phonemes in ARPABET, `|` a short pause, `.` a long one. One sentence a line.
const TEXT: &str = "
    HH EH L OW | AE L IH S . K AE N Y UW HH IH R M IY .
    DH IH S IH Z AH K AO L TH R UW DH IY OW V ER L EY .
    W AH N | T UW | TH R IY | F AO R | F AY V | S IH K S | S EH V AH N | EY T .
    DH AH V OY S IH Z K OW D AH D | AE N D S EH N T IH N S M AO L P AE K IH T S .
    S AH M AH V DH EH M M EY B IY L EY T | AO R L AO S T .
    AY W IH L T AO K AH N T IH L DH AH S AE M P AH L EH N D Z .
    P L IY Z L IH S AH N | AE N D T EH L M IY W AH T Y UW HH IH R .
    G UH D B AY .
";

/// The sample: about 20 s, samples from -1 to 1 at [`crate::SAMPLE_RATE`]. The same each time.
#[must_use]
pub fn sample() -> Vec<f32> {
    speak(&parse(TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SAMPLE_RATE;

    /// How strong the sound is at a frequency (Goertzel).
    fn at_frequency(samples: &[f32], hertz: f32) -> f32 {
        let step = hertz / SAMPLE_RATE as f32 * std::f32::consts::TAU;
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (place, sample) in samples.iter().enumerate() {
            real += sample * (step * place as f32).cos();
            imaginary += sample * (step * place as f32).sin();
        }
        (real * real + imaginary * imaginary) / samples.len() as f32
    }

    /// Mean strength between two frequencies.
    fn band(samples: &[f32], from: u16, to: u16) -> f32 {
        let steps = (from..to).step_by(10);
        let count = steps.len() as f32;
        steps.map(|hertz| at_frequency(samples, f32::from(hertz))).sum::<f32>() / count
    }

    #[test]
    fn the_sample_has_about_20_seconds_and_is_the_same_each_time() {
        let sample = sample();
        let seconds = sample.len() as f32 / SAMPLE_RATE as f32;
        assert!((18.0..24.0).contains(&seconds), "{seconds} s");
        assert_eq!(sample, super::sample());
        let peak = sample.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.5..=0.9).contains(&peak), "{peak}");
    }

    #[test]
    fn there_are_words_and_pauses() {
        let sample = sample();
        let frames: Vec<f32> = sample
            .chunks(SAMPLE_RATE as usize / 50)
            .map(|frame| frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32)
            .collect();
        let silent = frames.iter().filter(|&&energy| energy < 1e-6).count();
        let loud = frames.iter().filter(|&&energy| energy > 1e-3).count();
        assert!(silent > frames.len() / 20, "{silent} of {}", frames.len());
        assert!(loud > frames.len() / 3, "{loud} of {}", frames.len());
    }

    #[test]
    fn a_vowel_is_strong_at_its_formants_and_a_hiss_is_high() {
        let vowel = speak(&parse("IY IY IY IY"));
        let middle = &vowel[vowel.len() / 4..vowel.len() * 3 / 4];
        // Peterson and Barney: 270, 2,290 and 3,010 Hz.
        assert!(band(middle, 200, 350) > 4.0 * band(middle, 900, 1_500));
        assert!(band(middle, 2_150, 2_450) > 2.0 * band(middle, 1_200, 1_700));
        let hiss = speak(&parse("S S S S"));
        let middle = &hiss[hiss.len() / 4..hiss.len() * 3 / 4];
        assert!(band(middle, 4_500, 6_500) > 10.0 * band(middle, 300, 1_500));
    }
}
