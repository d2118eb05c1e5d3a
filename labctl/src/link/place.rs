//! Places on Earth, and how long light in a fibre takes between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Mean radius of the Earth (IUGG), km.
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Light in a fibre goes at two thirds of the speed of light in vacuum (the refractive index of glass is about
/// 1.47), which is 200 km in a millisecond.
const KM_PER_MS: f64 = 299.792_458 * 2.0 / 3.0;

/// A cable is longer than the great circle: it follows roads, coasts and contracts. Chosen, so that New York -
/// London comes out at what was measured there in the 2000s (70 to 75 ms, both ways); Spring, Mahajan and Anderson
/// ("The Causes of Path Inflation", 2003) report inflation of that order.
const DETOUR: f64 = 1.2;

/// Routers on any way, however short: out of one provider's network and into another's. Chosen.
const HOPS: f64 = 8.0;
/// And one more for so many km. Chosen.
const KM_PER_HOP: f64 = 1000.0;
/// What each of them takes: to look a packet up, to queue it behind others and to send it. Chosen.
const MS_PER_HOP: f64 = 0.25;

/// A place on Earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    /// Degrees north of the equator, -90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    pub longitude: f64,
}

/// Why two numbers are no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatesError {
    /// The latitude.
    #[error("a latitude is from -90 (south) to 90 (north)")]
    Latitude,
    /// The longitude.
    #[error("a longitude is from -180 (west) to 180 (east)")]
    Longitude,
}

impl Coordinates {
    /// A place, in degrees.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, CoordinatesError> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(CoordinatesError::Latitude);
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(CoordinatesError::Longitude);
        }
        Ok(Self { latitude, longitude })
    }

    /// Length of the great circle to another place, km (haversine formula).
    #[must_use]
    pub fn distance_km(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let across = (to - from) / 2.0;
        let along = (other.longitude - self.longitude).to_radians() / 2.0;
        let chord = across.sin().powi(2) + from.cos() * to.cos() * along.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
    }

    /// One-way delay to another place: light in a fibre that is a fifth longer than the great circle, and a quarter
    /// of a millisecond for each router: eight, and one more for every 1,000 km. Rounded to microseconds.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below half a second")]
    pub fn delay_to(self, other: Self) -> Duration {
        let distance = self.distance_km(other);
        let hops = HOPS + distance / KM_PER_HOP;
        let milliseconds = distance * DETOUR / KM_PER_MS + hops * MS_PER_HOP;
        Duration::from_micros((milliseconds * 1e3).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_YORK: Coordinates = Coordinates { latitude: 40.71, longitude: -74.01 };
    const LONDON: Coordinates = Coordinates { latitude: 51.51, longitude: -0.13 };

    #[test]
    fn the_distance_is_that_of_the_great_circle() {
        let distance = NEW_YORK.distance_km(LONDON);
        assert!((5560.0..5580.0).contains(&distance), "{distance} km");
        let around =
            Coordinates::new(0.0, 179.9).unwrap().distance_km(Coordinates::new(0.0, -179.9).unwrap());
        assert!((22.0..22.5).contains(&around), "the shorter way around: {around} km");
        let half = Coordinates::new(90.0, 0.0).unwrap().distance_km(Coordinates::new(-90.0, 77.0).unwrap());
        assert!((half - std::f64::consts::PI * EARTH_RADIUS_KM).abs() < 0.01, "{half} km");
    }

    #[test]
    fn the_delay_is_the_same_both_ways_and_never_nothing() {
        assert_eq!(NEW_YORK.delay_to(LONDON), LONDON.delay_to(NEW_YORK));
        let rtt = 2 * NEW_YORK.delay_to(LONDON);
        assert!((Duration::from_millis(70)..Duration::from_millis(76)).contains(&rtt), "{rtt:?}");
        assert_eq!(LONDON.delay_to(LONDON), Duration::from_millis(2), "eight routers");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        assert_eq!(Coordinates::new(91.0, 0.0), Err(CoordinatesError::Latitude));
        assert_eq!(Coordinates::new(0.0, 181.0), Err(CoordinatesError::Longitude));
        assert_eq!(Coordinates::new(f64::NAN, 0.0), Err(CoordinatesError::Latitude));
    }
}
