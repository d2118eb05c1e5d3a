//! Sweeps: the same experiment with the same seeds at several values of one parameter.
//!
//! [`Sweep`] is what the command line says, [`Points`] is a plan for each value, [`SweepSession`] measures at each of
//! them. A lab is made again only for a value that a running lab cannot be given: properties of access links are
//! changed while it runs, and what host caches hold is the experiment's business anyway.

mod index;
mod points;
mod restore;
mod session;
mod spec;
mod values;

pub use index::{PointRecord, RecordedSweep, SweepDescription, run_directories};
pub use points::{Point, Points};
pub use session::{Progress, SweepSession, plan_now};
pub use spec::{SpecError, Sweep};
pub use values::Value;

use crate::lab::LabError;
use crate::topology::TopologyErrors;

/// Why a sweep cannot be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SweepError {
    /// The topology is not valid with a value.
    #[error("--sweep {parameter}: with value {number} ('{value}') the topology is not valid: {error}")]
    Topology { parameter: String, number: usize, value: String, error: TopologyErrors },
    /// It is no property of links.
    #[error(
        "--sweep {parameter}: it is a value of the topology, which a lab that was up before cannot be given; give the \
         topology ('labctl experiment ... TOPOLOGY --sweep ...'), so that labs are made with the values"
    )]
    Running { parameter: String },
    /// It takes another lab for each value, since the schedule undoes what is changed.
    #[error(
        "--sweep {parameter}: the lab has a schedule, which changes links itself and begins anew at each value; give \
         the topology ('labctl experiment ... TOPOLOGY --sweep ...'), so that a lab is made for each value"
    )]
    Scheduled { parameter: String },
    /// The engine that is asked for cannot do one of the values.
    #[error("--sweep {parameter}{at}: {error}")]
    Engine { parameter: String, at: String, error: Box<LabError> },
    /// Links are not as they were.
    #[error(
        "--sweep {parameter}: these links may still have a value of the sweep: {links}: {error}; put them back, after \
         'labctl repair' if the WAN carries nothing, with\n  {commands}"
    )]
    NotRestored { parameter: String, links: String, error: Box<LabError>, commands: String },
    /// The link is not there.
    #[error("--sweep {parameter}, at character 1: {error}")]
    Link { parameter: String, error: LabError },
    /// No link to change.
    #[error(
        "--sweep {parameter}: the experiment measures no client whose access link could be changed; name one, \
         such as 'alice.{parameter}'"
    )]
    NoLink { parameter: String },
}
