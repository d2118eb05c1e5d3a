//! The command line: one file per subcommand; no logic below argument handling and printing.

pub mod doctor;
pub mod down;
pub mod engine;
pub mod exec;
pub mod interrupt;
pub mod logs;
pub mod progress;
pub mod ps;
pub mod up;
