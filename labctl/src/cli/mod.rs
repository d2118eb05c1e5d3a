//! One file per subcommand: argument handling and printing, no logic below that.

pub mod engine;
