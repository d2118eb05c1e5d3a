//! Finds out what is true in a lesson's lab.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::question::{Question, Record, Source};
use crate::lab::nat::{gateway_of, mappings};
use crate::lab::{Lab, LabError};

/// Why a truth cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// There is no run of that experiment.
    #[error(
        "question '{question}': there is no {experiment} in {} of the lab '{lab}' yet\nmend: do the handout's steps \
         first, in this folder; 'labctl experiment {experiment} --lab {lab}' makes one",
        .runs.display()
    )]
    NoRun {
        /// The question.
        question: String,
        /// The experiment.
        experiment: String,
        /// The lab.
        lab: String,
        /// Where runs are looked for.
        runs: PathBuf,
    },
    /// A run cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run has no such record, or nothing at that place.
    #[error(
        "question '{question}': {} does not say it\nmend: the trial may have failed: repeat the experiment, and look \
         at its output", .path.display()
    )]
    NotThere {
        /// The question.
        question: String,
        /// The file of records.
        path: PathBuf,
    },
    /// The gateway has no mapping for the port.
    #[error(
        "question '{question}': the NAT of {gateway} has no mapping for port {port} at this moment\nmend: send \
         something from that port again ('labctl nat mappings {gateway}' shows what there is)"
    )]
    NoMapping {
        /// The question.
        question: String,
        /// The gateway.
        gateway: String,
        /// The inside port.
        port: u16,
    },
    /// The lab cannot be asked.
    #[error(transparent)]
    Lab(#[from] LabError),
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// A number.
    Number(f64),
    /// A word, an address or a truth value.
    Text(String),
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) if number.fract() == 0.0 => write!(f, "{number:.0}"),
            Self::Number(number) => write!(f, "{number:.2}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Truth {
    /// True if an answer says the same: a number within that share of it, a word whatever its case.
    #[must_use]
    pub fn agrees(&self, answer: &Value, within: f64) -> bool {
        match (self, answer) {
            (Self::Number(truth), Value::Number(answer)) => answer
                .as_f64()
                .is_some_and(|answer| (answer - truth).abs() <= truth.abs() * within + f64::EPSILON),
            (Self::Text(truth), Value::String(answer)) => truth.eq_ignore_ascii_case(answer.trim()),
            (Self::Text(truth), Value::Bool(answer)) => *truth == answer.to_string(),
            _ => false,
        }
    }

    fn of_value(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Number(number) => Self::Number(number.as_f64()?),
            Value::String(text) => Self::Text(text.clone()),
            Value::Bool(value) => Self::Text(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        })
    }
}

/// The truth of a question.
pub(super) async fn of(question: &Question, lab: &Lab, runs: &Path) -> Result<Truth, TruthError> {
    match &question.truth {
        Source::Run(record) => in_run(&question.id, record, lab.name().as_str(), runs),
        Source::Address { of } => Ok(address(of, lab)?),
        Source::Mappings { gateway, port } => {
            let found = outside_ports(gateway, *port, lab).await?.len();
            Ok(Truth::Number(found as f64))
        }
        Source::Port { gateway, port } => {
            let ports = outside_ports(gateway, *port, lab).await?;
            let newest = ports.last().ok_or_else(|| TruthError::NoMapping {
                question: question.id.clone(),
                gateway: gateway.clone(),
                port: *port,
            })?;
            Ok(Truth::Number((*newest).into()))
        }
    }
}

fn address(of: &str, lab: &Lab) -> Result<Truth, LabError> {
    if let Ok(gateway) = gateway_of(lab.plan(), of)
        && let Some(address) = gateway.outside.first()
    {
        return Ok(Truth::Text(address.to_string()));
    }
    let node = lab.node(of)?;
    Ok(Truth::Text(node.addresses.first().map(ToString::to_string).unwrap_or_default()))
}

/// The outside ports of an inside port, each once.
async fn outside_ports(gateway: &str, port: u16, lab: &Lab) -> Result<Vec<u16>, LabError> {
    let rows = mappings(gateway_of(lab.plan(), gateway)?).await?;
    let rows = rows.iter().filter(|row| row.protocol == "udp" && row.inside.port() == port);
    let mut ports: Vec<u16> = rows.map(|row| row.outside.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

fn in_run(question: &str, record: &Record, lab: &str, runs: &Path) -> Result<Truth, TruthError> {
    let all = newest_first(runs, &record.experiment, lab)?;
    let mut looked = None;
    for run in all {
        let path = run.join(&record.file);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| TruthError::Read { path: path.clone(), source })?;
        match read(record, &text) {
            Some(truth) => return Ok(truth),
            None => looked = looked.or(Some(path)),
        }
    }
    Err(match looked {
        Some(path) => TruthError::NotThere { question: question.to_owned(), path },
        None => TruthError::NoRun {
            question: question.to_owned(),
            experiment: record.experiment.clone(),
            lab: lab.to_owned(),
            runs: runs.to_owned(),
        },
    })
}

/// The runs of an experiment in a lab, the newest first: their names begin with their time.
fn newest_first(runs: &Path, experiment: &str, lab: &str) -> Result<Vec<PathBuf>, TruthError> {
    let entries = match runs.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| TruthError::Read { path: runs.to_owned(), source })?,
    };
    let wanted = format!("-{experiment}-{lab}");
    let is_wanted = |name: &str| {
        name.find(&wanted).is_some_and(|at| {
            let rest = &name[at + wanted.len()..];
            rest.is_empty() || rest.starts_with('.')
        })
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_wanted))
        .collect();
    found.sort();
    found.reverse();
    Ok(found)
}

/// The value in the last record that fits.
fn read(record: &Record, text: &str) -> Option<Truth> {
    let mut records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fits = |found: &Value| record.only.iter().all(|(place, wanted)| found.pointer(place) == Some(wanted));
    let found = records.rfind(fits)?;
    let values: Vec<Truth> =
        record.value.iter().map(|place| Truth::of_value(found.pointer(place)?)).collect::<Option<_>>()?;
    match &values[..] {
        [Truth::Text(text)] => Some(Truth::Text(text.clone())),
        numbers => {
            let mut sum = 0.0;
            for number in numbers {
                let Truth::Number(number) = number else { return None };
                sum += number;
            }
            Some(Truth::Number(sum / record.divide))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(value: &[&str], divide: f64) -> Record {
        Record {
            experiment: "login".to_owned(),
            file: "trials.ndjson".to_owned(),
            only: [("/client".to_owned(), json!("alice"))].into(),
            value: value.iter().map(|place| (*place).to_owned()).collect(),
            divide,
        }
    }

    const RECORDS: &str = r#"{"client":"alice","login_s":9.5,"udp":400,"tcp":600,"summary":{"nat":"open"}}
{"client":"bob","login_s":1.0}
{"client":"alice","login_s":4.5,"udp":500,"tcp":1500,"summary":{"nat":"symmetric"}}
"#;

    #[test]
    fn the_last_record_that_fits_says_the_truth() {
        assert_eq!(read(&record(&["/login_s"], 1.0), RECORDS), Some(Truth::Number(4.5)));
        assert_eq!(read(&record(&["/udp", "/tcp"], 1000.0), RECORDS), Some(Truth::Number(2.0)));
        assert_eq!(read(&record(&["/summary/nat"], 1.0), RECORDS), Some(Truth::Text("symmetric".to_owned())));
        assert_eq!(read(&record(&["/nothing"], 1.0), RECORDS), None);
    }

    #[test]
    fn an_answer_is_right_within_what_is_allowed() {
        assert!(Truth::Number(34.6).agrees(&json!(34), 0.05));
        assert!(!Truth::Number(34.6).agrees(&json!(30), 0.05));
        assert!(Truth::Number(2.0).agrees(&json!(2), 0.0));
        assert!(!Truth::Number(2.0).agrees(&json!("2"), 0.5));
        assert!(Truth::Text("port-restricted".to_owned()).agrees(&json!(" Port-Restricted "), 0.0));
        assert!(Truth::Text("true".to_owned()).agrees(&json!(true), 0.0));
    }

    #[test]
    fn the_newest_run_of_the_right_lab_counts() {
        let runs = tempfile::tempdir().unwrap();
        for name in [
            "20260101T000000Z-login-lesson2",
            "20260102T000000Z-login-lesson2",
            "20260102T000000Z-login-lesson2.2",
            "20260103T000000Z-login-lesson21",
            "20260103T000000Z-call-lesson2",
        ] {
            std::fs::create_dir(runs.path().join(name)).unwrap();
        }
        let found = newest_first(runs.path(), "login", "lesson2").unwrap();
        assert_eq!(found.len(), 3);
        assert!(found[0].ends_with("20260102T000000Z-login-lesson2.2"), "{}", found[0].display());
        assert!(newest_first(&runs.path().join("none"), "login", "lesson2").unwrap().is_empty());
    }
}
