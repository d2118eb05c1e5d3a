//! Mermaid, which Markdown pages show as a picture.

use std::fmt::Write as _;

use super::{Member, Picture};

/// The picture as a Mermaid flowchart.
#[must_use]
pub fn mermaid(picture: &Picture) -> String {
    let mut text = String::from("flowchart TB\n");
    let mut boxes = Boxes { text: &mut text, next: 0 };
    boxes.line(1, &format!("wan((\"{}\"))", escape(&picture.lab)));
    for region in &picture.regions {
        let id = boxes.id("region");
        let label = format!("{}<br/>RTT: {}", escape(&region.name), escape(&region.round_trips.join(", ")));
        boxes.line(1, &format!("{id}[\"{label}\"]"));
        boxes.line(1, &format!("wan --- {id}"));
        for member in &region.members {
            boxes.member(1, &id, member);
        }
    }
    text
}

struct Boxes<'a> {
    text: &'a mut String,
    next: usize,
}

impl Boxes<'_> {
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
                let label = format!("{}<br/>{}", escape(&node.label()), escape(&node.detail()));
                self.line(depth, &format!("{id}(\"{label}\")"));
                self.line(depth, &format!("{uplink} --- {id}"));
            }
            Member::Site(site) => {
                let (frame, gateway) = (self.id("site"), self.id("gateway"));
                self.line(depth, &format!("subgraph {frame}[\"{}\"]", escape(&site.label())));
                let label = format!("{}<br/>{}", escape(&site.gateway()), escape(&site.link()));
                self.line(depth + 1, &format!("{gateway}{{{{\"{label}\"}}}}"));
                for inner in &site.members {
                    self.member(depth + 1, &gateway, inner);
                }
                self.line(depth, "end");
                self.line(depth, &format!("{uplink} --- {gateway}"));
            }
        }
    }
}

/// Mermaid has HTML entities by number, with `#` for `&#`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | ';' => {
                write!(escaped, "#{};", u32::from(character)).expect("a string takes all");
            }
            other => escaped.push(other),
        }
    }
    escaped
}
