//! A sweep, summed up: a row for each point, as a table and as JSON.

use comfy_table::CellAlignment;
use serde::Serialize;

use super::figure::{Sample, samples};
use super::statistics::{clean, quantile};
use super::table::Style;
use crate::experiment::recorded::Records;
use crate::experiment::sweep::{RecordedSweep, SweepDescription};

/// Schema of `--sweep ... --json`.
pub const SWEEP: &str = "labctl.sweep/1";

/// How the values of a figure are spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quarters {
    /// Trials that it is made from.
    pub trials: usize,
    /// The least.
    pub min: f64,
    /// A quarter of the values are below, between two of them in proportion.
    pub lower: f64,
    /// The median.
    pub median: f64,
    /// A quarter of the values are above.
    pub upper: f64,
    /// The greatest.
    pub max: f64,
}

impl Quarters {
    /// Of values in any order; `None` of nothing.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share| quantile(&sorted, share).map(clean);
        Some(Self {
            trials: sorted.len(),
            min: at(0.0)?,
            lower: at(0.25)?,
            median: at(0.5)?,
            upper: at(0.75)?,
            max: at(1.0)?,
        })
    }
}

/// One figure over all points.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The figure and the kind of trial, without values.
    pub what: Sample,
    /// The values at each point, in the order of the points; empty where nothing was measured.
    pub values: Vec<Vec<f64>>,
}

impl Curve {
    /// How they are spread at each point.
    pub fn quarters(&self) -> impl Iterator<Item = Option<Quarters>> {
        self.values.iter().map(|values| Quarters::of(values))
    }
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The value as it would be written.
    pub value: String,
    /// The same as a number; `None` if it is none.
    pub number: Option<f64>,
    /// Trials that were made.
    pub trials: usize,
    /// Of these, trials that failed.
    pub failed: usize,
    /// Why nothing more could be measured.
    pub failure: Option<String>,
    /// The run's directory, below that of the sweep.
    pub run: Option<String>,
}

/// The report of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepReport {
    /// What was swept, and how.
    pub description: SweepDescription,
    /// The points that were measured.
    pub points: Vec<Point>,
    /// Every figure that was measured at any of them.
    pub curves: Vec<Curve>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    experiment: &'a str,
    lab: &'a str,
    parameter: &'a str,
    unit: &'a str,
    links: &'a [String],
    seed: u64,
    points: Vec<JsonPoint<'a>>,
}

#[derive(Serialize)]
struct JsonPoint<'a> {
    value: &'a str,
    number: Option<f64>,
    trials: usize,
    failed: usize,
    failure: Option<&'a str>,
    run: Option<&'a str>,
    figures: Vec<JsonFigure<'a>>,
}

#[derive(Serialize)]
struct JsonFigure<'a> {
    figure: &'a str,
    of: &'a str,
    unit: &'a str,
    #[serde(flatten)]
    quarters: Quarters,
}

impl SweepReport {
    /// Sums up.
    #[must_use]
    pub fn new(sweep: &RecordedSweep) -> Self {
        let mut curves: Vec<Curve> = Vec::new();
        let mut points = Vec::new();
        for (index, (point, run)) in sweep.points.iter().enumerate() {
            for sample in run.iter().flat_map(|run| samples(&run.records)) {
                let same =
                    |curve: &&mut Curve| (curve.what.figure, curve.what.of) == (sample.figure, sample.of);
                if let Some(curve) = curves.iter_mut().find(same) {
                    curve.values[index] = sample.values;
                } else {
                    let mut values = vec![Vec::new(); sweep.points.len()];
                    values[index].clone_from(&sample.values);
                    curves.push(Curve { what: Sample { values: Vec::new(), ..sample }, values });
                }
            }
            let records = run.as_ref().map(|run| &run.records);
            points.push(Point {
                value: point.value.clone(),
                number: point.number,
                trials: records.map_or(0, Records::trials),
                failed: records.map_or(0, Records::failed),
                failure: point.failure.clone(),
                run: point.run.clone(),
            });
        }
        Self { description: sweep.description.clone(), points, curves }
    }

    /// True if a trial failed, or a point has none.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.points.iter().any(|point| point.failed > 0 || point.failure.is_some())
    }

    /// The curves that a reader looks for first.
    pub fn main_curves(&self) -> impl Iterator<Item = &Curve> {
        self.curves.iter().filter(|curve| curve.what.figure.main)
    }

    /// As JSON, indented, with a line feed at the end.
    #[must_use]
    pub fn json(&self) -> String {
        let said = &self.description;
        let points = self.points.iter().enumerate().map(|(index, point)| JsonPoint {
            value: &point.value,
            number: point.number,
            trials: point.trials,
            failed: point.failed,
            failure: point.failure.as_deref(),
            run: point.run.as_deref(),
            figures: self.curves.iter().filter_map(|curve| figure(curve, index)).collect(),
        });
        super::json::text(&Document {
            schema: SWEEP,
            experiment: &said.experiment,
            lab: &said.lab,
            parameter: &said.parameter,
            unit: &said.unit,
            links: &said.links,
            seed: said.seed,
            points: points.collect(),
        })
    }

    /// As a table, with lines below for what the figures cannot say themselves.
    #[must_use]
    pub fn table(&self, style: Style) -> String {
        let mut table = style.table();
        let curves: Vec<&Curve> = self.main_curves().collect();
        let titles = curves.iter().map(|curve| title(&curve.what, style));
        let first = [self.description.parameter.clone(), "trials".to_owned(), "failed".to_owned()];
        table.set_header(first.into_iter().chain(titles));
        for (index, point) in self.points.iter().enumerate() {
            let cells = curves.iter().map(|curve| cell(curve, index, style));
            let first =
                [point.value.clone(), (point.trials - point.failed).to_string(), point.failed.to_string()];
            table.add_row(first.into_iter().chain(cells));
        }
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let lines: String = self.below().into_iter().map(|line| line + "\n").collect();
        format!("{table}\n{lines}")
    }

    /// What is said below the table.
    #[must_use]
    pub fn below(&self) -> Vec<String> {
        let said = &self.description;
        let what = if said.links.is_empty() {
            format!("{}: a value of the topology.", said.parameter)
        } else {
            format!("{}: each way of each of these access links: {}.", said.parameter, said.links.join(", "))
        };
        let mut lines = vec![what];
        for point in &self.points {
            if let Some(failure) = &point.failure {
                lines.push(format!("{} = {}: FAILED: {failure}", said.parameter, point.value));
            } else if point.failed > 0 {
                let run = point.run.as_deref().unwrap_or_default();
                let count = point.failed;
                lines.push(format!(
                    "{} = {}: {count} FAILED (the records in {run} say why)",
                    said.parameter, point.value
                ));
            }
        }
        let missing = said.values.len() - self.points.len().min(said.values.len());
        if missing > 0 {
            lines.push(format!("Interrupted: {missing} of {} values were not measured.", said.values.len()));
        }
        lines.push(format!(
            "Median (least to most) of the trials that came about. Seed {}, at each point.",
            said.seed
        ));
        lines
    }
}

fn figure(curve: &Curve, index: usize) -> Option<JsonFigure<'_>> {
    let Sample { figure, of, .. } = &curve.what;
    let quarters = Quarters::of(curve.values.get(index)?)?;
    Some(JsonFigure { figure: figure.key, of, unit: figure.unit, quarters })
}

fn title(what: &Sample, style: Style) -> String {
    let title = what.figure.title();
    if what.of.is_empty() { title } else { format!("{}{}{title}", what.of, style.line_break()) }
}

fn cell(curve: &Curve, index: usize, style: Style) -> String {
    let places = curve.what.figure.places;
    match curve.values.get(index).and_then(|values| Quarters::of(values)) {
        None => "-".to_owned(),
        Some(Quarters { trials: 1, median, .. }) => format!("{median:.places$}"),
        Some(Quarters { min, median, max, .. }) => {
            format!("{median:.places$}{}({min:.places$} to {max:.places$})", style.line_break())
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
