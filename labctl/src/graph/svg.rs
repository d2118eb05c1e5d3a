//! A picture that stands for itself: boxes in boxes, no program and no font needed to look at it.
//!
//! A region is a frame with its public nodes and sites in rows, a site a frame with its gateway as a dark bar on
//! its upper edge. Sizes follow from the texts, of whose width only an estimate can be had here.

use std::fmt::Write as _;

use super::{Member, NodeBox, Picture, Region, SiteBox};

/// Width of a letter on average, as a share of the size of the type.
const LETTER: f64 = 0.56;
const SIZE: f64 = 13.0;
const SMALL: f64 = 11.0;
const LINE: f64 = 17.0;
const GAP: f64 = 12.0;
const PADDING: f64 = 10.0;
/// Rows are broken where they would grow wider than this.
const WIDEST_ROW: f64 = 980.0;

const STYLE: &str = "
    text { font: 13px system-ui, sans-serif; fill: #1d2733; }
    .title { font-size: 17px; font-weight: 600; }
    .small { font-size: 11px; fill: #4b5866; }
    .name { font-weight: 600; }
    .paper { fill: #ffffff; }
    .region { fill: #eef4fb; stroke: #9db8d6; }
    .site { fill: #fff8ea; stroke: #d0b071; }
    .gateway { fill: #5a4418; }
    .bar { fill: #ffffff; }
    .node { fill: #ffffff; stroke: #7d8a99; }
    .super-node { stroke: #2f6fb3; }
    .login-server { stroke: #7a3fa0; }
    .client { stroke: #2c8a4b; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6ebf1; }
      .small { fill: #aeb9c5; }
      .paper { fill: #14181d; }
      .region { fill: #1b2632; stroke: #48627e; }
      .site { fill: #2a2417; stroke: #8a733f; }
      .gateway { fill: #c9a95f; }
      .bar { fill: #14181d; }
      .node { fill: #20262d; }
    }
";

/// The picture as SVG. A reader of screens is told the same in words.
#[must_use]
pub fn svg(picture: &Picture) -> String {
    draw(picture, "xmlns=\"http://www.w3.org/2000/svg\"", "", &format!("<style>{STYLE}</style>\n"))
}

/// The same to stand in a page, whose style has [`page_style`] in it once. What it names in the page begins with
/// `prefix`.
#[must_use]
pub fn svg_in_page(picture: &Picture, prefix: &str) -> String {
    draw(picture, "class=\"picture\"", &format!("{prefix}-"), "")
}

/// The style of all pictures in a page.
#[must_use]
pub fn page_style() -> String {
    // A rule begins with a class or with `text`; the rest is braces and what stands around rules.
    let lines = STYLE.lines().map(str::trim).map(|line| match line.chars().next() {
        Some('.' | 't') => format!(".picture {line}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn draw(picture: &Picture, attribute: &str, prefix: &str, style: &str) -> String {
    let regions: Vec<Frame> = picture.regions.iter().map(region).collect();
    let heading = format!("{}: {}", picture.lab, picture.title);
    let inner = regions.iter().map(|frame| frame.width).fold(width(&heading, 17.0), f64::max);
    let (top, total) = (2.0 * GAP + LINE, inner + 2.0 * GAP);
    let height = regions.iter().map(|frame| frame.height + GAP).sum::<f64>() + top;
    let mut out = String::new();
    let mut put = |text: String| out.push_str(&text);
    put(format!(
        "<svg {attribute} viewBox=\"0 0 {total:.0} {height:.0}\" width=\"{total:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-labelledby=\"{prefix}title {prefix}description\">\n"
    ));
    put(format!("<title id=\"{prefix}title\">{}</title>\n", escape(&heading)));
    put(format!("<desc id=\"{prefix}description\">{}</desc>\n", escape(&in_words(picture))));
    put(format!("{style}<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n"));
    put(label(GAP, GAP + LINE, "title", &heading));
    let mut y = top;
    for frame in regions {
        put(format!("<g transform=\"translate({GAP} {y:.0})\">\n{}</g>\n", frame.sized(inner)));
        y += frame.height + GAP;
    }
    put("</svg>\n".to_owned());
    out
}

/// A box that knows its size; `draw` makes it as wide as it is told.
struct Frame {
    width: f64,
    height: f64,
    class: String,
    content: String,
}

impl Frame {
    fn sized(&self, width: f64) -> String {
        format!(
            "<rect class=\"{}\" width=\"{width:.0}\" height=\"{:.0}\" rx=\"6\"/>\n{}",
            self.class, self.height, self.content
        )
    }
}

fn region(region: &Region) -> Frame {
    let round_trips = format!("round trip to {}", region.round_trips.join(", "));
    let rows = rows(&region.members);
    let mut content = label(PADDING, LINE, "name", &region.name);
    content += &label(PADDING, 2.0 * LINE, "small", &round_trips);
    let top = 2.0 * LINE + PADDING;
    let _ = write!(content, "<g transform=\"translate({PADDING} {top:.0})\">\n{}</g>\n", rows.content);
    Frame {
        width: rows.width.max(width(&round_trips, SMALL)) + 2.0 * PADDING,
        height: top + rows.height + PADDING,
        class: "region".to_owned(),
        content,
    }
}

fn site(site: &SiteBox) -> Frame {
    let rows = rows(&site.members);
    let (gateway, link) = (site.gateway(), site.link());
    let texts = [width(&site.label(), SIZE), width(&gateway, SMALL), width(&link, SMALL)];
    let inner = texts.into_iter().fold(rows.width, f64::max);
    let bar = 2.0 * LINE + 4.0;
    let top = bar + LINE + PADDING;
    let mut content = format!(
        "<rect class=\"gateway\" width=\"{:.0}\" height=\"{bar}\" rx=\"6\"/>\n",
        inner + 2.0 * PADDING
    );
    content += &label(PADDING, LINE - 2.0, "small bar", &gateway);
    content += &label(PADDING, 2.0 * LINE - 2.0, "small bar", &link);
    content += &label(PADDING, bar + LINE, "name", &site.label());
    let _ = write!(content, "<g transform=\"translate({PADDING} {top:.0})\">\n{}</g>\n", rows.content);
    Frame {
        width: inner + 2.0 * PADDING,
        height: top + rows.height + PADDING,
        class: "site".to_owned(),
        content,
    }
}

fn node(node: &NodeBox) -> Frame {
    let (name, detail) = (node.label(), node.detail());
    let content = label(PADDING, LINE, "name", &name) + &label(PADDING, 2.0 * LINE, "small", &detail);
    Frame {
        width: width(&name, SIZE).max(width(&detail, SMALL)) + 2.0 * PADDING,
        height: 2.0 * LINE + PADDING,
        class: format!("node {}", node.role),
        content,
    }
}

/// Boxes beside one another, in as many rows as they need.
fn rows(members: &[Member]) -> Frame {
    let (mut x, mut y, mut row, mut widest) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    let mut content = String::new();
    for member in members {
        let frame = match member {
            Member::Node(one) => node(one),
            Member::Site(one) => site(one),
        };
        if x > 0.0 && x + frame.width > WIDEST_ROW {
            (x, y, row) = (0.0, y + row + GAP, 0.0);
        }
        let drawn = frame.sized(frame.width);
        let _ = write!(content, "<g transform=\"translate({x:.0} {y:.0})\">\n{drawn}</g>\n");
        x += frame.width + GAP;
        row = row.max(frame.height);
        widest = widest.max(x - GAP);
    }
    Frame { width: widest, height: y + row, class: String::new(), content }
}

#[expect(clippy::cast_precision_loss, reason = "the length of a name")]
fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * LETTER
}

fn label(x: f64, y: f64, class: &str, text: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x:.0}\" y=\"{y:.0}\">{}</text>\n", escape(text))
}

fn in_words(picture: &Picture) -> String {
    let regions = picture.regions.iter().map(|region| {
        let members: Vec<String> = region.members.iter().map(member_in_words).collect();
        format!("Region {}: {}.", region.name, members.join("; "))
    });
    regions.collect::<Vec<_>>().join(" ")
}

fn member_in_words(member: &Member) -> String {
    match member {
        Member::Node(node) => format!("{} ({})", node.label(), node.role),
        Member::Site(site) => {
            let inside: Vec<String> = site.members.iter().map(member_in_words).collect();
            format!("site {} behind {}: {}", site.label(), site.gateway(), inside.join(", "))
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
