//! The page about a sweep: a curve for each of the figures that a reader looks for first, and the table.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::STYLE;
use super::chart::px;
use crate::report::SweepReport;
use crate::report::figure::Figure;
use crate::report::sweep::{Curve, Quarters};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
const TOP: f64 = 12.0;
const HEIGHT: f64 = 300.0;
/// What the plots have beside what the other pages' have.
const OWN_STYLE: &str = ".series .band { fill: currentColor; opacity: 0.18; stroke: none; } \
                         .series .whisker { stroke-width: 1; }";
/// Width of a letter of an axis.
const LETTER: f64 = 7.0;
/// An axis whose greatest value is so many times its least is logarithmic.
const WIDE: f64 = 20.0;

/// The page.
#[must_use]
pub fn render(report: &SweepReport) -> String {
    let said = &report.description;
    let title = format!("{} over {}: {}", capital(&said.experiment), said.parameter, said.lab);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Without it a browser asks the server for a picture.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) (OWN_STYLE) }
            }
            body {
                main {
                    h1 { (title) }
                    (curves(report))
                    (table(report))
                    (again(report))
                }
            }
        }
    };
    page.into_string()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn curves(report: &SweepReport) -> Markup {
    let mut figures: Vec<Figure> = Vec::new();
    for curve in report.main_curves() {
        if !figures.contains(&curve.what.figure) {
            figures.push(curve.what.figure);
        }
    }
    html! {
        section aria-labelledby="curves" {
            h2 id="curves" { "Curves" }
            @if figures.is_empty() { p { "No trial came about." } }
            @for figure in &figures {
                @let some: Vec<&Curve> = report.main_curves().filter(|curve| curve.what.figure == *figure).collect();
                h3 { (capital(figure.name)) }
                (plot(report, figure, &some))
            }
            p.quiet {
                "Lines join medians. A band reaches from the lower to the upper quarter of the trials, whiskers to the least \
                and the greatest; every dot is a trial. Trials that failed are in the table only."
            }
        }
    }
}

/// Where the points are from left to right.
struct Across {
    /// A place for each point, 0 to 1.
    places: Vec<f64>,
    title: String,
    logarithmic: bool,
}

impl Across {
    fn of(report: &SweepReport) -> Self {
        let said = &report.description;
        let count = report.points.len();
        let numbers: Option<Vec<f64>> = report.points.iter().map(|point| point.number).collect();
        let unit = if said.unit.is_empty() { String::new() } else { format!(", {}", said.unit) };
        let title = format!("{}{unit}", said.parameter);
        let even = || (0..count).map(|place| (place as f64 + 0.5) / count.max(1) as f64).collect();
        let Some(numbers) = numbers.filter(|numbers| numbers.len() > 1) else {
            return Self { places: even(), title, logarithmic: false };
        };
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let logarithmic = least > 0.0 && most / least >= WIDE;
        let scale = |number: f64| if logarithmic { number.ln() } else { number };
        let (low, wide) = (scale(least), (scale(most) - scale(least)).max(f64::MIN_POSITIVE));
        let places = numbers.iter().map(|number| (scale(*number) - low) / wide).collect();
        Self { places, title, logarithmic }
    }

    /// False if the text below a point would run into that of a point before it.
    fn has_room(&self, index: usize, text: &str) -> bool {
        let width = LETTER * (text.chars().count() as f64 + 1.0);
        (0..index).all(|before| (self.x(before) - self.x(index)).abs() >= width)
    }

    fn x(&self, index: usize) -> f64 {
        LEFT + 12.0 + self.places[index] * (PLOT - 24.0)
    }
}

/// The vertical axis, from 0, or from below the least value where all are far from 0.
struct Up {
    least: f64,
    most: f64,
    step: f64,
}

impl Up {
    fn of(curves: &[&Curve]) -> Self {
        let values = || curves.iter().flat_map(|curve| curve.values.iter().flatten()).copied();
        let most = values().fold(f64::NEG_INFINITY, f64::max);
        let least = values().fold(f64::INFINITY, f64::min);
        let least = if least > 0.0 && (most - least) < most / 4.0 { least } else { least.min(0.0) };
        // One value alone has room above it.
        let most = if most - least < 1e-9 { least + 1.0 } else { most };
        let span = most - least;
        let rough = span / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| span / step <= 6.0);
        let step = step.unwrap_or(10.0 * power);
        Self { least: (least / step).floor() * step, most: (most / step).ceil() * step, step }
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - (value - self.least) / (self.most - self.least)) * (HEIGHT - TOP)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        // Not below nought: a step of 10 or more has no decimal places.
        let places =
            (0..9).find(|places| (self.step * 10_f64.powi(*places)).fract().abs() < 1e-6).unwrap_or(0);
        let at = |count: u32| self.least + f64::from(count) * self.step;
        let ticks = (0..).map(at).take_while(|value| *value <= self.most + self.step / 1e3);
        #[expect(clippy::cast_sign_loss, reason = "0 to 8")]
        ticks.map(|value| (value, format!("{value:.*}", places as usize))).collect()
    }
}

fn plot(report: &SweepReport, figure: &Figure, curves: &[&Curve]) -> Markup {
    let (across, up) = (Across::of(report), Up::of(curves));
    let legend = 18.0 * curves.len() as f64;
    let (title, description) = (format!("{}-title", figure.key), format!("{}-description", figure.key));
    let words: Vec<String> = curves.iter().map(|curve| in_words(report, curve)).collect();
    html! {
        svg.plot viewBox=(format!("0 0 {WIDTH} {}", px(HEIGHT + 50.0 + legend))) role="img"
            aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (capital(figure.name)) " over " (across.title) }
            desc id=(description) { (words.join(" ")) }
            @for (value, text) in up.ticks() {
                @let at = px(up.y(value));
                line.grid x1=(px(LEFT)) x2=(px(LEFT + PLOT)) y1=(at) y2=(at) {}
                text.tick x=(px(LEFT - 8.0)) y=(at) dy="4" text-anchor="end" { (text) }
            }
            text.tick x="14" y=(px(HEIGHT / 2.0)) text-anchor="middle"
                transform=(format!("rotate(-90 14 {})", px(HEIGHT / 2.0))) { (figure.title()) }
            @for (index, point) in report.points.iter().enumerate() {
                @let x = px(across.x(index));
                line.grid x1=(x) x2=(x) y1=(px(HEIGHT)) y2=(px(HEIGHT + 5.0)) {}
                @if across.has_room(index, &point.value) {
                    text.tick x=(x) y=(px(HEIGHT + 18.0)) text-anchor="middle" { (point.value) }
                }
            }
            text.tick x=(px(LEFT + PLOT / 2.0)) y=(px(HEIGHT + 36.0)) text-anchor="middle" {
                (across.title) @if across.logarithmic { " (logarithmic)" }
            }
            @for (colour, curve) in curves.iter().enumerate() { (series(curve, colour, &across, &up)) }
            @for (colour, curve) in curves.iter().enumerate() {
                @let at = px(HEIGHT + 56.0 + 18.0 * colour as f64);
                line class=(format!("series c{}", colour % 6)) x1=(px(LEFT)) x2=(px(LEFT + 34.0)) y1=(at) y2=(at) {}
                text x=(px(LEFT + 42.0)) y=(at) dy="4" { (curve.what.name()) }
            }
        }
    }
}

fn series(curve: &Curve, colour: usize, across: &Across, up: &Up) -> Markup {
    // In the order of the axis, which need not be that in which they were measured.
    let mut points: Vec<(f64, Quarters, &[f64])> = curve
        .quarters()
        .enumerate()
        .filter_map(|(index, quarters)| Some((across.x(index), quarters?, &curve.values[index][..])))
        .collect();
    points.sort_by(|one, two| one.0.total_cmp(&two.0));
    let line = |of: &dyn Fn(&Quarters) -> f64| {
        let places = points.iter().map(|(x, quarters, _)| format!("{},{}", px(*x), px(up.y(of(quarters)))));
        places.collect::<Vec<_>>()
    };
    let mut band = line(&|quarters| quarters.upper);
    band.extend(line(&|quarters| quarters.lower).into_iter().rev());
    html! {
        g class=(format!("series c{}", colour % 6)) {
            polygon.band points=(band.join(" ")) {}
            polyline points=(line(&|quarters| quarters.median).join(" ")) {}
            @for (x, quarters, values) in &points {
                line.whisker x1=(px(*x)) x2=(px(*x)) y1=(px(up.y(quarters.min))) y2=(px(up.y(quarters.max))) {}
                @for value in *values { circle cx=(px(*x)) cy=(px(up.y(*value))) r="2.2" {} }
            }
        }
    }
}

fn in_words(report: &SweepReport, curve: &Curve) -> String {
    let places = curve.what.figure.places;
    let unit = curve.what.figure.unit;
    let at = report.points.iter().zip(curve.quarters()).map(|(point, quarters)| match quarters {
        None => format!("nothing at {}", point.value),
        Some(Quarters { min, median, max, .. }) => {
            let words = format!("{median:.places$} {unit}");
            format!("{} at {} ({min:.places$} to {max:.places$})", words.trim_end(), point.value)
        }
    });
    format!("{}: median {}.", curve.what.name(), at.collect::<Vec<_>>().join(", "))
}

fn table(report: &SweepReport) -> Markup {
    let curves: Vec<&Curve> = report.curves.iter().collect();
    html! {
        section aria-labelledby="figures" {
            h2 id="figures" { "Figures" }
            div.scroll tabindex="0" role="region" aria-labelledby="figures" {
                table {
                    caption { "Median (least to most) of the trials that came about." }
                    thead {
                        tr {
                            th scope="col" { (report.description.parameter) }
                            th scope="col" { "trials" }
                            th scope="col" { "failed" }
                            @for curve in &curves { th scope="col" { (curve.what.of) " " (curve.what.figure.title()) } }
                        }
                    }
                    tbody {
                        @for (index, point) in report.points.iter().enumerate() {
                            tr {
                                th scope="row" { (point.value) }
                                td.number { (point.trials - point.failed) }
                                td.number {
                                    @if point.failed > 0 { span.fail { (point.failed) } } @else { (point.failed) }
                                }
                                @for curve in &curves { td.number { (cell(curve, index)) } }
                            }
                        }
                    }
                }
            }
            ul { @for line in report.below() { li { (line) } } }
        }
    }
}

fn cell(curve: &Curve, index: usize) -> String {
    let places = curve.what.figure.places;
    Quarters::of(&curve.values[index]).map_or("–".to_owned(), |Quarters { min, median, max, .. }| {
        format!("{median:.places$} ({min:.places$} to {max:.places$})")
    })
}

fn again(report: &SweepReport) -> Markup {
    let said = &report.description;
    let runs = report.points.iter().filter_map(|point| Some((&point.value, point.run.as_ref()?)));
    html! {
        section aria-labelledby="again" {
            h2 id="again" { "To measure it again" }
            p {
                "Measured from " (said.started) " (UTC) on with labctl " (said.labctl) ", " (said.kernel) "; seed "
                (said.seed) ", " (said.trials) " trials of each kind at each value. Each value has a run of its own below the \
                sweep's directory, which holds the topology, the plan and every trial's seed:"
            }
            ul { @for (value, run) in runs { li { (value) ": " code { (run) } } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{VOID, parsed};
    use super::*;
    use crate::report::sweep::tests::sweep;
    use html5ever::tokenizer::TagKind;

    fn page() -> String {
        render(&SweepReport::new(&sweep()))
    }

    #[test]
    fn the_page_is_well_formed_and_asks_for_nothing_outside() {
        let page = page();
        let found = parsed(&page);
        assert_eq!(*found.errors.borrow(), Vec::<String>::new());
        let mut open = Vec::new();
        for tag in found.tags.borrow().iter() {
            let name = tag.name.to_string();
            match tag.kind {
                TagKind::StartTag if tag.self_closing || VOID.contains(&name.as_str()) => {}
                TagKind::StartTag => open.push(name),
                TagKind::EndTag => assert_eq!(open.pop(), Some(name)),
            }
        }
        assert_eq!(open, Vec::<String>::new());
        assert!(!page.contains("://") && !page.contains("url(") && !page.contains("<script"));
    }

    #[test]
    fn each_main_figure_has_a_plot_with_words_and_a_line_for_each_kind() {
        let page = page();
        assert_eq!(page.matches("<svg").count(), 2, "login time and payload");
        assert_eq!(page.matches("<polyline").count(), 4);
        assert!(page.contains("subsequent login time: median 4.20 s at 0% (4.10 to 4.30)"), "{page}");
        assert!(page.contains("nothing at 50%") && page.contains("bob could not log in"));
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }

    #[test]
    fn a_sweep_of_which_nothing_came_about_has_a_page_too() {
        let mut nothing = sweep();
        nothing.points.retain(|(_, run)| run.is_none());
        let page = render(&SweepReport::new(&nothing));
        assert!(page.contains("No trial came about."));
    }

    #[test]
    fn an_axis_has_round_ticks_and_holds_every_value() {
        let curve = |values: &[f64]| {
            let mut curve = SweepReport::new(&sweep()).curves.remove(0);
            curve.values = vec![values.to_vec()];
            curve
        };
        for (values, first, last) in [
            (&[0.3, 34.0][..], "0", "40"),
            (&[4.31, 4.39], "4.30", "4.40"),
            (&[9000.0, 8900.0], "8900", "9000"),
            (&[0.0, 0.0], "0", "1"),
            (&[2.0], "2", "3"),
        ] {
            let curve = curve(values);
            let up = Up::of(&[&curve]);
            let ticks = up.ticks();
            assert!(ticks.len() <= 8, "{values:?}: {ticks:?}");
            let text = |tick: Option<&(f64, String)>| tick.unwrap().1.parse::<f64>().unwrap();
            assert!(
                (text(ticks.first()) - first.parse::<f64>().unwrap()).abs() < 1e-6,
                "{values:?}: {ticks:?}"
            );
            assert!(
                (text(ticks.last()) - last.parse::<f64>().unwrap()).abs() < 1e-6,
                "{values:?}: {ticks:?}"
            );
            for value in values {
                assert!((TOP - 0.1..=HEIGHT + 0.1).contains(&up.y(*value)), "{values:?}");
            }
        }
    }
}
