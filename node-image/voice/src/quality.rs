//! How well a call is heard: the transmission rating factor R and the mean opinion score, by the E-model (ITU-T
//! G.107, narrowband).
//!
//! All terms of the model are computed: R = Ro - Is - Id - Ie,eff + A. What a lab can tell is the one-way delay,
//! packet loss and its burstiness; every other input has the default of G.107, table 2. The model was made for
//! telephone bandwidth; voice of 7 kHz is rated as if it were cut to it, so the score is a cautious one.
//!
//! # The codec's own impairment
//!
//! G.113 has no equipment impairment factor (Ie) and robustness (Bpl) for Opus. Taken here: Ie = 7, which G.113
//! has for the ADPCM of G.726 at the same 32 kbit/s, an older and cruder codec; and Bpl = 25.1, which it has for
//! G.711 with concealment, that repeats the pitch as Opus does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ie of the codec in use.
pub const CODEC_IMPAIRMENT: f64 = 7.0;
/// Bpl of the codec in use, in per cent.
pub const CODEC_ROBUSTNESS: f64 = 25.1;

/// What a lab measures of a call, one way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impairments {
    /// From mouth to ear, in milliseconds.
    pub delay_ms: f64,
    /// Share of the packets that were not played: lost or late; 0 to 1.
    pub loss: f64,
    /// How much longer bursts of loss are than with the same loss at random (`BurstR`, 1 and up).
    pub burst_ratio: f64,
    /// Ie.
    pub codec_impairment: f64,
    /// `Bpl`, in per cent.
    pub codec_robustness: f64,
}

impl Impairments {
    /// With this project's codec.
    #[must_use]
    pub fn new(delay: Duration, loss: f64, burst_ratio: f64) -> Self {
        Self {
            delay_ms: delay.as_secs_f64() * 1e3,
            loss,
            burst_ratio: burst_ratio.max(1.0),
            codec_impairment: CODEC_IMPAIRMENT,
            codec_robustness: CODEC_ROBUSTNESS,
        }
    }
}

/// The rating and the terms that it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// Ro - Is: what is left by noise, loudness, side tone and quantisation.
    pub base: f64,
    /// Id: delay and echo.
    pub delay: f64,
    /// Ie,eff: codec and packet loss.
    pub equipment: f64,
    /// R, with no advantage (A = 0).
    pub r: f64,
    /// The mean opinion score that users would give, 1 to 4.5.
    pub mos: f64,
}

// Defaults of G.107, table 2.
const SLR: f64 = 8.0;
const RLR: f64 = 2.0;
const STMR: f64 = 15.0;
const DR: f64 = 3.0;
const DS: f64 = 3.0;
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
const QDU: f64 = 1.0;
const NC: f64 = -70.0;
const NFOR: f64 = -64.0;
const PS: f64 = 35.0;
const PR: f64 = 35.0;
/// Shortest delay that is noticed (mT), in milliseconds.
const NOTICED: f64 = 100.0;

/// Rates a call (G.107, equation 7-1).
#[must_use]
pub fn rate(call: &Impairments) -> Rating {
    let no = noise();
    let ro = 15.0 - 1.5 * (SLR + no);
    let base = ro - simultaneous(ro, no, call.delay_ms);
    let delay = delayed(ro, no, call.delay_ms);
    let equipment = equipment(call);
    let r = base - delay - equipment;
    Rating { base, delay, equipment, r, mos: mos(r) }
}

/// The mean opinion score of a rating (G.107, annex B).
#[must_use]
pub fn mos(r: f64) -> f64 {
    match r {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        // The cubic dips below 1 near 0, which annex B of later editions cuts off.
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

/// No: all noise, as if at the 0 dBr point (equations 7-3 to 7-7).
fn noise() -> f64 {
    let olr = SLR + RLR;
    let sender = PS - SLR - DS - 100.0 + 0.004 * (PS - olr - DS - 14.0).powi(2);
    let pre = PR + 10.0 * (1.0 + power((10.0 - (STMR + DR)) / 10.0)).log10();
    let receiver = RLR - 121.0 + pre + 0.008 * (pre - 35.0).powi(2);
    let floor = NFOR + RLR;
    10.0 * [NC, sender, receiver, floor].map(|level| power(level / 10.0)).iter().sum::<f64>().log10()
}

/// Is: loudness, side tone and quantisation (equations 7-8 to 7-17).
fn simultaneous(ro: f64, no: f64, delay_ms: f64) -> f64 {
    let x = (SLR + RLR) + 0.2 * (64.0 + no - RLR);
    let loudness = 20.0 * (root(1.0 + (x / 8.0).powi(8), 8.0) - x / 8.0);
    let stmr = -10.0 * (power(-STMR / 10.0) + (-delay_ms / 4.0).exp() * power(-TELR / 10.0)).log10();
    let side_tone = 12.0 * root(1.0 + ((stmr - 13.0) / 6.0).powi(8), 8.0)
        - 28.0 * root(1.0 + ((stmr + 1.0) / 19.4).powi(35), 35.0)
        - 13.0 * root(1.0 + ((stmr - 3.0) / 33.0).powi(13), 13.0)
        + 29.0;
    let weighted = 37.0 - 15.0 * QDU.log10();
    let steps = 1.07 + 0.258 * weighted + 0.0602 * weighted * weighted;
    let y = (ro - 100.0) / 15.0 + 46.0 / 8.4 - steps / 9.0;
    let z = 46.0 / 30.0 - steps / 40.0;
    loudness + side_tone + 15.0 * (1.0 + power(y) + power(z)).log10()
}

/// Id: echo to the talker and to the listener, and delay alone (equations 7-18 to 7-28).
fn delayed(ro: f64, no: f64, delay_ms: f64) -> f64 {
    let t = delay_ms;
    let terv = TELR - 40.0 * ((1.0 + t / 10.0) / (1.0 + t / 150.0)).log10() + 6.0 * (-0.3 * t * t).exp();
    let gap = -1.5 * (no - RLR) - (80.0 + 2.5 * (terv - 14.0));
    let talker = (gap / 2.0 + (gap * gap / 4.0 + 100.0).sqrt() - 1.0) * (1.0 - (-t).exp());
    let gap = ro - 10.5 * (WEPL + 7.0) * (2.0 * t + 1.0).powf(-0.25);
    let listener = gap / 2.0 + (gap * gap / 4.0 + 169.0).sqrt();
    let absolute = if t <= NOTICED {
        0.0
    } else {
        let x = (t / NOTICED).log2();
        25.0 * (root(1.0 + x.powi(6), 6.0) - 3.0 * root(1.0 + (x / 3.0).powi(6), 6.0) + 2.0)
    };
    talker + listener + absolute
}

/// Ie,eff (equation 7-29).
fn equipment(call: &Impairments) -> f64 {
    let lost = 100.0 * call.loss.clamp(0.0, 1.0);
    let ie = call.codec_impairment;
    if lost == 0.0 {
        return ie;
    }
    ie + (95.0 - ie) * lost / (lost / call.burst_ratio + call.codec_robustness)
}

fn power(exponent: f64) -> f64 {
    10_f64.powf(exponent)
}

fn root(value: f64, degree: f64) -> f64 {
    value.powf(1.0 / degree)
}

/// `BurstR` of a sequence of packets, `true` where one was lost: the mean length of the bursts divided by what it
/// would be if losses were independent (G.107, section 7.5). 1 where nothing, or everything, is lost.
#[must_use]
pub fn burst_ratio(lost: &[bool]) -> f64 {
    let count = lost.iter().filter(|&&lost| lost).count();
    let bursts =
        lost.iter().zip(std::iter::once(&false).chain(lost)).filter(|&(&now, &before)| now && !before);
    let bursts = bursts.count();
    if bursts == 0 || count == lost.len() {
        return 1.0;
    }
    let share = count as f64 / lost.len() as f64;
    (count as f64 / bursts as f64 * (1.0 - share)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(delay_ms: f64) -> Impairments {
        let codec = Impairments::new(Duration::ZERO, 0.0, 1.0);
        Impairments { delay_ms, codec_impairment: 0.0, ..codec }
    }

    fn close(found: f64, published: f64, within: f64) {
        assert!((found - published).abs() <= within, "{found}, published {published}");
    }

    #[test]
    fn the_defaults_give_the_rating_that_the_recommendation_states() {
        // G.107, section 7.7: with all defaults R = 93.2.
        close(rate(&clean(0.0)).r, 93.2, 0.1);
    }

    #[test]
    fn ratings_give_the_scores_of_annex_b() {
        // G.107, table B.1, which rounds to hundredths.
        for (r, published) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            close(mos(r), published, 0.01);
        }
        assert_eq!((mos(-3.0), mos(120.0)), (1.0, 4.5));
        assert!((0..=1_000).all(|tenth| mos(f64::from(tenth) / 10.0) >= 1.0));
    }

    #[test]
    fn delay_costs_what_the_published_approximation_says() {
        // Cole and Rosenbluth (2001): Id = 0.024 d + 0.11 (d - 177.3) where d > 177.3.
        for delay in [25.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0_f64] {
            let published = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
            close(rate(&clean(delay)).delay, published, 2.5);
        }
    }

    #[test]
    fn loss_costs_what_g_113_lists() {
        // G.113, appendix I: G.729A (Ie 11, Bpl 19) at random loss.
        for (loss, published) in [(0.0, 11.0), (0.02, 19.0), (0.04, 26.0)] {
            let call = Impairments { loss, codec_impairment: 11.0, codec_robustness: 19.0, ..clean(0.0) };
            close(rate(&call).equipment, published, 1.0);
        }
    }

    #[test]
    fn a_clean_call_over_50_ms_is_good() {
        let rating = rate(&Impairments::new(Duration::from_millis(50 + 80), 0.0, 1.0));
        assert!(rating.mos >= 4.0, "{rating:?}");
    }

    #[test]
    fn losses_in_a_row_are_worse_than_scattered_ones() {
        let scattered: Vec<bool> = (0..100).map(|packet| packet % 10 == 0).collect();
        let together: Vec<bool> = (0..100).map(|packet| packet < 10).collect();
        close(burst_ratio(&scattered), 1.0, 1e-9);
        close(burst_ratio(&together), 9.0, 1e-9);
        close(burst_ratio(&[]), 1.0, 0.0);
        close(burst_ratio(&[true, true]), 1.0, 0.0);
        let score = |lost: &[bool]| rate(&Impairments::new(Duration::ZERO, 0.1, burst_ratio(lost))).mos;
        assert!(score(&together) < score(&scattered));
    }
}
