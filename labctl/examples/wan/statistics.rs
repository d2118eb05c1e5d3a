//! What the measurements are judged by.

use labctl::link::Distribution;

/// The value below which this share of sorted ones lies.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Share of a distribution below `x`, in multiples of the jitter.
fn below(distribution: Distribution, x: f64) -> f64 {
    match distribution {
        Distribution::Uniform => x.midpoint(1.0).clamp(0.0, 1.0),
        Distribution::Exponential => 1.0 - (-x.max(0.0)).exp(),
        Distribution::Pareto => 1.0 - (1.0 + x.max(0.0) / 2.0).powi(-3),
        // By Simpson's rule from the middle outwards.
        Distribution::Normal => {
            let density = |z: f64| (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let step = x / 200.0;
            let weight = |n: i32| match n {
                0 | 200 => 1.0,
                _ if n % 2 == 0 => 2.0,
                _ => 4.0,
            };
            0.5 + (0..=200).map(|n| weight(n) * density(f64::from(n) * step)).sum::<f64>() * step / 3.0
        }
    }
}

/// What Kolmogorov and Smirnov say: the probability that so large a distance comes by chance.
pub fn kolmogorov(mut seen: Vec<f64>, distribution: Distribution) -> f64 {
    seen.sort_by(f64::total_cmp);
    let count = seen.len() as f64;
    let distance = seen.iter().enumerate().fold(0.0_f64, |most, (index, x)| {
        let expected = below(distribution, *x);
        most.max((expected - index as f64 / count).abs()).max((expected - (index + 1) as f64 / count).abs())
    });
    let scaled = (count.sqrt() + 0.12 + 0.11 / count.sqrt()) * distance;
    let term =
        |k: i32| 2.0 * if k % 2 == 1 { 1.0 } else { -1.0 } * (-2.0 * (f64::from(k) * scaled).powi(2)).exp();
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}
