//! Numbers as people read them, short enough for a column.

use std::time::Duration;

/// A number of bytes, or bytes per second, with a decimal prefix: `1.2 kB`. Five or six characters and the unit's `B`.
#[must_use]
pub fn bytes(number: f64) -> String {
    let (number, unit) = scaled(number);
    if unit.is_empty() { format!("{} B", short(number)) } else { format!("{} {unit}B", short(number)) }
}

/// A number without a unit: `1.2 k`.
#[must_use]
pub fn count(number: f64) -> String {
    let (number, unit) = scaled(number);
    if unit.is_empty() { short(number) } else { format!("{} {unit}", short(number)) }
}

fn scaled(number: f64) -> (f64, &'static str) {
    match number {
        // Before a number is rounded to four digits.
        n if n < 999.5 => (n, ""),
        n if n < 999.5e3 => (n / 1e3, "k"),
        n if n < 999.5e6 => (n / 1e6, "M"),
        n => (n / 1e9, "G"),
    }
}

/// Three digits, and no more places than they need; 0 only for what is 0.
fn short(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        n if n < 9.95 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

/// A span of time in its two largest units: `2 h 05 min`, `12 min 07 s`, `9 s`.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        s if s < 60 => format!("{s} s"),
        s if s < 3_600 => format!("{} min {:02} s", s / 60, s % 60),
        s if s < 86_400 => format!("{} h {:02} min", s / 3_600, s / 60 % 60),
        s => format!("{} d {:02} h", s / 86_400, s / 3_600 % 24),
    }
}

/// A delay in milliseconds: `12 ms`, `0.3 ms`.
#[must_use]
pub fn delay(milliseconds: f64) -> String {
    format!("{} ms", short(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_at_the_most() {
        let said = [0.0, 0.4, 9.94, 9.96, 999.4, 999.6, 12_345.0, 1.5e6, 2e9].map(bytes);
        assert_eq!(said, ["0 B", "0.4 B", "9.9 B", "10 B", "999 B", "1.0 kB", "12 kB", "1.5 MB", "2.0 GB"]);
        assert_eq!(count(4_200.0), "4.2 k");
    }

    #[test]
    fn spans_have_their_two_largest_units() {
        let said = [9, 727, 7_500, 90_000].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(said, ["9 s", "12 min 07 s", "2 h 05 min", "1 d 01 h"]);
    }
}
