//! Looks whether this machine has what a lab needs. Changes nothing: what the kernel can do is tried in a
//! namespace without a name, which is gone when the look is over.

mod kernel;
mod machine;

use std::fmt;

use serde::Serialize;

use super::{Condition, LabError, find_all};
use crate::plan::Plan;
use crate::runtime::{Runtime, RuntimeError};

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// All is well.
    Good {
        /// What was found: a version, a number; may be empty.
        found: String,
    },
    /// Labs run, but something is not as it should be.
    Warning {
        /// What was found.
        found: String,
        /// What to do.
        mend: String,
    },
    /// A lab cannot run.
    Missing {
        /// What was found.
        found: String,
        /// What to do.
        mend: String,
    },
}

impl Verdict {
    pub(super) fn good(found: impl Into<String>) -> Self {
        Self::Good { found: found.into() }
    }

    pub(super) fn warning(found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Warning { found: found.into(), mend: mend.into() }
    }

    pub(super) fn missing(found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Missing { found: found.into(), mend: mend.into() }
    }
}

/// One thing that a lab needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is needed.
    pub need: String,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Check {
    fn new(need: &str, verdict: Verdict) -> Self {
        Self { need: need.to_owned(), verdict }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Good { found } if found.is_empty() => write!(f, "{}", self.need),
            Verdict::Good { found } => write!(f, "{}: {found}", self.need),
            Verdict::Warning { found, mend } | Verdict::Missing { found, mend } => {
                write!(f, "{}: {found}\n    mend: {mend}", self.need)
            }
        }
    }
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which they should be read.
    pub checks: Vec<Check>,
}

impl Report {
    /// True if labs can run.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.verdict, Verdict::Missing { .. }))
    }

    /// Fails with all that is missing, if something is.
    pub fn require(&self) -> Result<(), LabError> {
        if self.is_good() {
            return Ok(());
        }
        let missing = self.checks.iter().filter(|check| matches!(check.verdict, Verdict::Missing { .. }));
        let problems: Vec<String> = missing.map(|check| format!("  {check}")).collect();
        Err(LabError::NotReady { problems: problems.join("\n") })
    }
}

/// Looks at this machine. `runtime` is what was connected to, or why that failed; with a plan, also whether
/// the machine is big enough for it.
pub async fn examine(runtime: Result<&dyn Runtime, &RuntimeError>, plan: Option<&Plan>) -> Report {
    let nodes = plan.map(|plan| plan.nodes.len());
    // The probes of the kernel and the programs wait for processes and would hold the others up.
    let local = tokio::task::spawn_blocking(move || machine::checks(nodes));
    let (local, kernel, engine, labs) =
        tokio::join!(local, kernel::checks(), engine(runtime), labs(runtime, plan.is_some()));
    let mut checks = local.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    checks.push(engine);
    checks.extend(kernel);
    checks.extend(labs);
    Report { checks }
}

async fn engine(runtime: Result<&dyn Runtime, &RuntimeError>) -> Check {
    let verdict = match runtime {
        Ok(runtime) => match runtime.check().await {
            Ok(version) => Verdict::good(version),
            Err(error) => unusable(&error),
        },
        Err(error) => unusable(error),
    };
    Check::new("container engine", verdict)
}

fn unusable(error: &RuntimeError) -> Verdict {
    let (found, mend) = error.found_and_mend();
    Verdict::missing(found, mend)
}

/// Labs that are not whole: of no interest to one that comes up beside them.
async fn labs(runtime: Result<&dyn Runtime, &RuntimeError>, coming_up: bool) -> Vec<Check> {
    let Ok(runtime) = runtime else { return Vec::new() };
    if coming_up {
        return Vec::new();
    }
    let labs = match find_all(runtime).await {
        Ok(labs) => labs,
        Err(error) => {
            return vec![Check::new("labs", Verdict::warning(error.to_string(), "see the message"))];
        }
    };
    let checks = labs.iter().map(|lab| {
        let verdict = match lab.condition() {
            condition @ (Condition::Running | Condition::Changing { .. }) => {
                Verdict::good(condition.to_string())
            }
            condition => Verdict::warning(
                format!("{condition}: {}", lab.inventory()),
                format!("remove what is left with 'labctl down --lab {}'", lab.name),
            ),
        };
        Check::new(&format!("lab {}", lab.name), verdict)
    });
    checks.collect()
}
