//! Progress on standard error: bars and spinners on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use labctl::lab::{Observer, Step};

const TICK: Duration = Duration::from_millis(100);

/// Shows the steps of making and removing labs.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    running: Mutex<HashMap<Step, Running>>,
}

#[derive(Debug)]
enum Style {
    Quiet,
    Lines,
    Bars(MultiProgress),
}

#[derive(Debug)]
struct Running {
    begin: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Progress on standard error, or none if `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let style = if quiet {
            Style::Quiet
        } else if std::io::stderr().is_terminal() {
            Style::Bars(MultiProgress::new())
        } else {
            Style::Lines
        };
        Self { style, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Step, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, text: &str) {
        match &self.style {
            Style::Quiet => {}
            // Nobody may be reading any more; that is no reason to stop the work.
            Style::Lines => drop(writeln!(std::io::stderr(), "{text}")),
            Style::Bars(bars) => drop(bars.println(text)),
        }
    }
}

fn bar(bars: &MultiProgress, step: Step, total: usize) -> ProgressBar {
    let template = if total == 0 { "{spinner} {msg}" } else { "{spinner} {msg} [{bar:24}] {pos}/{len}" };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    let bar = bars.add(ProgressBar::new(total as u64)).with_style(style).with_message(step.text());
    bar.enable_steady_tick(TICK);
    bar
}

impl Observer for Progress {
    fn begin(&self, step: Step, total: usize) {
        let bar = match &self.style {
            Style::Quiet => None,
            Style::Bars(bars) => Some(bar(bars, step, total)),
            Style::Lines => {
                self.line(&format!("{} ...", step.text()));
                None
            }
        };
        self.running().insert(step, Running { begin: Instant::now(), bar });
    }

    fn advance(&self, step: Step) {
        if let Some(Running { bar: Some(bar), .. }) = self.running().get(&step) {
            bar.inc(1);
        }
    }

    fn end(&self, step: Step, detail: &str) {
        let Some(Running { begin, bar }) = self.running().remove(&step) else { return };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let seconds = begin.elapsed().as_secs_f64();
        let detail = if detail.is_empty() { String::new() } else { format!("{detail}, ") };
        self.line(&format!("{}: done ({detail}{seconds:.2} s)", step.text()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // What was begun and not ended failed; the error says why.
        for Running { bar, .. } in self.running().values() {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        }
    }
}
