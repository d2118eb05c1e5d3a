//! What runs the nodes. Nothing outside this room knows which runtime it is.
