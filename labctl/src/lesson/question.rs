//! Questions, as they stand in `docs/labs/questions/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A question whose answer can be checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The key of the answer.
    pub id: String,
    /// The question.
    pub ask: String,
    /// Where the truth is.
    pub truth: Source,
    /// How far off a number may be, as a share of the truth. 0: not at all.
    #[serde(default)]
    pub within: f64,
}

/// Where a truth is found.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// In the records of the newest run of an experiment in the lesson's lab.
    Run(Record),
    /// The address of a node, or of the outside of a gateway, of the running lab.
    Address {
        /// The node or gateway.
        of: String,
    },
    /// How many outside ports a gateway's NAT has in use, at this moment, for a port of an inside host.
    Mappings {
        /// The gateway.
        gateway: String,
        /// The inside port.
        port: u16,
    },
    /// The outside port that a gateway's NAT has, at this moment, for a port of an inside host.
    Port {
        /// The gateway.
        gateway: String,
        /// The inside port.
        port: u16,
    },
}

/// A place in a record.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The experiment: `login`, `search`, `call`.
    pub experiment: String,
    /// The file in the run's directory: one record a line.
    pub file: String,
    /// Of the records the last in which these places (JSON pointers) have these values.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Value>,
    /// The places of the value; numbers of several are added up.
    pub value: Vec<String>,
    /// What a number is divided by, for the unit of the question.
    #[serde(default = "one")]
    pub divide: f64,
}

const fn one() -> f64 {
    1.0
}
