//! The overlay's parameters: numbers that shape the protocol, each from a file with its source.

use serde::{Deserialize, Serialize};

/// A parameter file as it stands (`node-image/parameters/*.yaml`): every value with its unit, source and
/// reason. Independent of the file format.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterFile {}

/// The values alone: what a node runs with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {}
