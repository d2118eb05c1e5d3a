//! `--sweep loss=0,1,2,5,10%`: what is swept, as the command line says it.

use std::str::FromStr;

use super::values::{self, Mistake, Value};
use crate::link;
use crate::topology::{self, link_setting};

/// What a link can be told, as it is written.
const LINK: [&str; 10] = [
    "rate",
    "queue",
    "delay",
    "jitter",
    "distribution",
    "correlation",
    "loss",
    "duplicate",
    "reorder",
    "reorder-by",
];
/// Short for a value of the topology.
const SHORT: [(&str, &str); 1] = [("stale", "overlay.host_cache.stale")];

/// One parameter and its values: those of access links (`loss=0,5%`, `alice.delay=0..200ms/50ms`), or of the topology by the
/// keys that lead to it (`overlay.host_cache.stale=0,45%`; `stale` is short for this one).
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// What is swept, as it was written: `loss`, `alice.loss`, `overlay.host_cache.stale`.
    pub parameter: String,
    /// Its values, at least two, in the order in which they are measured.
    pub values: Vec<Value>,
    /// Unit of the values' numbers.
    pub unit: String,
    pub(super) target: Target,
}

/// What is given the values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// A property of access links: of this node's, or all clients' that are measured.
    Links { of: Option<String>, settings: Vec<link::Setting> },
    /// A value of the topology.
    Topology { settings: Vec<topology::Setting> },
}

/// What is wrong with a `--sweep`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {why}\n  {text}\n  {:>width$}", .at + 1, "^", width = .at + 1)]
pub struct SpecError {
    /// The argument.
    pub text: String,
    /// The place of the mistake, in characters from 0.
    pub at: usize,
    /// What is wrong, and the mend.
    pub why: String,
}

impl FromStr for Sweep {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |at, why| SpecError { text: text.to_owned(), at, why };
        let Some((name, list)) = text.split_once('=') else {
            let why = "write what is swept, '=' and its values: loss=0,1,2,5,10%";
            return Err(wrong(text.chars().count(), why.to_owned()));
        };
        let parameter = name.trim();
        let offset = name.chars().count() + 1;
        let values = values::read(list).map_err(|Mistake { at, why }| wrong(offset + at, why))?;
        let keys: Vec<&str> = parameter.split('.').map(str::trim).collect();
        if let Some(empty) = keys.iter().position(|key| key.is_empty()) {
            let at = keys[..empty].iter().map(|key| key.chars().count() + 1).sum();
            return Err(wrong(
                at,
                "a name is missing; write loss, alice.loss or overlay.host_cache.stale".to_owned(),
            ));
        }
        let long = SHORT.iter().find(|(short, _)| *short == parameter).map(|(_, long)| *long);
        let target = match (&keys[..], long) {
            ([key], None) if LINK.contains(key) => links(None, key, &values.all),
            ([name, key], _) if LINK.contains(key) => links(Some(name), key, &values.all),
            ([word], None) => return Err(wrong(0, unknown(word))),
            (_, long) => in_topology(long.unwrap_or(parameter), &values.all),
        };
        let target = target.map_err(|Mistake { at, why }| wrong(offset + at, why))?;
        Ok(Self { parameter: parameter.to_owned(), values: values.all, unit: values.unit, target })
    }
}

fn links(of: Option<&str>, key: &str, values: &[Value]) -> Result<Target, Mistake> {
    let setting = |value: &Value| link_setting(key, &value.text).map_err(|why| Mistake { at: value.at, why });
    let settings = values.iter().map(setting).collect::<Result<_, _>>()?;
    Ok(Target::Links { of: of.map(str::to_owned), settings })
}

fn in_topology(path: &str, values: &[Value]) -> Result<Target, Mistake> {
    let setting = |value: &Value| {
        let setting = format!("{path}={}", value.text).parse::<topology::Setting>();
        setting.map_err(|error| Mistake { at: value.at, why: error.to_string() })
    };
    Ok(Target::Topology { settings: values.iter().map(setting).collect::<Result<_, _>>()? })
}

fn unknown(word: &str) -> String {
    /// From here on two words are alike enough for one to be a slip of the other (Jaro-Winkler, 0 to 1).
    const ALIKE: f64 = 0.8;
    let known = || LINK.into_iter().chain(SHORT.map(|(short, _)| short));
    let nearest = known().map(|name| (strsim::jaro_winkler(word, name), name));
    let nearest = nearest.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    let question = nearest.map_or_else(String::new, |(_, name)| format!("; did you mean '{name}'?"));
    format!(
        "nothing is called '{word}'{question} A link has {}; any value of a topology is named by the keys that lead to \
         it, such as overlay.host_cache.stale ('stale' is short for it)",
        LINK.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::{Loss, Setting};

    fn sweep(text: &str) -> Sweep {
        text.parse().unwrap()
    }

    #[test]
    fn properties_of_links_are_told_from_values_of_the_topology() {
        let all = sweep("loss=0,5%");
        let settings = vec![Setting::Loss(Loss::Independent(0.0)), Setting::Loss(Loss::Independent(0.05))];
        assert_eq!(all.target, Target::Links { of: None, settings: settings.clone() });
        assert_eq!((all.parameter.as_str(), all.unit.as_str()), ("loss", "%"));
        assert_eq!(sweep("alice.loss=0,5%").target, Target::Links { of: Some("alice".to_owned()), settings });
        let stale = Target::Topology {
            settings: vec![
                "overlay.host_cache.stale=0%".parse().unwrap(),
                "overlay.host_cache.stale=45%".parse().unwrap(),
            ],
        };
        assert_eq!(sweep("stale=0,45%").target, stale);
        assert_eq!(sweep("overlay.host_cache.stale=0,45%").target, stale);
        assert!(matches!(sweep("sites.home.access.loss=0,5%").target, Target::Topology { .. }));
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place() {
        for (text, at, why) in [
            ("loss", 4, "write what is swept, '=' and its values"),
            ("loss=0,x,5%", 7, "expected a share such as 45%, found 'x'"),
            ("loss=0,5", 5, "add the sign if percent are meant: 0%"),
            ("alice.delay=10ms,1h", 17, "'h' is no unit of time"),
            ("los=0,5%", 0, "did you mean 'loss'?"),
            ("seed=1,2", 0, "nothing is called 'seed'"),
            ("alice.=0,5%", 6, "a name is missing"),
            ("rate=1mbit", 5, "one value makes no curve"),
        ] {
            let error = text.parse::<Sweep>().unwrap_err();
            assert_eq!(error.at, at, "{error}");
            assert!(error.why.contains(why), "{error}");
        }
        let error = "loss=0,x,5%".parse::<Sweep>().unwrap_err().to_string();
        assert!(error.ends_with("\n  loss=0,x,5%\n         ^"), "{error}");
    }

    proptest! {
        #[test]
        fn a_sweep_is_read_or_refused_at_a_place_in_it(text in "[a-z.=0-9,%/ ä]{0,30}") {
            match text.parse::<Sweep>() {
                Ok(sweep) => prop_assert!(sweep.values.len() >= 2),
                Err(error) => prop_assert!(error.at <= text.chars().count(), "{}", error),
            }
        }
    }
}
