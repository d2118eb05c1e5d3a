//! Applies rulesets inside a namespace and reads back what is in force there: by `nft`, `iptables-restore`
//! and `iptables-save` ([`apply`], [`read`]), and where there are many alike by what these have made of the
//! first ones ([`apply_first`]).

mod lesson;
mod program;
mod protocol;
mod snapshot;
mod template;

pub use lesson::{Rules, Way, apply_first};
pub use program::{Program, apply, read};
