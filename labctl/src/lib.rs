//! labctl turns a topology YAML into a running lab: overlay nodes in real containers, behind NATs and
//! firewalls that are Linux network namespaces, joined by an emulated Internet. It runs experiments in
//! that lab and reports what it measured next to what was published.
//!
//! Data flows one way: [`topology`] (with [`profile`]) -> [`plan`] -> [`lab`] (through [`net`] and
//! [`runtime`]) -> [`experiment`] (with [`meter`]) -> [`report`].

pub mod experiment;
pub mod graph;
pub mod keeper;
pub mod lab;
pub mod lesson;
pub mod link;
pub mod meter;
pub mod names;
pub mod nat_check;
pub mod net;
pub mod plan;
pub mod profile;
pub mod report;
pub mod runtime;
pub mod schema;
pub mod session_keys;
mod times;
pub mod topology;

pub mod watch;
pub mod world;
