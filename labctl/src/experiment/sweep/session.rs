//! Measures at every point of a sweep.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::OnceLock;

use super::SweepError;
use super::index::{Index, PointRecord};
use super::points::{Point, Points};
use super::restore::restore;
use crate::experiment::RunningLab;
use crate::experiment::session::{Fresh, Session, SessionError, SweepPoint, Task, with_fresh_lab};
use crate::lab::{EngineChoice, Lab, LabError, Observer, Programs, Wan};
use crate::link::Ways;
use crate::net::wan::kernel::fit::Abilities;
use crate::plan::Plan;
use crate::runtime::Runtime;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SweepSession<'a, T> {
    /// What to measure at each point.
    pub options: &'a T,
    /// Where runs go.
    pub runs: &'a Path,
    /// The text of the topology file, if it is known.
    pub topology: Option<&'a str>,
    /// The points.
    pub points: &'a Points,
}

/// What goes on, for whoever watches.
#[derive(Clone, Debug)]
pub enum Progress<P> {
    /// A point begins.
    Point {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        points: usize,
        /// What is swept, and its value.
        what: String,
    },
    /// A client could not log in at this point.
    Failed(String),
    /// What goes on at the point.
    Of(P),
}

impl<T: Task> SweepSession<'_, T> {
    /// Measures on a lab that runs; its links are as before afterwards. Yields the sweep's directory.
    pub async fn on_running(
        &self,
        lab: &Lab,
        runtime: &dyn Runtime,
        progress: &(dyn Fn(Progress<T::Progress>) + Sync),
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<PathBuf, SessionError> {
        if self.points.labs().len() > 1 {
            return Err(SweepError::Scheduled { parameter: self.points.parameter.clone() }.into());
        }
        // What this kernel lacks, its engine says; what no kernel can do is told before anything is measured.
        let (engine, any) = (lab.plan().wan.engine, Abilities { rates: true, netem: true });
        self.points.engine(|plan| EngineChoice::This(engine).engine_with(plan, any))?;
        let index = Index::create(self.runs, self.points, &self.options.outline(), 0)?;
        let place = Place { lab, runtime, made: &self.points.base, index: &index };
        let measured = tokio::select! {
            measured = self.some(&place, &self.points.all, 1, progress) => measured,
            signal = interrupt => Err(SessionError::Interrupted(signal)),
        };
        self.put_back(&place, &self.points.all, measured).await?;
        Ok(index.directory)
    }

    /// Makes a lab, or as many as it takes, one after another, and measures on them. They are taken down, also if
    /// measuring fails or a signal comes; with `keep` the last one stays, with links as it was made with. All have the
    /// same engine.
    pub async fn on_fresh(
        &self,
        programs: &Programs,
        keep: bool,
        runtime: &dyn Runtime,
        observer: &dyn Observer,
        progress: &(dyn Fn(Progress<T::Progress>) + Sync),
        interrupt: impl Future<Output = &'static str>,
    ) -> Result<PathBuf, SessionError> {
        let mut interrupt = pin!(interrupt);
        let engine = self.points.engine(|plan| programs.wan.engine(plan))?;
        let programs = &Programs { wan: EngineChoice::This(engine), ..programs.clone() };
        let labs = self.points.labs();
        let index = Index::create(self.runs, self.points, &self.options.outline(), labs.len())?;
        let mut first = 1;
        for (number, (plan, points)) in (1..).zip(&labs) {
            let keep = keep && number == labs.len();
            let fresh = Fresh { plan, programs, keep };
            with_fresh_lab(fresh, runtime, observer, interrupt.as_mut(), async |lab, interrupt| {
                let place = Place { lab, runtime, made: plan, index: &index };
                let measured = tokio::select! {
                    measured = self.some(&place, points, first, progress) => measured,
                    signal = interrupt => Err(SessionError::Interrupted(signal)),
                };
                if keep { self.put_back(&place, points, measured).await } else { measured }
            })
            .await?;
            first += points.len();
        }
        Ok(index.directory)
    }

    /// Makes the links of a lab that stays as they were, also where a signal came while they were worse.
    async fn put_back(
        &self,
        place: &Place<'_>,
        points: &[Point],
        measured: Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        match (measured, restore(place.lab, &self.points.parameter, points, place.made).await) {
            (measured, Ok(())) => measured,
            (Ok(()), Err(error)) => Err(error.into()),
            (Err(measured), Err(error)) => Err(SessionError::AndRestore(Box::new(measured), error)),
        }
    }

    /// Measures at some of the points, all in one lab.
    async fn some(
        &self,
        place: &Place<'_>,
        points: &[Point],
        first: usize,
        progress: &(dyn Fn(Progress<T::Progress>) + Sync),
    ) -> Result<(), SessionError> {
        for (number, point) in (first..).zip(points) {
            let what = format!("{} = {}", self.points.parameter, point.value.text);
            progress(Progress::Point { number, points: self.points.all.len(), what });
            let run = OnceLock::new();
            let failure = match self.point(place, point, &run, &|event| progress(Progress::Of(event))).await {
                Ok(()) => None,
                Err(error) if error.is_a_clients() => Some(error.to_string()),
                Err(error) => return Err(error),
            };
            if let Some(failure) = &failure {
                progress(Progress::Failed(failure.clone()));
            }
            let run = run.get().map(PathBuf::as_path);
            place.index.add(&PointRecord::new(point, run, failure))?;
        }
        Ok(())
    }

    /// One point: what is done before happens on links as the lab was made with, the rest on those of the point.
    async fn point(
        &self,
        place: &Place<'_>,
        point: &Point,
        run: &OnceLock<PathBuf>,
        progress: &(dyn Fn(T::Progress) + Sync),
    ) -> Result<(), SessionError> {
        let &Place { lab, runtime, made, index } = place;
        let (parameter, value) = (self.points.parameter.clone(), point.value.text.clone());
        let label = SweepPoint { parameter, value, links: self.points.links.clone() };
        let session = Session { options: self.options, runs: &index.directory, topology: self.topology };
        let mut plan = point.plan.clone();
        // Which one it is was found out when the lab was made.
        plan.wan.engine = lab.plan().wan.engine;
        let ground = RunningLab { lab, runtime, plan: &plan };
        let as_made = with_links_of(&plan, made);
        self.options.prepare(&RunningLab { lab, runtime, plan: &as_made }, progress).await?;
        change(lab, made, &point.plan).await?;
        let measured = session.measure(&ground, Some(&label), run, progress).await;
        change(lab, &point.plan, made).await?;
        measured.map(drop)
    }
}

/// The plan of a lab that runs, with its access links as they are now.
pub async fn plan_now(lab: &Lab) -> Result<Plan, LabError> {
    let mut plan = lab.plan().clone();
    let report = Wan::open(lab).await?.report().await?;
    for at in &mut plan.wan.attachments {
        if let Some(link) = report.link(at.name.as_str()) {
            at.access = link.access;
        }
    }
    Ok(plan)
}

/// Where points are measured.
struct Place<'a> {
    lab: &'a Lab,
    runtime: &'a dyn Runtime,
    /// What the lab was like before.
    made: &'a Plan,
    index: &'a Index,
}

fn with_links_of(plan: &Plan, links: &Plan) -> Plan {
    let mut plan = plan.clone();
    for (at, link) in plan.wan.attachments.iter_mut().zip(&links.wan.attachments) {
        at.access = link.access;
    }
    plan
}

/// Changes a running lab's links from those of one plan to those of another.
async fn change(lab: &Lab, from: &Plan, to: &Plan) -> Result<(), LabError> {
    let mut wan = None;
    for (old, new) in from.wan.attachments.iter().zip(&to.wan.attachments) {
        let (old, name, new) = (old.access, new.name.as_str(), new.access);
        for (ways, old, new) in [(Ways::Up, old.up, new.up), (Ways::Down, old.down, new.down)] {
            let changes = new.changes_from(&old);
            if changes.is_empty() {
                continue;
            }
            if wan.is_none() {
                wan = Some(Wan::open(lab).await?);
            }
            if let Some(wan) = &wan {
                wan.set(name, ways, changes).await?;
            }
        }
    }
    Ok(())
}
