//! The directory of a sweep: its description, a line for each point, and below it the run of each point.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::points::{Point, Points};
use crate::experiment::kernel;
use crate::experiment::recorded::{ReadError, RecordedRun, json_file, lines};
use crate::experiment::run::{RunError, append, create, make_directory, write_json};
use crate::experiment::session::Outline;
use crate::meter::Timestamp;

/// File that tells a sweep's directory from that of a run.
const INDEX: &str = "sweep.json";
/// File with a line for each point that was measured.
const POINTS: &str = "points.ndjson";
/// Version of the format.
const SCHEMA: &str = "labctl.sweep-run/1";

/// What `sweep.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepDescription {
    /// Version of the format.
    pub schema: String,
    /// `login`, `search` or `call`.
    pub experiment: String,
    /// The lab's name.
    pub lab: String,
    /// When it began.
    pub started: Timestamp,
    /// Version of labctl.
    pub labctl: String,
    /// Kernel and its version.
    pub kernel: String,
    /// Seed of the trials' seeds, the same at each point.
    pub seed: u64,
    /// Trials of each kind at each point.
    pub trials: u32,
    /// What is swept.
    pub parameter: String,
    /// Unit of the values' numbers; empty if they have none.
    pub unit: String,
    /// The values, in the order in which they are measured.
    pub values: Vec<String>,
    /// The access links that have them, both ways; empty if it is no property of links.
    pub links: Vec<String>,
    /// How many labs are made for it; 0: it is measured in one that runs.
    pub labs: usize,
}

/// One line of `points.ndjson`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointRecord {
    /// The value as it would be written: `5%`.
    pub value: String,
    /// The same as a number in the sweep's unit; `null` if it is none.
    pub number: Option<f64>,
    /// The run's directory, below that of the sweep; `null` if it did not come to that.
    pub run: Option<String>,
    /// Why it has no figures, if a client could not even log in.
    pub failure: Option<String>,
}

impl PointRecord {
    pub(super) fn new(point: &Point, run: Option<&Path>, failure: Option<String>) -> Self {
        let name = run.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Self { value: point.value.text.clone(), number: point.value.number, run: name, failure }
    }

    /// Makes it a point without figures, since its run's directory is not there any more.
    fn records_are_gone(&mut self) {
        let Some(name) = self.run.take() else { return };
        let gone = format!("its records are gone: the sweep's directory has no {name} any more");
        self.failure = Some(match self.failure.take() {
            Some(failure) => format!("{failure}; {gone}"),
            None => gone,
        });
    }
}

/// A sweep's directory that is being filled.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) directory: PathBuf,
}

impl Index {
    /// Makes it below `runs`.
    pub(super) fn create(
        runs: &Path,
        points: &Points,
        outline: &Outline,
        labs: usize,
    ) -> Result<Self, RunError> {
        let (started, lab) = (Timestamp::now(), points.base.lab.as_str());
        let directory = make_directory(runs, started, &format!("sweep-{}", outline.experiment), lab)?;
        let description = SweepDescription {
            schema: SCHEMA.to_owned(),
            experiment: outline.experiment.to_owned(),
            lab: lab.to_owned(),
            started,
            labctl: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: kernel(),
            seed: outline.seed,
            trials: outline.trials,
            parameter: points.parameter.clone(),
            unit: points.unit.clone(),
            values: points.all.iter().map(|point| point.value.text.clone()).collect(),
            links: points.links.clone(),
            labs,
        };
        write_json(&directory.join(INDEX), &description)?;
        create(&directory.join(POINTS))?;
        Ok(Self { directory })
    }

    pub(super) fn add(&self, point: &PointRecord) -> Result<(), RunError> {
        append(&self.directory.join(POINTS), [point])
    }
}

/// A sweep, read back.
#[derive(Clone, Debug)]
pub struct RecordedSweep {
    /// Its directory.
    pub directory: PathBuf,
    /// What it says of itself.
    pub description: SweepDescription,
    /// The points that were measured, each with its run, if there is one.
    pub points: Vec<(PointRecord, Option<RecordedRun>)>,
}

impl RecordedSweep {
    /// True if a directory is one of a sweep.
    #[must_use]
    pub fn is_at(directory: &Path) -> bool {
        directory.join(INDEX).is_file()
    }

    /// Reads a sweep with all of its runs, but for their captures. The point that was being measured when a sweep was
    /// interrupted is not in it. A point whose run's directory is gone has no run, and says so.
    ///
    /// # Errors
    ///
    /// If a file is missing of the sweep or of a run that is there, or not as labctl writes it.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let description = json_file(directory, INDEX, SCHEMA)?;
        let records: Vec<PointRecord> = match lines(directory, POINTS) {
            Err(ReadError::File(_, error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let run = |mut record: PointRecord| {
            let path = record.run.as_ref().map(|name| directory.join(name));
            if path.as_ref().is_some_and(|path| matches!(path.try_exists(), Ok(false))) {
                record.records_are_gone();
                return Ok((record, None));
            }
            let run = path.as_deref().map(RecordedRun::read).transpose()?;
            Ok((record, run))
        };
        let points = records.into_iter().map(run).collect::<Result<_, ReadError>>()?;
        Ok(Self { directory: directory.to_owned(), description, points })
    }

    /// True if not all of its points were measured.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.points.len() < self.description.values.len()
    }
}

/// The directories of runs and sweeps below one, those of a sweep's points not among them, by name.
pub fn run_directories(runs: &Path) -> io::Result<Vec<PathBuf>> {
    let is_run = |path: &PathBuf| path.join("run.json").is_file() || RecordedSweep::is_at(path);
    let entries = fs::read_dir(runs)?.collect::<io::Result<Vec<_>>>()?;
    let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_run).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_whose_directory_is_gone_leaves_the_others_readable() {
        let folder = tempfile::tempdir().unwrap();
        let description = SweepDescription {
            schema: SCHEMA.to_owned(),
            experiment: "login".to_owned(),
            lab: "x".to_owned(),
            started: Timestamp::from_nanos(0),
            labctl: "0.1.0".to_owned(),
            kernel: "Linux 6".to_owned(),
            seed: 7,
            trials: 1,
            parameter: "loss".to_owned(),
            unit: "%".to_owned(),
            values: ["0%", "5%", "9%"].map(str::to_owned).into(),
            links: vec!["a".to_owned()],
            labs: 1,
        };
        write_json(&folder.path().join(INDEX), &description).unwrap();
        let point = |value: &str, run: &str, failure: Option<&str>| PointRecord {
            value: value.to_owned(),
            number: None,
            run: Some(run.to_owned()),
            failure: failure.map(str::to_owned),
        };
        let there = |directory: &Path| {
            fs::create_dir(directory).unwrap();
            let run = "{\"schema\": \"labctl.run/1\", \"experiment\": \"login\", \"lab\": \"x\", \
                       \"started\": \"2006-01-02T15:04:05.000000000Z\", \"labctl\": \"0.0.1\", \
                       \"kernel\": \"Linux 5\", \"engine\": \"embedded\", \"seed\": 7, \"trials\": 1, \
                       \"parallel\": null, \"plan_sha256\": \"ab\"}";
            fs::write(directory.join("run.json"), run).unwrap();
            fs::write(directory.join("trials.ndjson"), "").unwrap();
        };
        there(&folder.path().join("one"));
        let records =
            [point("0%", "one", None), point("5%", "two", None), point("9%", "three", Some("lost"))];
        create(&folder.path().join(POINTS)).unwrap();
        append(&folder.path().join(POINTS), &records).unwrap();

        let sweep = RecordedSweep::read(folder.path()).unwrap();
        let runs: Vec<bool> = sweep.points.iter().map(|(_, run)| run.is_some()).collect();
        assert_eq!(runs, [true, false, false]);
        assert_eq!(sweep.points[0].0, records[0]);
        let failure = |place: usize| sweep.points[place].0.failure.clone().unwrap();
        assert!(failure(1).contains("records are gone") && failure(1).contains("two"), "{}", failure(1));
        assert!(failure(2).starts_with("lost; ") && failure(2).contains("three"), "{}", failure(2));

        // What is there and cannot be read is no point without figures.
        fs::create_dir(folder.path().join("two")).unwrap();
        assert!(RecordedSweep::read(folder.path()).is_err());
    }
}
