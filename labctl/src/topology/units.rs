//! How times, rates, shares, networks and names are written in a topology.

use std::time::Duration;

use super::Subnet;
use super::fields::Word;
use crate::link::Queue;
use crate::names::{LabName, NodeName};

/// The longest time that an RTT, a delay or a jitter can be.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest queue, bytes.
const LONGEST_QUEUE: f64 = 1e9;
/// The highest rate, bit/s.
const FASTEST: f64 = 1e12;

/// A share, written as `45%`: 0.0 to 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

/// A rate, written as `10mbit`: bit/s, with the decimal prefixes that `tc` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

/// A mean number of packets in a row, written as `4`: 1.0 or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Burst(pub(crate) f64);

/// Number and unit of a word; `None` if it begins with no number. No sign, no exponent.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

impl Word for Duration {
    const EXPECTED: &'static str = "a time such as 30ms";

    fn read(text: &str) -> Result<Self, String> {
        let Some((number, unit)) = split(text) else {
            return Err("write a number and one of the units us, ms, s".to_owned());
        };
        let seconds = match unit {
            "us" => number / 1e6,
            "ms" => number / 1e3,
            "s" => number,
            "" => return Err(format!("add the unit: {text}ms")),
            _ => return Err(format!("'{unit}' is no unit of time here; use us, ms or s")),
        };
        match Self::try_from_secs_f64(seconds) {
            Ok(time) if time <= LONGEST => Ok(time),
            _ => Err("at most 60s are possible".to_owned()),
        }
    }
}

impl Word for Rate {
    const EXPECTED: &'static str = "a rate such as 10mbit";

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 1 and FASTEST")]
    fn read(text: &str) -> Result<Self, String> {
        let Some((number, unit)) = split(text) else {
            return Err(
                "write a number and one of the units bit, kbit, mbit, gbit (bits a second)".to_owned()
            );
        };
        let rate = match unit {
            "bit" => number,
            "kbit" => number * 1e3,
            "mbit" => number * 1e6,
            "gbit" => number * 1e9,
            "" => return Err(format!("add the unit: {text}mbit")),
            _ => return Err(format!("'{unit}' is no rate; use bit, kbit, mbit or gbit (bits a second)")),
        };
        if rate < 1.0 {
            return Err("a link that carries nothing is no link: leave the key out for no limit".to_owned());
        }
        if rate > FASTEST {
            return Err("at most 1000gbit are possible; leave the key out for no limit".to_owned());
        }
        Ok(Self(rate.round() as u64))
    }
}

impl Word for Share {
    const EXPECTED: &'static str = "a share such as 45%";

    fn read(text: &str) -> Result<Self, String> {
        match split(text) {
            Some((number, "%")) if number <= 100.0 => Ok(Self(number / 100.0)),
            Some((_, "%")) => Err("at most 100% are possible".to_owned()),
            Some((_, "")) => Err(format!("add the sign if percent are meant: {text}%")),
            _ => Err(String::new()),
        }
    }
}

impl Word for Burst {
    const EXPECTED: &'static str = "a number of packets such as 4";

    fn read(text: &str) -> Result<Self, String> {
        match split(text) {
            Some((number, "")) if number >= 1.0 => Ok(Self(number)),
            Some((_, "")) => Err("a burst has at least one packet".to_owned()),
            _ => Err(String::new()),
        }
    }
}

impl Word for Queue {
    const EXPECTED: &'static str = "a queue such as 200ms or 64kb";

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 1 and LONGEST_QUEUE")]
    fn read(text: &str) -> Result<Self, String> {
        let Some((number, unit)) = split(text) else {
            return Err("write a time (us, ms, s) or a number of bytes (b, kb, mb)".to_owned());
        };
        let bytes = match unit {
            "b" => number,
            "kb" => number * 1e3,
            "mb" => number * 1e6,
            "us" | "ms" | "s" => return Duration::read(text).map(Self::Time),
            "" => return Err(format!("add the unit: {text}ms, or {text}kb")),
            _ => return Err(format!("'{unit}' is no unit of a queue; use us, ms, s, b, kb or mb (bytes)")),
        };
        if !(1.0..=LONGEST_QUEUE).contains(&bytes) {
            return Err("1b to 1000mb are possible".to_owned());
        }
        Ok(Self::Bytes(bytes.round() as u64))
    }
}

impl Word for Subnet {
    const EXPECTED: &'static str = "a private network such as 192.168.1.0/24";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: super::SubnetError| error.to_string())
    }
}

impl Word for LabName {
    const EXPECTED: &'static str = "a name for the lab such as expC";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: crate::names::NameError| {
            let mended: String = text.replace(['-', ' '], "_");
            match mended.parse::<Self>() {
                Ok(mended) => format!("{error}; '{mended}' is possible"),
                Err(_) => error.to_string(),
            }
        })
    }
}

impl Word for NodeName {
    const EXPECTED: &'static str = "a name such as alice";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: crate::names::NameError| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_rates_and_shares_are_read_with_their_units() {
        assert_eq!(Duration::read("30ms"), Ok(Duration::from_millis(30)));
        assert_eq!(Duration::read("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(Duration::read("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(Rate::read("10mbit"), Ok(Rate(10_000_000)));
        assert_eq!(Rate::read("64kbit"), Ok(Rate(64_000)));
        assert_eq!(Rate::read("1.5 gbit"), Ok(Rate(1_500_000_000)));
        assert_eq!(Share::read("45%"), Ok(Share(0.45)));
        assert_eq!(Share::read("0%"), Ok(Share(0.0)));
        assert_eq!(Burst::read("2.5"), Ok(Burst(2.5)));
        assert_eq!(Queue::read("200ms"), Ok(Queue::Time(Duration::from_millis(200))));
        assert_eq!(Queue::read("64kb"), Ok(Queue::Bytes(64_000)));
    }

    #[test]
    fn a_value_without_a_unit_is_refused_with_the_unit_to_add() {
        assert_eq!(Duration::read("30"), Err("add the unit: 30ms".to_owned()));
        assert_eq!(Rate::read("10"), Err("add the unit: 10mbit".to_owned()));
        assert_eq!(Share::read("45"), Err("add the sign if percent are meant: 45%".to_owned()));
    }

    #[test]
    fn what_is_no_time_rate_or_share_is_refused() {
        for text in ["", "ms", "-1ms", "1h", "1e3s", "61s", "1.2.3ms", "nan", "inf", "１ms"] {
            assert!(Duration::read(text).is_err(), "{text}");
        }
        for text in ["0mbit", "-1mbit", "10mbps", "9999gbit", "fast"] {
            assert!(Rate::read(text).is_err(), "{text}");
        }
        for text in ["", "0ms0", "64", "64kib", "0b", "2000mb", "61s"] {
            assert!(Queue::read(text).is_err(), "{text}");
        }
        for text in ["0", "0.9", "-1", "4 packets"] {
            assert!(Burst::read(text).is_err(), "{text}");
        }
        for text in ["101%", "-1%", "half", "0.5"] {
            assert!(Share::read(text).is_err(), "{text}");
        }
    }
}
