//! `latitude:` and `longitude:`.

use super::super::document::Value;
use super::super::fields::{Fields, Item};
use crate::link::Coordinates;

const LATITUDE: &str = "latitude";
const LONGITUDE: &str = "longitude";

/// The place that a block gives, if it gives one.
pub(super) fn place(fields: &mut Fields<'_>) -> Option<Coordinates> {
    let (latitude, longitude) = (fields.take(LATITUDE), fields.take(LONGITUDE));
    let (latitude, longitude) = match (latitude, longitude) {
        (None, None) => return None,
        (Some(latitude), Some(longitude)) => (latitude, longitude),
        (Some(one), None) | (None, Some(one)) => {
            // A misspelt key is reported as an unknown one.
            if !fields.has_like(&[LATITUDE, LONGITUDE]) {
                let message = "a place has a latitude and a longitude";
                fields.report(one.at(), message, "add the other one: { latitude: 50.1, longitude: 8.7 }");
            }
            return None;
        }
    };
    let (north, east) = (degrees(&latitude)?, degrees(&longitude)?);
    match Coordinates::new(north, east) {
        Ok(place) => Some(place),
        Err(error) => {
            let item = if Coordinates::new(north, 0.0).is_ok() { longitude } else { latitude };
            item.report(error, "write degrees with a point, such as latitude: 50.1");
            None
        }
    }
}

/// Reports that there can be no place here.
pub(super) fn refuse(fields: &mut Fields<'_>, why: &str, mend: &str) {
    fields.refuse(LATITUDE, why, mend);
    fields.refuse(LONGITUDE, why, mend);
}

fn degrees(item: &Item<'_>) -> Option<f64> {
    match item.tree.value {
        Value::Whole(number) => Some(number as f64),
        Value::Fraction(number) => Some(number),
        _ => {
            item.expected("degrees such as 50.1", "");
            None
        }
    }
}
