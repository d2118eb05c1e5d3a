//! A plan as a picture: who is where, behind which NAT and firewall. Pure.
//!
//! [`Picture`] is what there is to draw: regions of the WAN, in them public nodes and sites, in these nodes and
//! inner sites. Members that differ in nothing but number and address are drawn once, with their count, so that a
//! lab of a thousand homes is as easy to read as one of two. The forms: [`mermaid()`], [`dot()`], [`svg()`].

mod dot;
mod mermaid;
mod model;
mod svg;
#[cfg(test)]
mod tests;

pub use dot::dot;
pub use mermaid::mermaid;
pub use model::{Member, NodeBox, Picture, Region, SiteBox};
pub use svg::{page_style, svg, svg_in_page};
