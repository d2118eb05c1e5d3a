//! The language of Graphviz.

use std::fmt::Write as _;

use super::{Member, Picture};

/// The picture in the language of Graphviz, for `dot -Tsvg` and the like.
#[must_use]
pub fn dot(picture: &Picture) -> String {
    let mut drawing = Drawing { text: String::new(), next: 0 };
    drawing.line(0, &format!("graph {} {{", quoted(&picture.lab)));
    drawing.line(1, &format!("label={}; labelloc=t; fontname=\"sans-serif\";", quoted(&picture.title)));
    drawing.line(1, "node [shape=box, style=rounded, fontname=\"sans-serif\"];");
    drawing.line(1, "wan [label=\"WAN\", shape=ellipse];");
    for region in &picture.regions {
        let id = drawing.id("region");
        let label = format!("{}\nRTT: {}", region.name, region.round_trips.join(", "));
        drawing.line(1, &format!("{id} [label={}, shape=ellipse];", quoted(&label)));
        drawing.line(1, &format!("wan -- {id};"));
        for member in &region.members {
            drawing.member(1, &id, member);
        }
    }
    drawing.line(0, "}");
    drawing.text
}

struct Drawing {
    text: String,
    next: usize,
}

impl Drawing {
    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}{}", self.next)
    }

    fn line(&mut self, depth: usize, line: &str) {
        writeln!(self.text, "{:width$}{line}", "", width = depth * 2).expect("a string takes all");
    }

    fn member(&mut self, depth: usize, uplink: &str, member: &Member) {
        match member {
            Member::Node(node) => {
                let id = self.id("node");
                let label = format!("{}\n{}", node.label(), node.detail());
                self.line(depth, &format!("{id} [label={}];", quoted(&label)));
                self.line(depth, &format!("{uplink} -- {id};"));
            }
            Member::Site(site) => {
                let (frame, gateway) = (self.id("cluster_site"), self.id("gateway"));
                self.line(depth, &format!("subgraph {frame} {{"));
                self.line(depth + 1, &format!("label={}; style=rounded;", quoted(&site.label())));
                let label = format!("{}\n{}", site.gateway(), site.link());
                self.line(depth + 1, &format!("{gateway} [label={}, shape=hexagon];", quoted(&label)));
                for inner in &site.members {
                    self.member(depth + 1, &gateway, inner);
                }
                self.line(depth, "}");
                self.line(depth, &format!("{uplink} -- {gateway};"));
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
