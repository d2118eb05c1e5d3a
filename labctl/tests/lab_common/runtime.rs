//! Which runtime a test's lab is made with.

use std::io::Write as _;

/// What runs the nodes of a test's lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Docker,
    Embedded,
}

impl On {
    /// The word for `--runtime`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Embedded => "embedded",
        }
    }

    /// Docker Engine where it answers, else the embedded one: for tests to which it does not matter.
    pub fn any() -> Self {
        if super::run_quietly("docker", &["version"]) { Self::Docker } else { Self::Embedded }
    }

    /// False, and said loudly, where there is no such runtime. In CI, where there is an engine, that is a failure.
    pub fn is_there(self) -> bool {
        if self == Self::Embedded || super::run_quietly("docker", &["version"]) {
            return true;
        }
        assert!(std::env::var_os("CI").is_none(), "there is no Docker Engine to test with");
        // Not by a macro, whose output nobody sees of a test that passes.
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: no Docker Engine answers on this machine");
        false
    }
}

/// Makes of each function that takes an [`On`] a test for each runtime.
#[macro_export]
macro_rules! on_both_runtimes {
    ($($name:ident),+ $(,)?) => {
        mod docker {
            $(#[test] fn $name() {
                if $crate::lab_common::On::Docker.is_there() {
                    super::$name($crate::lab_common::On::Docker);
                }
            })+
        }
        mod embedded {
            $(#[test] fn $name() { super::$name($crate::lab_common::On::Embedded); })+
        }
    };
}
