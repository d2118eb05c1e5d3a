//! Plots of figures that many trials have: how they are spread, and boxes. As SVG.

use maud::{Markup, html};

use super::parts;
use crate::report::statistics::quantile;

pub(super) const WIDTH: f64 = 860.0;
pub(super) const RIGHT: f64 = 20.0;
const TOP: f64 = 10.0;
const LEFT: f64 = 170.0;
const HEIGHT: f64 = 260.0;
const BOX_ROW: f64 = 36.0;
/// Least distance of ticks is what this many of them leave.
const MOST_TICKS: f64 = 12.0;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// What ids in the page begin with.
    pub id: &'static str,
    /// What it is called: `login time`.
    pub what: &'static str,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
    /// What has it: `logins`.
    pub each: &'static str,
    /// Where the axis begins.
    pub least: f64,
}

impl Quantity {
    fn axis_title(&self) -> String {
        if self.unit.is_empty() { self.what.to_owned() } else { format!("{}, {}", self.what, self.unit) }
    }
}

/// Figures that are drawn as one line, or as one box.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is called.
    pub name: String,
    /// Gives the colour.
    pub colour: usize,
    /// True for a broken line.
    pub broken: bool,
    /// The figures, sorted, at least one.
    pub values: Vec<f64>,
}

impl Series {
    /// Of figures in any order; `None` of nothing.
    pub fn new(name: String, colour: usize, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self { name, colour, broken: false, values })
    }

    /// The same with a broken line, if it is to have one.
    pub fn broken(self, broken: bool) -> Self {
        Self { broken, ..self }
    }

    fn class(&self) -> String {
        class(self.colour, self.broken)
    }

    /// Least, quarters and greatest.
    fn five(&self) -> [f64; 5] {
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&self.values, share).unwrap_or_default())
    }

    fn in_words(&self, quantity: &Quantity) -> String {
        let [least, lower, median, upper, most] = self.five();
        let Quantity { each, unit, .. } = quantity;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        format!(
            "{}: {} {each}, {least:.2} to {most:.2}{unit}, median {median:.2}{unit}, half of them {lower:.2} to \
             {upper:.2}{unit}.",
            self.name,
            self.values.len()
        )
    }
}

/// The class of a line.
pub(super) fn class(colour: usize, broken: bool) -> String {
    format!("series c{}{}", colour % 6, if broken { " broken" } else { "" })
}

/// A horizontal axis.
pub(super) struct Axis {
    left: f64,
    least: f64,
    most: f64,
    step: f64,
}

impl Axis {
    /// From `least` on so far that `most` is on it.
    pub fn new(left: f64, least: f64, most: f64) -> Self {
        let most = most.max(least + 0.01);
        let step = step(most - least, MOST_TICKS);
        Self { left, least, most: least + ((most - least) / step).ceil() * step, step }
    }

    fn of(quantity: &Quantity, series: &[Series]) -> Self {
        let most = series.iter().filter_map(|one| one.values.last()).copied().fold(quantity.least, f64::max);
        Self::new(LEFT, quantity.least, most)
    }

    pub fn x(&self, value: f64) -> f64 {
        self.left + (value - self.least) / (self.most - self.least) * (WIDTH - RIGHT - self.left)
    }

    pub fn draw(&self, top: f64, bottom: f64, title: &str) -> Markup {
        let ticks = (0..).map(|n| self.least + f64::from(n) * self.step);
        let ticks = ticks.take_while(|at| *at <= self.most + self.step * 1e-3);
        html! {
            @for at in ticks {
                @let x = px(self.x(at));
                line.grid x1=(x) x2=(x) y1=(px(top)) y2=(px(bottom)) {}
                text.tick x=(x) y=(px(bottom + 16.0)) text-anchor="middle" { (short(at)) }
            }
            @let middle = f64::midpoint(self.left, WIDTH - RIGHT);
            text.tick x=(px(middle)) y=(px(bottom + 34.0)) text-anchor="middle" { (title) }
        }
    }
}

/// The distance of ticks: 1, 2 or 5 times a power of ten, so that a span has at most so many.
pub(super) fn step(span: f64, most_ticks: f64) -> f64 {
    let steps = (-3..7).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    steps.into_iter().find(|step| span / step <= most_ticks).unwrap_or(span)
}

/// A number at a tick.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A coordinate, to a tenth of a pixel.
pub(super) fn px(at: f64) -> String {
    format!("{at:.1}")
}

/// What each line is, one below the other.
pub(super) fn legend<'a>(
    left: f64,
    top: f64,
    entries: impl Iterator<Item = (usize, bool, &'a str)>,
) -> Markup {
    html! {
        @for (index, (colour, broken, name)) in entries.enumerate() {
            @let at = top + 18.0 * index as f64;
            line class=(class(colour, broken)) x1=(px(left)) x2=(px(left + 34.0)) y1=(px(at)) y2=(px(at)) {}
            text x=(px(left + 42.0)) y=(px(at)) dy="4" { (name) }
        }
    }
}

/// The share of trials that have so much at the most, one step line for each series.
#[must_use]
pub fn ecdf(quantity: &Quantity, series: &[Series]) -> Markup {
    let axis = Axis::of(quantity, series);
    let below = 18.0 * series.len() as f64;
    let y = |share: f64| TOP + (1.0 - share) * (HEIGHT - TOP);
    let (title, description) =
        (format!("{}-ecdf-title", quantity.id), format!("{}-ecdf-description", quantity.id));
    let names: Vec<String> =
        series.iter().map(|one| format!("{}, {} {}", one.name, one.values.len(), quantity.each)).collect();
    let picture = html! {
        svg.plot viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 50.0 + below)) role="img"
            aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { "Share of " (quantity.each) " by " (quantity.what) }
            desc id=(description) { (in_words(quantity, series)) }
            (axis.draw(TOP, HEIGHT, &quantity.axis_title()))
            @for percent in [0, 25, 50, 75, 100] {
                @let at = px(y(f64::from(percent) / 100.0));
                line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(at) y2=(at) {}
                text.tick x=(px(LEFT - 8.0)) y=(at) dy="4" text-anchor="end" { (percent) " %" }
            }
            text.tick x=(px(LEFT - 50.0)) y=(px(TOP)) dy="4" text-anchor="end" { "share of " (quantity.each) }
            @for one in series { path class=(one.class()) d=(steps(one, &axis, y)) {} }
            (legend(LEFT, HEIGHT + 50.0, series.iter().zip(&names).map(|(one, name)| (one.colour, one.broken, &name[..]))))
        }
    };
    parts::figure(&title, &picture)
}

fn steps(series: &Series, axis: &Axis, y: impl Fn(f64) -> f64) -> String {
    let count = series.values.len() as f64;
    let start = format!("M{} {}", px(axis.x(axis.least)), px(y(0.0)));
    let steps = series.values.iter().zip(1_u32..);
    let steps =
        steps.map(|(at, trials)| format!("H{}V{}", px(axis.x(*at)), px(y(f64::from(trials) / count))));
    let end = format!("H{}", px(WIDTH - RIGHT));
    std::iter::once(start).chain(steps).chain([end]).collect()
}

/// For each series a box from the lower to the upper quarter with the median, whiskers to the least and the
/// greatest, and every trial as a dot.
#[must_use]
pub fn boxes(quantity: &Quantity, series: &[Series]) -> Markup {
    let axis = Axis::of(quantity, series);
    let bottom = TOP + BOX_ROW * series.len() as f64;
    let (title, description) =
        (format!("{}-boxes-title", quantity.id), format!("{}-boxes-description", quantity.id));
    let picture = html! {
        svg.plot viewBox=(format!("0 0 {WIDTH} {}", bottom + 44.0)) role="img"
            aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { "Boxes of " (quantity.what) }
            desc id=(description) { (in_words(quantity, series)) }
            (axis.draw(TOP, bottom, &quantity.axis_title()))
            @for (index, one) in series.iter().enumerate() { (one_box(one, &axis, TOP + BOX_ROW * index as f64)) }
        }
    };
    parts::figure(&title, &picture)
}

fn one_box(series: &Series, axis: &Axis, top: f64) -> Markup {
    let [least, lower, median, upper, most] = series.five().map(|at| axis.x(at));
    let middle = px(top + BOX_ROW / 2.0);
    html! {
        text x=(px(LEFT - 8.0)) y=(middle) dy="4" text-anchor="end" { (series.name) }
        g class=(series.class()) {
            line x1=(px(least)) x2=(px(lower)) y1=(middle) y2=(middle) {}
            line x1=(px(upper)) x2=(px(most)) y1=(middle) y2=(middle) {}
            rect.box x=(px(lower)) y=(px(top + 8.0)) width=(px((upper - lower).max(1.0))) height=(px(BOX_ROW - 16.0)) {}
            line.median x1=(px(median)) x2=(px(median)) y1=(px(top + 8.0)) y2=(px(top + BOX_ROW - 8.0)) {}
            @for value in &series.values { circle cx=(px(axis.x(*value))) cy=(middle) r="2.2" {} }
        }
    }
}

fn in_words(quantity: &Quantity, series: &[Series]) -> String {
    series.iter().map(|one| one.in_words(quantity)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_not_too_many() {
        for (span, expected) in [(0.02, 0.002), (0.5, 0.05), (8.5, 1.0), (40.0, 5.0), (2_700.0, 500.0)] {
            let step = step(span, MOST_TICKS);
            assert!((step - expected).abs() < 1e-9, "{span}: {step}");
        }
        assert_eq!([short(0.002), short(20.0), short(1.5)], ["0.002", "20", "1.5"]);
    }

    #[test]
    fn nothing_is_no_series_and_figures_are_sorted() {
        assert!(Series::new("x".into(), 0, []).is_none());
        assert_eq!(Series::new("x".into(), 0, [3.0, 1.0]).unwrap().values, [1.0, 3.0]);
    }
}
