//! The `labctl` command.

fn main() {}
