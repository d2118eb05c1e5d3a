//! Properties of links as they are written on a command line.

use super::fields::Word;
use super::units::{Burst, Rate, Share};
use crate::link::{Distribution, GilbertElliott, Loss, Setting};

/// What a running link can be told, as it is written in a topology; on a command line with `-` for `_`.
pub(crate) const KEYS: [&str; 10] = [
    "rate",
    "queue",
    "delay",
    "jitter",
    "distribution",
    "correlation",
    "loss",
    "duplicate",
    "reorder",
    "reorder_by",
];

/// A property of a link, such as `loss`, and its value in the words of a topology, such as `5%`. A rate can be
/// `none`; a loss with `/` is a share and the mean length of its bursts in packets, such as `2%/4`.
///
/// # Errors
///
/// What is wrong, with the mend.
pub fn link_setting(key: &str, text: &str) -> Result<Setting, String> {
    let share = |make: fn(f64) -> Setting| word::<Share>(text).map(|share| make(share.0));
    match key {
        "rate" if text == "none" => Ok(Setting::Rate(None)),
        "rate" => Ok(Setting::Rate(Some(word::<Rate>(text)?.0))),
        "queue" => word(text).map(Setting::Queue),
        "delay" => word(text).map(Setting::Delay),
        "jitter" => word(text).map(Setting::Jitter),
        "reorder-by" | "reorder_by" => word(text).map(Setting::ReorderBy),
        "correlation" => share(Setting::Correlation),
        "duplicate" => share(Setting::Duplicate),
        "reorder" => share(Setting::Reorder),
        "distribution" => {
            let known = Distribution::ALL.iter().find(|(name, _)| *name == text);
            let known = known.ok_or_else(|| {
                format!("unknown distribution '{text}'; use uniform, normal, exponential or pareto")
            });
            known.map(|(_, distribution)| Setting::Distribution(*distribution))
        }
        "loss" => loss(text).map(Setting::Loss),
        _ => Err(format!("a link has no '{key}'; it has {}", KEYS.join(", "))),
    }
}

fn word<T: Word>(text: &str) -> Result<T, String> {
    T::read(text).map_err(|mend| match mend.as_str() {
        "" => format!("expected {}, found '{text}'", T::EXPECTED),
        _ => format!("expected {}, found '{text}'; {mend}", T::EXPECTED),
    })
}

fn loss(text: &str) -> Result<Loss, String> {
    let Some((share, burst)) = text.split_once('/') else {
        return word::<Share>(text).map(|share| Loss::Independent(share.0));
    };
    let bursts = GilbertElliott::with_mean(word::<Share>(share)?.0, word::<Burst>(burst)?.0);
    let mend = "bursts of this length cannot make up this share; take a smaller share or longer bursts";
    bursts.map(Loss::Bursts).ok_or_else(|| mend.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::link::Queue;

    #[test]
    fn properties_are_read_in_the_words_of_a_topology() {
        let read = |key, text| link_setting(key, text).unwrap();
        assert_eq!(read("rate", "128kbit"), Setting::Rate(Some(128_000)));
        assert_eq!(read("rate", "none"), Setting::Rate(None));
        assert_eq!(read("delay", "80ms"), Setting::Delay(Duration::from_millis(80)));
        assert_eq!(read("queue", "2s"), Setting::Queue(Queue::Time(Duration::from_secs(2))));
        assert_eq!(read("loss", "5%"), Setting::Loss(Loss::Independent(0.05)));
        assert_eq!(read("distribution", "pareto"), Setting::Distribution(Distribution::Pareto));
        let Setting::Loss(Loss::Bursts(bursts)) = read("loss", "2%/4") else { panic!() };
        assert!((bursts.mean() - 0.02).abs() < 1e-12);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_mend() {
        let refused = |key, text| link_setting(key, text).unwrap_err();
        assert_eq!(
            refused("loss", "5"),
            "expected a share such as 45%, found '5'; add the sign if percent are meant: 5%"
        );
        assert!(refused("speed", "5mbit").starts_with("a link has no 'speed'; it has rate"));
        assert!(refused("distribution", "gauss").contains("normal"));
        assert!(refused("loss", "90%/1").contains("longer bursts"));
    }
}
