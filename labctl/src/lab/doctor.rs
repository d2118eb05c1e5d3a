//! Looks whether this machine has what a lab needs. Changes nothing: what the kernel can do is tried in a
//! namespace without a name, which is gone when the look is over.

mod kernel;
mod machine;

use std::fmt;

use serde::Serialize;

use super::{Condition, LabError, find_all};
use crate::plan::Plan;
use crate::runtime::{Runtime, RuntimeError, RuntimeKind, Runtimes};
use crate::world::WorldError;

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

impl Verdict {
    /// The same of something that labs can do without.
    fn not_needed(self) -> Self {
        match self {
            Self::Missing { found, mend } => Self::Warning { found, mend },
            other => other,
        }
    }
}

/// What a lab will take of the machine.
#[derive(Clone, Copy, Debug)]
struct Size {
    nodes: u64,
    runtime: RuntimeKind,
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

/// Looks whether a lab of this plan can be made here. `runtime` is what was chosen for it, or why that cannot be
/// used.
pub async fn examine(runtime: Result<&dyn Runtime, &RuntimeError>, plan: &Plan) -> Report {
    let size =
        Size { nodes: plan.nodes.len() as u64, runtime: runtime.map_or(RuntimeKind::Docker, Runtime::kind) };
    let (mut checks, kernel, runtime) =
        tokio::join!(machine_checks(Some(size), None), kernel::checks(), check(runtime));
    checks.push(Check::new("container runtime", runtime));
    checks.extend(kernel);
    Report { checks }
}

/// Looks at this machine as such. `refused` is why an ordinary user's namespaces could not be entered.
pub async fn examine_machine(runtimes: &Runtimes, refused: Option<&WorldError>) -> Report {
    let docker = runtimes.docker().map(|docker| -> &dyn Runtime { docker });
    let (mut checks, docker, embedded, labs) = tokio::join!(
        machine_checks(None, refused),
        check(docker),
        check(Ok(runtimes.embedded())),
        labs(runtimes)
    );
    let wanted = runtimes.kind() == RuntimeKind::Docker;
    checks.push(Check::new("Docker Engine", if wanted { docker } else { docker.not_needed() }));
    if refused.is_none() {
        checks.push(Check::new("embedded runtime", if wanted { embedded.not_needed() } else { embedded }));
        checks.extend(kernel::checks().await);
    }
    checks.extend(labs);
    Report { checks }
}

/// The probes of the programs wait for processes and would hold the others up.
async fn machine_checks(size: Option<Size>, refused: Option<&WorldError>) -> Vec<Check> {
    let refused = refused.map(WorldError::found_and_mend);
    let checks = tokio::task::spawn_blocking(move || machine::checks(size, refused));
    checks.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn check(runtime: Result<&dyn Runtime, &RuntimeError>) -> Verdict {
    let unusable = |error: &RuntimeError| {
        let (found, mend) = error.found_and_mend();
        Verdict::missing(found, mend)
    };
    match runtime {
        Ok(runtime) => match runtime.check().await {
            Ok(version) => Verdict::good(version),
            Err(error) => unusable(&error),
        },
        Err(error) => unusable(error),
    }
}

/// Labs that are not whole.
async fn labs(runtimes: &Runtimes) -> Vec<Check> {
    let labs = match find_all(runtimes).await {
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
