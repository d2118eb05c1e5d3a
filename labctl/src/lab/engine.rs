//! Which engine carries the packets of a new lab's WAN.

use std::str::FromStr;

use super::LabError;
use crate::net::wan::EngineKind;
use crate::net::wan::kernel::abilities;
use crate::net::wan::kernel::fit::{self, Abilities, Fit};
use crate::plan::Plan;

/// Environment variable with the engine that new labs get, where the command line does not say it.
pub const ENGINE_VARIABLE: &str = "LABCTL_WAN_ENGINE";

/// Which engine a new lab gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The kernel's where it does exactly what the topology says and draws no random number, else our own: so what a
    /// lab does with a seed is the same on every machine.
    #[default]
    Auto,
    /// This one, or none.
    This(EngineKind),
}

impl EngineChoice {
    /// What [`ENGINE_VARIABLE`] says; [`EngineChoice::Auto`] if nothing.
    pub fn from_environment() -> Result<Self, LabError> {
        match std::env::var_os(ENGINE_VARIABLE) {
            None => Ok(Self::Auto),
            Some(word) if word.is_empty() => Ok(Self::Auto),
            Some(word) => word.to_string_lossy().parse(),
        }
    }

    /// The engine for a plan on this machine.
    pub fn engine(self, plan: &Plan) -> Result<EngineKind, LabError> {
        match self {
            Self::This(EngineKind::User) => Ok(EngineKind::User),
            choice => choice.engine_with(plan, abilities()),
        }
    }

    /// The engine for a plan on a machine whose kernel has this.
    pub(crate) fn engine_with(self, plan: &Plan, abilities: Abilities) -> Result<EngineKind, LabError> {
        match (self, fit::of_plan(plan, abilities)) {
            (Self::This(EngineKind::Kernel), Fit::Cannot { why }) => Err(LabError::NoEngine { why }),
            (Self::This(kind), _) => Ok(kind),
            (Self::Auto, Fit::Exact) if abilities.netem => Ok(EngineKind::Kernel),
            (Self::Auto, _) => Ok(EngineKind::User),
        }
    }
}

impl FromStr for EngineChoice {
    type Err = LabError;

    fn from_str(word: &str) -> Result<Self, LabError> {
        match word {
            "auto" => Ok(Self::Auto),
            "user" => Ok(Self::This(EngineKind::User)),
            "kernel" => Ok(Self::This(EngineKind::Kernel)),
            _ => Err(LabError::NoSuchEngine { word: word.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Catalogue;
    use crate::topology::{Overrides, parse};

    const WITH: Abilities = Abilities { rates: true, netem: true };
    const WITHOUT: Abilities = Abilities { rates: true, netem: false };

    fn plan(access: &str) -> Plan {
        let text = format!(
            "name: x\nwan: {{ regions: [a], rtt: {{ a/a: 20ms }} }}\nnodes:\n  \
             n: {{ command: [sleep, infinity], access: {access} }}\n  m: {{ command: [sleep, infinity] }}\n"
        );
        Plan::new(&parse(&text, "x.yaml", &Catalogue::shipped(), &Overrides::default()).unwrap())
    }

    #[test]
    fn the_kernel_is_chosen_where_the_result_is_the_same() {
        let auto =
            |access: &str, abilities| EngineChoice::Auto.engine_with(&plan(access), abilities).unwrap();
        assert_eq!(auto("{ delay: 5ms, up: 1mbit }", WITH), EngineKind::Kernel);
        assert_eq!(auto("{ loss: 1% }", WITH), EngineKind::User, "it cannot be repeated");
        assert_eq!(auto("{ delay: 5ms }", WITHOUT), EngineKind::User);
        let nothing = Abilities { rates: false, netem: false };
        assert_eq!(auto("{ up: 1mbit }", nothing), EngineKind::User);
    }

    #[test]
    fn what_the_kernel_cannot_do_is_refused_with_key_and_mend() {
        let kernel = EngineChoice::This(EngineKind::Kernel);
        let refused =
            |access: &str, abilities| kernel.engine_with(&plan(access), abilities).unwrap_err().to_string();
        for (access, key, abilities) in [
            ("{ reorder: 1% }", "'reorder'", WITH),
            ("{ delay: 20ms, jitter: 5ms, correlation: 20% }", "'correlation'", WITH),
            ("{ delay: 400ms, jitter: 300ms }", "'jitter'", WITH),
            ("{ loss: 1% }", "rtt", WITHOUT),
        ] {
            let error = refused(access, abilities);
            assert!(error.contains(key) && error.contains("--wan-engine user"), "{access}: {error}");
        }
        assert_eq!(
            kernel.engine_with(&plan("{ loss: { share: 1%, burst: 4 } }"), WITH).unwrap(),
            EngineKind::Kernel
        );
        assert!("tc".parse::<EngineChoice>().unwrap_err().to_string().contains("user"));
    }
}
