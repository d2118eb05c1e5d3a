//! Figures over time as lines. As SVG.

use maud::{Markup, html};

use super::chart::{Axis, RIGHT, WIDTH, class, legend, px, short, step};
use super::parts;

const LEFT: f64 = 60.0;
/// The unit stands above the plot.
const TOP: f64 = 30.0;
const HEIGHT: f64 = 210.0;
const MOST_TICKS: f64 = 6.0;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Gives the colour.
    pub colour: usize,
    /// True for a broken line.
    pub broken: bool,
    /// Seconds and values, in order.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    fn in_words(&self, unit: &str) -> String {
        let values = || self.points.iter().map(|(_, value)| *value);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        format!("{}: from {least:.1} to {most:.1} {unit}.", self.name)
    }

    fn path(&self, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
        let points = self.points.iter().map(|(at, value)| format!("{} {}", px(x(*at)), px(y(*value))));
        format!("M{}", points.collect::<Vec<_>>().join("L"))
    }
}

/// Lines over seconds since a command. `id` is what ids in the page begin with.
#[must_use]
pub fn over_time(id: &str, title: &str, unit: &str, lines: &[Line]) -> Markup {
    let points = || lines.iter().flat_map(|line| &line.points);
    let last = points().map(|(at, _)| *at).fold(1.0, f64::max);
    let highest = points().map(|(_, value)| *value).fold(0.1, f64::max);
    let (axis, each) = (Axis::new(LEFT, 0.0, last), step(highest, MOST_TICKS));
    let most = (highest / each).ceil() * each;
    let y = |value: f64| TOP + (1.0 - value / most) * (HEIGHT - TOP);
    let ticks = (0..).map(|n| f64::from(n) * each).take_while(|at| *at <= most + each * 1e-3);
    let (title_id, description) = (format!("{id}-title"), format!("{id}-description"));
    let words: Vec<String> = lines.iter().map(|line| line.in_words(unit)).collect();
    let picture = html! {
        svg.plot viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 50.0 + 18.0 * lines.len() as f64)) role="img"
            aria-labelledby=(format!("{title_id} {description}")) {
            title id=(title_id) { (title) }
            desc id=(description) { (words.join(" ")) }
            (axis.draw(TOP, HEIGHT, "seconds since the command"))
            @for at in ticks {
                line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(y(at))) y2=(px(y(at))) {}
                text.tick x=(px(LEFT - 8.0)) y=(px(y(at))) dy="4" text-anchor="end" { (short(at)) }
            }
            text.tick x="4" y="14" { (unit) }
            @for line in lines.iter().filter(|line| !line.points.is_empty()) { path class=(class(line.colour, line.broken)) d=(line.path(|at| axis.x(at), y)) {} }
            (legend(LEFT, HEIGHT + 50.0, lines.iter().map(|line| (line.colour, line.broken, &line.name[..]))))
        }
    };
    parts::figure(&title_id, &picture)
}
