//! Phonemes: formants, sources and lengths.

/// What the two sources and the resonators do at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target {
    /// First three formants, in hertz.
    pub formants: [f32; 3],
    /// Strength of the voice, 0 to 1.
    pub voice: f32,
    /// Strength of noise at the glottis, which the formants shape.
    pub breath: f32,
    /// Strength of noise in the mouth.
    pub hiss: f32,
    /// Where that noise is strongest, in hertz, and how broad it is.
    pub hiss_at: (f32, f32),
}

/// A stretch of sound: from one target to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Segment {
    pub from: Target,
    pub to: Target,
    /// In milliseconds.
    pub length: f32,
    /// The voice's melody begins anew.
    pub ends_sentence: bool,
}

const QUIET: Target = Target {
    formants: [500.0, 1_500.0, 2_500.0],
    voice: 0.0,
    breath: 0.0,
    hiss: 0.0,
    hiss_at: (3_000.0, 2_000.0),
};

const fn voiced(first: f32, second: f32, third: f32) -> Target {
    Target { formants: [first, second, third], voice: 1.0, ..QUIET }
}

const fn softer(target: Target, voice: f32) -> Target {
    Target { voice, ..target }
}

const fn hissing(hiss: f32, at: f32, width: f32, voice: f32) -> Target {
    Target { hiss, hiss_at: (at, width), voice, formants: [350.0, 1_600.0, 2_500.0], ..QUIET }
}

// Vowels.
const IY: Target = voiced(270.0, 2_290.0, 3_010.0);
const IH: Target = voiced(390.0, 1_990.0, 2_550.0);
const EH: Target = voiced(530.0, 1_840.0, 2_480.0);
const AE: Target = voiced(660.0, 1_720.0, 2_410.0);
const AH: Target = voiced(640.0, 1_190.0, 2_390.0);
const AA: Target = voiced(730.0, 1_090.0, 2_440.0);
const AO: Target = voiced(570.0, 840.0, 2_410.0);
const UH: Target = voiced(440.0, 1_020.0, 2_240.0);
const UW: Target = voiced(300.0, 870.0, 2_240.0);
const ER: Target = voiced(490.0, 1_350.0, 1_690.0);
// Their neighbours.
const L: Target = softer(voiced(360.0, 1_300.0, 2_700.0), 0.7);
const R: Target = softer(voiced(310.0, 1_060.0, 1_380.0), 0.7);
const W: Target = softer(voiced(290.0, 610.0, 2_150.0), 0.7);
const Y: Target = softer(voiced(260.0, 2_070.0, 3_020.0), 0.7);
const M: Target = softer(voiced(250.0, 1_000.0, 2_200.0), 0.45);
const N: Target = softer(voiced(250.0, 1_500.0, 2_450.0), 0.45);

/// Reads phonemes; names that do not exist are a defect of the text above and end the program.
pub(super) fn parse(text: &str) -> Vec<Segment> {
    text.split_whitespace().flat_map(|name| segments(name).into_iter().flatten()).collect()
}

/// A phoneme is one stretch, or two: a stop is a closure and a burst.
fn segments(name: &str) -> [Option<Segment>; 2] {
    let steady = |target, length| [Some(segment(target, target, length)), None];
    let glide = |from, to| [Some(segment(from, to, 170.0)), None];
    let stop = |voice, burst: Target, length| {
        let closure = Target { voice, formants: [200.0, burst.formants[1], burst.formants[2]], ..QUIET };
        [Some(segment(closure, closure, 60.0)), Some(segment(burst, burst, length))]
    };
    match name {
        "IY" => steady(IY, 120.0),
        "IH" => steady(IH, 80.0),
        "EH" => steady(EH, 100.0),
        "AE" => steady(AE, 130.0),
        "AH" => steady(AH, 75.0),
        "AO" => steady(AO, 140.0),
        "UH" => steady(UH, 90.0),
        "UW" => steady(UW, 120.0),
        "ER" => steady(ER, 110.0),
        "EY" => glide(EH, IY),
        "AY" => glide(AA, IY),
        "OW" => glide(AO, UW),
        "OY" => glide(AO, IY),
        "L" => steady(L, 65.0),
        "R" => steady(R, 65.0),
        "W" => steady(W, 65.0),
        "Y" => steady(Y, 55.0),
        "M" => steady(M, 75.0),
        "N" => steady(N, 70.0),
        "S" => steady(hissing(0.5, 5_500.0, 1_500.0, 0.0), 105.0),
        "Z" => steady(hissing(0.3, 5_500.0, 1_500.0, 0.35), 75.0),
        "F" => steady(hissing(0.15, 4_500.0, 4_000.0, 0.0), 95.0),
        "V" => steady(hissing(0.1, 4_500.0, 4_000.0, 0.4), 60.0),
        "TH" => steady(hissing(0.12, 6_000.0, 4_000.0, 0.0), 85.0),
        "DH" => steady(hissing(0.08, 5_500.0, 4_000.0, 0.45), 45.0),
        "HH" => steady(Target { breath: 0.3, formants: AH.formants, ..QUIET }, 60.0),
        "P" => stop(0.0, hissing(0.25, 1_000.0, 1_500.0, 0.0), 25.0),
        "T" => stop(0.0, hissing(0.4, 4_500.0, 2_000.0, 0.0), 30.0),
        "K" => stop(0.0, hissing(0.4, 2_000.0, 1_000.0, 0.0), 35.0),
        "B" => stop(0.2, hissing(0.15, 900.0, 1_500.0, 0.4), 15.0),
        "D" => stop(0.2, hissing(0.2, 4_000.0, 2_000.0, 0.4), 15.0),
        "G" => stop(0.2, hissing(0.2, 1_900.0, 1_000.0, 0.4), 20.0),
        "|" => steady(QUIET, 160.0),
        "." => [Some(Segment { ends_sentence: true, ..segment(QUIET, QUIET, 420.0) }), None],
        other => unreachable!("the text of the sample has no phoneme {other}"),
    }
}

fn segment(from: Target, to: Target, length: f32) -> Segment {
    Segment { from, to, length, ends_sentence: false }
}
