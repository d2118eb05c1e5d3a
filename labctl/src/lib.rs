//! labctl turns a topology YAML into a running lab: overlay nodes in real containers, behind NATs and
//! firewalls that are Linux network namespaces, joined by an emulated Internet. It runs experiments in
//! that lab and reports what it measured next to what was published.
//!
//! Data flows one way: [`topology`] (with [`profile`]) -> [`plan`] -> [`lab`] (through [`net`] and
//! [`runtime`]) -> [`experiment`] (with [`meter`]) -> [`report`].

pub mod experiment;
pub mod lab;
pub mod meter;
pub mod names;
pub mod nat_check;
pub mod net;
pub mod plan;
pub mod profile;
pub mod report;
pub mod runtime;
pub mod topology;
