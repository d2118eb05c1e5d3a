//! The command line: one file per subcommand; no logic below argument handling and printing.

pub mod doctor;
pub mod down;
pub mod engine;
pub mod exec;
pub mod experiment;
pub mod interrupt;
pub mod logs;
pub mod measure;
pub mod nat;
pub mod plan;
pub mod progress;
pub mod ps;
pub mod reproduce;
pub mod topology;
pub mod up;
pub mod validate;
