//! Times as people write them: `22ms 500us`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

fn parse<E: de::Error>(text: &str) -> Result<Duration, E> {
    humantime::parse_duration(text).map_err(de::Error::custom)
}

pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*time))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

/// A table of times.
pub(crate) mod matrix {
    use super::{Deserialize, Deserializer, Duration, Serializer, parse};

    pub(crate) fn serialize<S: Serializer>(
        times: &[Vec<Duration>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |time: &Duration| humantime::format_duration(*time).to_string();
        serializer.collect_seq(times.iter().map(|row| row.iter().map(text).collect::<Vec<_>>()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<Duration>>, D::Error> {
        let rows = Vec::<Vec<String>>::deserialize(deserializer)?;
        rows.iter().map(|row| row.iter().map(|text| parse(text)).collect()).collect()
    }
}
