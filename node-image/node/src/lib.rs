//! An overlay node: [`overlay_protocol`]'s machines on real sockets, and the control socket of
//! [`overlay_control`] beside them.

pub mod driver;
