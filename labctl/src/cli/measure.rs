//! What the commands that measure share: progress of trials, and where the report goes.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use labctl::experiment::login::Progress;
use labctl::experiment::recorded::RecordedRun;
use labctl::experiment::sweep::RecordedSweep;
use labctl::names::LabName;
use labctl::plan::Plan;
use labctl::profile::Catalogue;
use labctl::report::runs::Rendered;
use labctl::report::table::{self, Style};
use labctl::report::{Row, csv, json};
use labctl::topology::{self, Overrides, Setting, TopologyErrors};

use super::clients::Clients;
use super::task::OutputArgs;

const TICK: Duration = Duration::from_millis(100);

/// Shows waves, trials and what clients are doing on standard error: live lines on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Watch {
    bar: Option<ProgressBar>,
    clients: Arc<Clients>,
    quiet: bool,
}

impl Watch {
    /// Nothing is shown yet; if `quiet`, nothing but failures ever is.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let clients = Arc::new(Clients::default());
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let template = "{spinner} {msg} [{bar:24}] {pos}/{len} {elapsed}{clients}";
            let style = ProgressStyle::with_template(template).expect("the template is a constant");
            let shown = Arc::clone(&clients);
            let style = style.with_key("clients", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                // Text is written to memory.
                let _ = shown.write_live(out);
            });
            ProgressBar::no_length().with_style(style)
        });
        Self { bar, clients, quiet }
    }

    /// What clients are doing: whoever shows something of them says it here.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Where nothing is live, a line from time to time says how far all are.
    pub fn summarise(&self) {
        if self.bar.is_none()
            && let Some(text) = self.clients.summary_if_due()
        {
            self.note(&text);
        }
    }

    /// Shows an event.
    pub fn show(&self, event: Progress) {
        match event {
            Progress::GoingOnline(clients) => {
                self.begin("logging in clients that stay online", clients);
            }
            Progress::Wave { kind, wave, waves, clients } => {
                self.begin(&format!("{} logins, wave {wave} of {waves}", kind.as_str()), clients);
            }
            Progress::Client(client, doing) => {
                self.clients.login(client.as_str(), doing);
                self.summarise();
            }
            Progress::Ended(record) => {
                self.clients.end(record.client.as_str(), record.failure.is_some());
                self.advance();
                let name = format!("{} {} on {}", record.kind.as_str(), record.trial, record.client);
                match (&record.failure, record.login_s) {
                    (Some(failure), _) => self.line(&format!("{name}: FAILED: {}", failure.detail)),
                    (None, Some(seconds)) if self.bar.is_none() => {
                        self.note(&format!("{name}: logged in after {seconds:.2} s"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// True if there is a live line: then what goes well needs no line of its own.
    pub fn is_live(&self) -> bool {
        self.bar.is_some()
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Begins something that has so many parts.
    pub fn begin(&self, text: &str, parts: usize) {
        self.clients.clear();
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_length(parts as u64);
                bar.set_message(text.to_owned());
                bar.enable_steady_tick(TICK);
            }
            None => self.note(&format!("{text} ({parts} side by side) ...")),
        }
    }

    /// One of the parts is over.
    pub fn advance(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Shows a line that stays, unless nothing but failures is to be shown.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Shows a line that stays.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| drop(writeln!(io::stderr(), "{text}"))),
            // Nobody may be reading any more; that is no reason to stop the work.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

/// Where the report goes.
#[derive(Debug)]
pub struct Output {
    form: Form,
    csv: Option<(PathBuf, File)>,
}

#[derive(Debug)]
enum Form {
    /// A table on standard output, and perhaps JSON in a file.
    Table(Option<(PathBuf, File)>),
    /// JSON on standard output, and nothing else there.
    Json,
}

/// Makes a file, so that an hour of trials is not lost to a name that cannot be written.
fn open(what: &str, path: &Path) -> anyhow::Result<(PathBuf, File)> {
    let file =
        File::create(path).with_context(|| format!("cannot write the {what} to {}", path.display()))?;
    Ok((path.to_owned(), file))
}

/// Makes sure that a page can be written to this file.
pub fn open_page(path: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    Ok(path.map(|path| open("page", path)).transpose()?.map(|(path, _)| path))
}

/// Writes a page of HTML.
pub fn write_page(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| format!("cannot write the page to {}", path.display()))
}

fn write(what: &str, file: Option<&(PathBuf, File)>, text: &str) -> anyhow::Result<()> {
    let Some((path, mut file)) = file.map(|(path, file)| (path, file)) else { return Ok(()) };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write the {what} to {}", path.display()))
}

impl Output {
    /// Opens the files that the command line names.
    pub fn open(args: &OutputArgs) -> anyhow::Result<Self> {
        let form = match args.json.as_deref() {
            None => Form::Table(None),
            Some(path) if path == Path::new("-") => Form::Json,
            Some(path) => Form::Table(Some(open("report", path)?)),
        };
        Ok(Self { form, csv: args.csv.as_deref().map(|path| open("CSV", path)).transpose()? })
    }

    /// Writes the report of login experiments, and `runs`, the records that it was made from, as CSV. The exit code is
    /// not 0 if a trial failed.
    pub fn write(&self, schema: &'static str, rows: &[Row], runs: &[PathBuf]) -> anyhow::Result<ExitCode> {
        let failed = rows.iter().any(|row| row.failed > 0);
        let report =
            Rendered { json: json::render(schema, rows), table: table::render(rows, style()), failed };
        let runs = runs.iter().map(|run| RecordedRun::read(run)).collect::<Result<Vec<_>, _>>()?;
        self.write_report(&report, &runs)
    }

    /// Writes a report of runs.
    pub fn write_report(&self, report: &Rendered, runs: &[RecordedRun]) -> anyhow::Result<ExitCode> {
        let directories: Vec<&Path> = runs.iter().map(|run| run.directory.as_path()).collect();
        self.write_all(report, runs, &directories)
    }

    /// Writes the report of a sweep.
    pub fn write_sweep(&self, report: &Rendered, sweep: &RecordedSweep) -> anyhow::Result<ExitCode> {
        let runs: Vec<RecordedRun> = sweep.points.iter().filter_map(|(_, run)| run.clone()).collect();
        self.write_all(report, &runs, &[&sweep.directory])
    }

    fn write_all(
        &self,
        report: &Rendered,
        runs: &[RecordedRun],
        directories: &[&Path],
    ) -> anyhow::Result<ExitCode> {
        write("CSV", self.csv.as_ref(), &csv::render(runs))?;
        let mut out = io::stdout().lock();
        match &self.form {
            Form::Json => out.write_all(report.json.as_bytes())?,
            Form::Table(file) => {
                write("report", file.as_ref(), &report.json)?;
                out.write_all(report.table.as_bytes())?;
                for directory in directories {
                    writeln!(out, "records: {}", directory.display())?;
                }
            }
        }
        Ok(if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// A framed table in a terminal, a plain one elsewhere.
pub fn style() -> Style {
    if io::stdout().is_terminal() { Style::Terminal } else { Style::Plain }
}

/// The plan of a topology with some values changed.
pub fn load_plan(
    path: &Path,
    name: Option<&LabName>,
    seed: Option<u64>,
    set: Vec<Setting>,
) -> Result<Plan, TopologyErrors> {
    let overrides = Overrides { name: name.cloned(), seed, set };
    Ok(Plan::new(&topology::load(path, &Catalogue::shipped(), &overrides)?))
}

/// The plan of a topology file, and the file's text. A shipped topology's name does for its file.
pub fn read_topology(
    path: &Path,
    name: Option<&LabName>,
    seed: Option<u64>,
) -> anyhow::Result<(Plan, String)> {
    let plan = load_plan(path, name, seed, Vec::new())?;
    // It was read a moment ago, and found to be a topology; if it is no file, it is a shipped one's name.
    let text = std::fs::read_to_string(path).ok();
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let text = text.or_else(|| stem.and_then(shipped_text).map(str::to_owned)).unwrap_or_default();
    Ok((plan, text))
}

/// The plan of a shipped topology, and its text.
pub fn shipped_topology(name: &str, seed: Option<u64>) -> anyhow::Result<(Plan, &'static str)> {
    shipped_topology_with(name, &Overrides { seed, ..Overrides::default() })
}

/// The same for a lab with a name of its own.
pub fn shipped_topology_as(
    name: &str,
    lab: &LabName,
    seed: Option<u64>,
) -> anyhow::Result<(Plan, &'static str)> {
    shipped_topology_with(name, &Overrides { name: Some(lab.clone()), seed, ..Overrides::default() })
}

fn shipped_topology_with(name: &str, overrides: &Overrides) -> anyhow::Result<(Plan, &'static str)> {
    let text = shipped_text(name).with_context(|| format!("labctl was built without topology {name}"))?;
    let topology = topology::parse(text, &format!("{name}.yaml"), &Catalogue::shipped(), overrides)?;
    Ok((Plan::new(&topology), text))
}

fn shipped_text(name: &str) -> Option<&'static str> {
    topology::shipped().find(|(known, _)| *known == name).map(|(_, text)| text)
}
