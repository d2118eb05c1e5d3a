//! Segments to sound.

use std::f32::consts::{PI, TAU};

use super::phonemes::{Segment, Target};
use crate::SAMPLE_RATE;

const RATE: f32 = SAMPLE_RATE as f32;
/// How often the resonators follow the formants, in samples: each millisecond.
const CONTROL: usize = SAMPLE_RATE as usize / 1_000;
/// How far sounds run into each other, in milliseconds.
const BLEND: f32 = 35.0;
/// The voice's pitch at the beginning of a sentence and what it falls to, in hertz.
const PITCH: (f32, f32) = (128.0, 92.0);
/// Bandwidths of the first three formants and of the fixed fourth, in hertz.
const WIDTHS: [f32; 4] = [70.0, 100.0, 150.0, 250.0];
const FOURTH: f32 = 3_500.0;
/// The loudest sample.
const PEAK: f32 = 0.7;

/// Speaks the segments one after another.
pub(super) fn speak(segments: &[Segment]) -> Vec<f32> {
    let mut voice = Voice::default();
    let mut sound = Vec::new();
    for sentence in segments.split_inclusive(|segment| segment.ends_sentence) {
        let whole: f32 = sentence.iter().map(|segment| segment.length).sum();
        let mut spoken = 0.0;
        for segment in sentence {
            let mut at = 0.0;
            while at < segment.length {
                let share = (spoken + at) / whole;
                // Falls through the sentence, and swings a little as stress does.
                let pitch = PITCH.0 + (PITCH.1 - PITCH.0) * share + 7.0 * (share * 9.0 * TAU).sin();
                voice.follow(&blend(segment, at), pitch);
                for _ in 0..CONTROL {
                    sound.push(voice.next());
                }
                at += 1.0;
            }
            spoken += segment.length;
        }
    }
    let peak = sound.iter().fold(f32::MIN_POSITIVE, |peak, sample| peak.max(sample.abs()));
    sound.into_iter().map(|sample| sample * PEAK / peak).collect()
}

/// The target `at` milliseconds into a segment.
fn blend(segment: &Segment, at: f32) -> Target {
    let share = at / segment.length;
    let mix = |from: f32, to: f32| from + (to - from) * share;
    let (from, to) = (&segment.from, &segment.to);
    Target {
        formants: std::array::from_fn(|place| mix(from.formants[place], to.formants[place])),
        voice: mix(from.voice, to.voice),
        breath: mix(from.breath, to.breath),
        hiss: mix(from.hiss, to.hiss),
        hiss_at: from.hiss_at,
    }
}

/// A resonator of two poles.
#[derive(Clone, Copy, Debug, Default)]
struct Resonator {
    gain: f32,
    first: f32,
    second: f32,
    last: [f32; 2],
}

impl Resonator {
    /// Tunes it to a frequency and bandwidth in hertz, with a gain of 1 at frequency 0.
    fn tune(&mut self, frequency: f32, width: f32) {
        let radius = (-PI * width / RATE).exp();
        self.second = -radius * radius;
        self.first = 2.0 * radius * (TAU * frequency / RATE).cos();
        self.gain = 1.0 - self.first - self.second;
    }

    /// Tunes it with a gain near 1 at its own frequency.
    fn tune_to_peak(&mut self, frequency: f32, width: f32) {
        self.tune(frequency, width);
        let radius = (-PI * width / RATE).exp();
        self.gain = (1.0 - radius)
            * (1.0 + radius * radius - 2.0 * radius * (2.0 * TAU * frequency / RATE).cos()).sqrt();
    }

    fn filter(&mut self, sample: f32) -> f32 {
        let out = self.gain * sample + self.first * self.last[0] + self.second * self.last[1];
        self.last = [out, self.last[0]];
        out
    }
}

/// The sources, the resonators, and what they did last.
#[derive(Debug)]
struct Voice {
    target: Option<Target>,
    pitch: f32,
    /// Where in the glottis' cycle the voice is, 0 to 1.
    cycle: f32,
    formants: [Resonator; 4],
    mouth: Resonator,
    noise: u32,
    lips: f32,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            target: None,
            pitch: PITCH.0,
            cycle: 0.0,
            formants: [Resonator::default(); 4],
            mouth: Resonator::default(),
            noise: 2_006,
            lips: 0.0,
        }
    }
}

impl Voice {
    /// Moves one millisecond towards `wanted`.
    fn follow(&mut self, wanted: &Target, pitch: f32) {
        let step = 2.5 / BLEND;
        let target = self.target.get_or_insert(*wanted);
        let near = |now: &mut f32, wanted: f32| *now += (wanted - *now) * step;
        for (now, wanted) in target.formants.iter_mut().zip(wanted.formants) {
            near(now, wanted);
        }
        // Strengths change faster than the mouth moves: a closure is sudden.
        let soon = |now: &mut f32, wanted: f32| *now += (wanted - *now) * (3.0 * step).min(1.0);
        soon(&mut target.voice, wanted.voice);
        soon(&mut target.breath, wanted.breath);
        soon(&mut target.hiss, wanted.hiss);
        target.hiss_at = wanted.hiss_at;
        self.pitch = pitch;
        for ((resonator, formant), width) in self.formants.iter_mut().zip(target.formants).zip(WIDTHS) {
            resonator.tune(formant, width);
        }
        self.formants[3].tune(FOURTH, WIDTHS[3]);
        self.mouth.tune_to_peak(target.hiss_at.0, target.hiss_at.1);
    }

    fn next(&mut self) -> f32 {
        let Some(target) = self.target else {
            return 0.0;
        };
        self.cycle = (self.cycle + self.pitch / RATE).fract();
        let noise = self.random();
        let source = target.voice * glottis(self.cycle) + target.breath * noise;
        let voiced = self.formants.iter_mut().fold(source, |sound, resonator| resonator.filter(sound));
        // At the lips, sound pressure is the change of flow.
        let radiated = voiced - self.lips;
        self.lips = voiced;
        radiated + target.hiss * self.mouth.filter(noise)
    }

    /// From -1 to 1: a linear congruential generator, so that the noise is the same everywhere.
    fn random(&mut self) -> f32 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.noise >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Flow through the glottis (Rosenberg 1971): opens for 40 % of the cycle, closes for 16 %.
fn glottis(cycle: f32) -> f32 {
    const OPENS: f32 = 0.4;
    const CLOSES: f32 = 0.16;
    if cycle < OPENS {
        0.5 * (1.0 - (PI * cycle / OPENS).cos())
    } else if cycle < OPENS + CLOSES {
        (PI / 2.0 * (cycle - OPENS) / CLOSES).cos()
    } else {
        0.0
    }
}
