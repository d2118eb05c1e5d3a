//! What the commands that measure share: progress of trials, and where the report goes.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use labctl::experiment::login::Progress;
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::profile::Catalogue;
use labctl::report::table::{self, Style};
use labctl::report::{Row, json};
use labctl::topology::{self, Overrides};

const TICK: Duration = Duration::from_millis(100);

/// Shows waves and trials on standard error: one live line on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Watch {
    bar: Option<ProgressBar>,
}

impl Watch {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let template = "{spinner} {msg} [{bar:24}] {pos}/{len} {elapsed}";
            let style = ProgressStyle::with_template(template).expect("the template is a constant");
            ProgressBar::no_length().with_style(style)
        });
        Self { bar }
    }

    /// Shows an event.
    pub fn show(&self, event: Progress) {
        match event {
            Progress::GoingOnline(clients) => {
                self.begin(&format!("logging in {clients} clients that stay online"), clients);
            }
            Progress::Wave { kind, wave, waves, clients } => {
                self.begin(&format!("{} logins, wave {wave} of {waves}", kind.as_str()), clients);
            }
            Progress::Ended(record) => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                let name = format!("{} {} on {}", record.kind.as_str(), record.trial, record.client);
                match (&record.failure, record.login_s) {
                    (Some(failure), _) => self.line(&format!("{name}: FAILED: {}", failure.detail)),
                    (None, Some(seconds)) if self.bar.is_none() => {
                        self.line(&format!("{name}: logged in after {seconds:.2} s"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn begin(&self, text: &str, parts: usize) {
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_length(parts as u64);
                bar.set_message(text.to_owned());
                bar.enable_steady_tick(TICK);
            }
            None => self.line(&format!("{text} ({parts} side by side) ...")),
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| drop(writeln!(io::stderr(), "{text}"))),
            // Nobody may be reading any more; that is no reason to stop the work.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

/// Where the report goes.
#[derive(Debug)]
pub enum Output {
    /// A table on standard output, and perhaps JSON in a file.
    Table(Option<(PathBuf, File)>),
    /// JSON on standard output, and nothing else there.
    Json,
}

impl Output {
    /// Opens what `--json` names, so that an hour of trials is not lost to a name that cannot be written.
    pub fn open(json: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match json {
            None => Self::Table(None),
            Some(path) if path == Path::new("-") => Self::Json,
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("cannot write the report to {}", path.display()))?;
                Self::Table(Some((path.to_owned(), file)))
            }
        })
    }

    /// Writes the report; `runs` are the directories of the records. The exit code is not 0 if a trial failed.
    pub fn write(&self, schema: &'static str, rows: &[Row], runs: &[PathBuf]) -> anyhow::Result<ExitCode> {
        let json = json::render(schema, rows);
        let mut out = io::stdout().lock();
        match self {
            Self::Json => out.write_all(json.as_bytes())?,
            Self::Table(file) => {
                if let Some((path, mut file)) = file.as_ref().map(|(path, file)| (path, file)) {
                    file.write_all(json.as_bytes())
                        .with_context(|| format!("cannot write the report to {}", path.display()))?;
                }
                out.write_all(table::render(rows, style()).as_bytes())?;
                for run in runs {
                    writeln!(out, "records: {}", run.display())?;
                }
            }
        }
        let failed = rows.iter().any(|row| row.failed > 0);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// A framed table in a terminal, a plain one elsewhere.
fn style() -> Style {
    if io::stdout().is_terminal() { Style::Terminal } else { Style::Plain }
}

/// The plan of a topology file, and the file's text. A shipped topology's name does for its file.
pub fn read_topology(
    path: &Path,
    name: Option<&LabName>,
    seed: Option<u64>,
) -> anyhow::Result<(Plan, String)> {
    let overrides = Overrides { name: name.cloned(), seed, ..Overrides::default() };
    let topology = topology::load(path, &Catalogue::shipped(), &overrides)?;
    // It was read a moment ago, and found to be a topology; if it is no file, it is a shipped one's name.
    let text = std::fs::read_to_string(path).ok();
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let text = text.or_else(|| stem.and_then(shipped_text).map(str::to_owned)).unwrap_or_default();
    Ok((Plan::new(&topology), text))
}

/// The plan of a shipped topology, and its text.
pub fn shipped_topology(name: &str, seed: Option<u64>) -> anyhow::Result<(Plan, &'static str)> {
    let text = shipped_text(name).with_context(|| format!("labctl was built without topology {name}"))?;
    let overrides = Overrides { seed, ..Overrides::default() };
    let topology = topology::parse(text, &format!("{name}.yaml"), &Catalogue::shipped(), &overrides)?;
    Ok((Plan::new(&topology), text))
}

fn shipped_text(name: &str) -> Option<&'static str> {
    topology::shipped().find(|(known, _)| *known == name).map(|(_, text)| text)
}
