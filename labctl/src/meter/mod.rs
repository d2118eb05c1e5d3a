//! Counts and captures a node's packets from outside the node.
