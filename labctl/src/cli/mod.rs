//! The command line: one file per subcommand; no logic below argument handling and printing.

pub mod call;
pub mod clients;
pub mod completions;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod experiment;
pub mod graph;
pub mod interrupt;
pub mod keeper;
pub mod keys;
pub mod lesson;
pub mod link;
pub mod logs;
pub mod man;
pub mod measure;
pub mod nat;
pub mod plan;
pub mod progress;
pub mod ps;
pub mod repair;
pub mod report;
pub mod reproduce;
pub mod runs;
pub mod runtime;
pub mod schema;
pub mod search;
pub mod task;
pub mod top;
pub mod topology;
pub mod udp;
pub mod up;
pub mod validate;
pub mod watch;

use std::io::{self, Write as _};

/// Writes to standard output what a program or a file is to have. A reader that has seen enough is no error.
fn print(bytes: &[u8]) -> io::Result<()> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
