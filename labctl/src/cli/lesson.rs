//! `labctl lesson`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use labctl::lab::{self, Lab, LabError};
use labctl::lesson::{self, Checked, LESSONS, Lesson, Verdict};
use labctl::runtime::Runtimes;
use serde_json::Value;

use super::interrupt::interrupted;
use super::measure::shipped_topology_as;
use super::progress::Progress;
use super::runtime::RuntimeArgs;

/// Brings up the lab of a lesson, and checks answers against what is true in it.
///
/// The handouts are in docs/labs. Without a number it lists the lessons.
#[derive(Debug, clap::Args)]
pub struct LessonArgs {
    /// The lesson.
    #[arg(value_parser = lesson_of)]
    lesson: Option<Lesson>,
    /// Check the answers in this file: a line 'QUESTION: ANSWER' for each. The exit code is not 0 if one is wrong or
    /// missing.
    #[arg(long, value_name = "FILE", requires = "lesson", conflicts_with = "questions")]
    check: Option<PathBuf>,
    /// Print the questions as a file to fill in.
    #[arg(long, requires = "lesson")]
    questions: bool,
    /// Where the records of the lesson's experiments are.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
}

fn lesson_of(text: &str) -> Result<Lesson, String> {
    let lesson = text.parse().ok().and_then(Lesson::of);
    lesson.ok_or_else(|| format!("there are the lessons 1 to {}", LESSONS.len()))
}

/// Runs `labctl lesson`.
pub async fn run(args: LessonArgs) -> anyhow::Result<ExitCode> {
    let Some(lesson) = args.lesson else {
        let mut out = std::io::stdout().lock();
        for lesson in LESSONS {
            writeln!(out, "{}  {}  ({})", lesson.number, lesson.title, lesson.handout())?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    if args.questions {
        super::print(form(&lesson).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    match &args.check {
        Some(file) => check(&lesson, file, &args.runs).await,
        None => bring_up(&lesson, args.runtime, args.quiet).await,
    }
}

/// A file to fill in.
fn form(lesson: &Lesson) -> String {
    let lines = lesson.questions().into_iter();
    let lines: Vec<String> =
        lines.flat_map(|question| [format!("# {}\n", question.ask), format!("{}:\n", question.id)]).collect();
    lines.concat()
}

async fn bring_up(lesson: &Lesson, runtime: RuntimeArgs, quiet: bool) -> anyhow::Result<ExitCode> {
    let (plan, _) = shipped_topology_as(lesson.topology, &lesson.lab(), None)?;
    let interrupt = interrupted()?;
    let programs = runtime.programs()?;
    let runtime = runtime.connect().await?;
    let progress = Progress::new(quiet);
    match lab::up(&runtime, &plan, &programs, &progress, interrupt).await {
        Ok(_) | Err(LabError::AlreadyUp { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    drop(progress);
    let found = lab::select(&runtime, Some(&plan.lab)).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n", super::ps::table(&[found]))?;
    let Lesson { number, title, .. } = lesson;
    writeln!(out, "lesson {number}: {title}")?;
    writeln!(out, "handout: {}", lesson.handout())?;
    writeln!(out, "answers: labctl lesson {number} --questions > answers.yaml, fill in, then")?;
    writeln!(out, "         labctl lesson {number} --check answers.yaml")?;
    writeln!(out, "the end: labctl down --lab {}", plan.lab)?;
    Ok(ExitCode::SUCCESS)
}

async fn check(lesson: &Lesson, file: &Path, runs: &Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| {
        format!("cannot read {}; 'labctl lesson {} --questions' makes one", file.display(), lesson.number)
    })?;
    let answers: BTreeMap<String, Value> = if text.lines().all(|line| line.trim_start().starts_with('#')) {
        BTreeMap::new()
    } else {
        serde_yaml::from_str(&text)
            .with_context(|| format!("{}: write a line 'QUESTION: ANSWER' for each", file.display()))?
    };
    let questions = lesson.questions();
    let unknown = answers.keys().find(|id| questions.iter().all(|question| question.id != **id));
    if let Some(id) = unknown {
        let known: Vec<_> = questions.iter().map(|question| question.id.as_str()).collect();
        anyhow::bail!(
            "{}: lesson {} has no question '{id}'; it has: {}",
            file.display(),
            lesson.number,
            known.join(", ")
        );
    }
    let runtime = Runtimes::find().await;
    let lab = Lab::of(lab::select(&runtime, Some(&lesson.lab())).await?).with_context(|| {
        format!("the lesson's lab must be up for the check; 'labctl lesson {}' brings it up", lesson.number)
    })?;
    let checked = lesson::check(lesson, &answers, &lab, runs).await?;
    let right = checked.iter().filter(|checked| checked.verdict == Verdict::Right).count();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n{right} of {} are right", table(&checked), checked.len())?;
    Ok(if right == checked.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(checked: &[Checked]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["QUESTION", "ANSWER", "", "FOUND IN THE LAB"]);
    for checked in checked {
        let answer = match &checked.answer {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        // Who has not answered yet is not told.
        let (verdict, truth) = match checked.verdict {
            Verdict::Right => ("right", checked.truth.to_string()),
            Verdict::Wrong => ("wrong", checked.truth.to_string()),
            Verdict::Missing => ("no answer", String::new()),
        };
        table.add_row([checked.question.id.clone(), answer, verdict.to_owned(), truth]);
    }
    table
}
