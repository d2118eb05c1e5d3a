//! Random numbers for one purpose each, and what is drawn from them.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::link::Distribution;
use crate::plan::derive_seed;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of one thing: its seed follows from the WAN's seed, what the numbers are for, and whose they are
    /// ([`derive_seed`]). So what happens on one link has no effect on another.
    pub(super) fn new(seed: u64, purpose: &str, name: &str) -> Self {
        Self(ChaCha8Rng::seed_from_u64(derive_seed(seed, purpose, name)))
    }

    /// Uniform in 0.0 (included) to 1.0 (not included), in steps of 2^-53.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability. Nothing is drawn for what is certain.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        // Above 0, of which there is no logarithm.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

/// Jitter: random numbers of a distribution, each of them like the one before as far as is asked for.
///
/// What is correlated is a normal variable (a first-order autoregressive process), and the number is what has the same
/// rank in the distribution that was asked for (a Gaussian copula). So correlation leaves the distribution as it is.
#[derive(Clone, Debug)]
pub(super) struct Jitter {
    random: Random,
    /// The last normal variable; `None` before the first.
    last: Option<f64>,
}

impl Jitter {
    pub(super) fn new(random: Random) -> Self {
        Self { random, last: None }
    }

    /// The next number, as a multiple of the jitter: uniform in -1 to 1, normal with standard deviation 1, or from 0
    /// upwards with mean 1.
    pub(super) fn next(&mut self, distribution: Distribution, correlation: f64) -> f64 {
        if correlation <= 0.0 && distribution != Distribution::Normal {
            self.last = None;
            // Above 0: it is what is left of the tail.
            let tail = 1.0 - self.random.unit();
            return of_rank(distribution, tail);
        }
        let fresh = self.random.normal();
        let normal = match self.last {
            None => fresh,
            Some(last) => correlation * last + (1.0 - correlation * correlation).max(0.0).sqrt() * fresh,
        };
        self.last = Some(normal);
        match distribution {
            Distribution::Normal => normal,
            _ => of_rank(distribution, tail_of_normal(normal)),
        }
    }
}

/// The number above which this share of a distribution lies.
fn of_rank(distribution: Distribution, tail: f64) -> f64 {
    match distribution {
        Distribution::Uniform => 1.0 - 2.0 * tail,
        Distribution::Exponential => -tail.ln(),
        // Lomax with shape 3 and scale 2: the mean is 2 / (3 - 1).
        Distribution::Pareto => 2.0 * (tail.powf(-1.0 / 3.0) - 1.0),
        Distribution::Normal => unreachable!("it needs no rank"),
    }
}

/// The number below which a share of a distribution lies, the share being above 0 and below 1.
pub(super) fn quantile(distribution: Distribution, share: f64) -> f64 {
    if distribution != Distribution::Normal {
        return of_rank(distribution, 1.0 - share);
    }
    // Halving finds it within 2^-50 of 16 deviations.
    let (mut low, mut high) = (-8.0_f64, 8.0_f64);
    for _ in 0..50 {
        let middle = low.midpoint(high);
        if 1.0 - tail_of_normal(middle) < share { low = middle } else { high = middle }
    }
    low.midpoint(high)
}

/// The share of a standard normal distribution above `x`, to about 1e-7 (Abramowitz and Stegun, 7.1.26).
fn tail_of_normal(x: f64) -> f64 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let above = 0.5 * polynomial * (-z * z).exp();
    let tail = if x < 0.0 { 1.0 - above } else { above };
    tail.clamp(1e-12, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 20_000;

    fn drawn(distribution: Distribution, correlation: f64) -> Vec<f64> {
        let mut jitter = Jitter::new(Random::new(1, "test", ""));
        (0..COUNT).map(|_| jitter.next(distribution, correlation)).collect()
    }

    /// Share of the distribution below `x`, from its definition.
    fn below(distribution: Distribution, x: f64) -> f64 {
        match distribution {
            Distribution::Uniform => x.midpoint(1.0).clamp(0.0, 1.0),
            Distribution::Normal => 1.0 - tail_of_normal(x),
            Distribution::Exponential => 1.0 - (-x).exp(),
            Distribution::Pareto => 1.0 - (1.0 + x / 2.0).powi(-3),
        }
    }

    /// The statistic of Kolmogorov and Smirnov.
    fn distance(distribution: Distribution, mut drawn: Vec<f64>) -> f64 {
        drawn.sort_by(f64::total_cmp);
        let count = drawn.len() as f64;
        let steps = drawn.iter().enumerate().map(|(index, x)| {
            let expected = below(distribution, *x);
            (expected - index as f64 / count).abs().max((expected - (index + 1) as f64 / count).abs())
        });
        steps.fold(0.0, f64::max)
    }

    #[test]
    fn every_distribution_is_what_it_is_called() {
        for (name, distribution) in Distribution::ALL {
            let distance = distance(distribution, drawn(distribution, 0.0));
            // p = 0.01 is at 1.63 / sqrt(n).
            assert!(distance < 1.63 / (COUNT as f64).sqrt(), "{name}: {distance}");
        }
    }

    #[test]
    fn correlation_is_seen_and_leaves_the_distribution_as_it_is() {
        for (name, distribution) in Distribution::ALL {
            let drawn = drawn(distribution, 0.8);
            let ranks: Vec<f64> = drawn.iter().map(|x| below(distribution, *x)).collect();
            let mean = ranks.iter().sum::<f64>() / COUNT as f64;
            let moment = |lag: usize| ranks.windows(2).map(|w| (w[0] - mean) * (w[lag] - mean)).sum::<f64>();
            let correlation = moment(1) / moment(0);
            // Of ranks it is 6 / pi asin(0.8 / 2).
            assert!((correlation - 0.786).abs() < 0.03, "{name}: {correlation}");
            // Every fiftieth is as good as independent.
            let apart: Vec<f64> = drawn.into_iter().step_by(50).collect();
            let limit = 1.63 / (apart.len() as f64).sqrt();
            assert!(distance(distribution, apart) < limit, "{name}");
        }
    }
}
