//! Records -> table and JSON.
