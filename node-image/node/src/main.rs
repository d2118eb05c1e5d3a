//! What runs in an overlay node's container.

fn main() {}
