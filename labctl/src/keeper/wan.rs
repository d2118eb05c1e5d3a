//! The WAN's engine in its thread: started, asked, and started again when it has ended; what happened to it, and its
//! schedule.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::thread::{self, JoinHandle};

use tokio::sync::{Mutex, oneshot};
use tokio::task::{JoinHandle as Task, spawn_local};
use tokio::time::{Instant, sleep_until};

use super::KeeperError;
use super::events::Events;
use crate::link::{Change, Scheduled, Ways};
use crate::net::NetError;
use crate::net::wan::engine::{self, EngineHandle};
use crate::net::wan::events::{Actor, Other};
use crate::net::wan::{Report, WanAnswer, WanEvent, WanRequest};
use crate::plan::WanPlan;

/// Name of the engine's thread. That a keeper has such a thread is how others see that the WAN works.
pub const THREAD: &str = "wan";

/// The WAN of a lab.
#[derive(Debug)]
pub struct Wan {
    plan: WanPlan,
    schedule: Vec<Scheduled>,
    engine: RefCell<Engine>,
    events: Events,
    /// What goes through the schedule, once it has begun.
    under_way: RefCell<Option<Task<()>>>,
    /// Held while it is begun: of two begins at once the second has to find the first one's task.
    beginning: Mutex<()>,
}

#[derive(Debug)]
struct Engine {
    handle: EngineHandle,
    /// `None` once it was waited for.
    thread: Option<JoinHandle<Result<(), NetError>>>,
    /// Is dropped at the other end when the thread is over.
    over: Option<oneshot::Receiver<()>>,
    /// True once it was told to end.
    told: Rc<Cell<bool>>,
}

impl Wan {
    /// Starts the engine of a WAN and returns when packets can pass. Its schedule waits.
    pub async fn start(plan: WanPlan, schedule: Vec<Scheduled>) -> Result<Rc<Self>, KeeperError> {
        let engine = Engine::start(&plan).await?;
        let events = Events::default();
        let (engine, under_way, beginning) = (RefCell::new(engine), RefCell::default(), Mutex::default());
        let wan = Rc::new(Self { plan, schedule, engine, events, under_way, beginning });
        wan.watch();
        Ok(wan)
    }

    /// Does what a user asks for, and writes it down.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, or that there is no engine any more.
    pub async fn command(&self, request: WanRequest) -> Result<WanAnswer, String> {
        match request {
            WanRequest::Change(change) => self.change(Actor::Command, change).await,
            WanRequest::Stop => {
                if self.engine.borrow().works() {
                    self.end();
                    self.events.add(Actor::Command, Other::Stop);
                }
                Ok(WanAnswer::Done)
            }
            WanRequest::Report => self.ask(request).await,
        }
    }

    /// Writes it down if the engine ends by itself.
    fn watch(self: &Rc<Self>) {
        let (over, told) = {
            let mut engine = self.engine.borrow_mut();
            (engine.over.take(), Rc::clone(&engine.told))
        };
        let wan = Rc::clone(self);
        spawn_local(async move {
            // Nothing is ever sent: the other end goes with the thread.
            if let Some(over) = over
                && over.await.is_err()
                && !told.get()
            {
                wan.events.add(Actor::Engine, Other::Stop);
            }
        });
    }

    /// Asks the engine.
    async fn ask(&self, request: WanRequest) -> Result<WanAnswer, String> {
        let handle = self.engine.borrow().handle.clone();
        handle.ask(request).await
    }

    async fn change(&self, by: Actor, change: Change) -> Result<WanAnswer, String> {
        let answer = self.ask(change.clone().into()).await?;
        self.events.add(by, change);
        Ok(answer)
    }

    /// What links are like, and what was counted.
    ///
    /// # Errors
    ///
    /// That there is no engine any more.
    pub async fn report(&self) -> Result<Report, String> {
        match self.ask(WanRequest::Report).await? {
            WanAnswer::Report(report) => Ok(*report),
            WanAnswer::Done => Err("the WAN's engine says nothing".to_owned()),
        }
    }

    /// What happened after the event of this number; with `wait`, as soon as something has.
    pub async fn events_after(&self, number: u64, wait: bool) -> Vec<WanEvent> {
        self.events.after(number, wait).await
    }

    /// Starts the engine again if it has ended; then links are as in the plan, and counters begin at 0. Whether it
    /// had.
    pub async fn repair(self: &Rc<Self>) -> Result<bool, KeeperError> {
        if self.engine.borrow().works() {
            return Ok(false);
        }
        // Only after it is gone can the new one have all that it had.
        self.end();
        let again = Engine::start(&self.plan).await?;
        *self.engine.borrow_mut() = again;
        self.watch();
        self.events.add(Actor::Command, Other::Repair);
        Ok(true)
    }

    /// Ends the engine. Why it had ended by itself is in the log, if it had.
    pub fn end(&self) {
        self.engine.borrow_mut().end();
    }

    /// Begins the schedule: now is its time 0. What its steps change is first made as it is in the plan, whatever
    /// an earlier begin or a user has made of it. Without a schedule nothing is done.
    ///
    /// # Errors
    ///
    /// That there is no engine any more.
    pub async fn start_schedule(self: &Rc<Self>) -> Result<(), String> {
        if self.schedule.is_empty() {
            return Ok(());
        }
        let _one_at_a_time = self.beginning.lock().await;
        if let Some(earlier) = self.under_way.take() {
            earlier.abort();
        }
        self.rewind().await?;
        let begin = Instant::now();
        self.events.add(Actor::Schedule, Other::BeginSchedule);
        let wan = Rc::clone(self);
        let steps = async move {
            for step in &wan.schedule {
                sleep_until(begin + step.at).await;
                if let Err(reason) = wan.change(Actor::Schedule, step.change.clone()).await {
                    tracing::warn!(%reason, "a step of the schedule was not possible");
                    wan.events.add(Actor::Schedule, Other::SkipStep { reason });
                }
            }
        };
        if let Some(earlier) = self.under_way.replace(Some(spawn_local(steps))) {
            earlier.abort();
        }
        Ok(())
    }

    /// Makes what the schedule changes as it is in the plan.
    async fn rewind(&self) -> Result<(), String> {
        let report = self.report().await?;
        let parts = |step: &Scheduled| matches!(step.change, Change::Partition { .. });
        if report.partitions > 0 && self.schedule.iter().any(parts) {
            self.change(Actor::Schedule, Change::Heal).await?;
        }
        let links: BTreeSet<&str> = self.schedule.iter().filter_map(|step| step.change.link()).collect();
        for name in links {
            let planned = self.plan.attachments.iter().find(|at| at.name.as_str() == name);
            let (Some(planned), Some(found)) = (planned, report.link(name)) else { continue };
            let link = || name.to_owned();
            let [up, down] =
                [(&planned.access.up, &found.access.up), (&planned.access.down, &found.access.down)]
                    .map(|(planned, found)| planned.changes_from(found));
            let ways =
                if up == down { vec![(Ways::Both, up)] } else { vec![(Ways::Up, up), (Ways::Down, down)] };
            for (ways, settings) in ways.into_iter().filter(|(_, settings)| !settings.is_empty()) {
                self.change(Actor::Schedule, Change::SetLink { link: link(), ways, settings }).await?;
            }
            if !found.works {
                self.change(Actor::Schedule, Change::SetWorks { link: link(), works: true }).await?;
            }
        }
        Ok(())
    }
}

impl Engine {
    async fn start(plan: &WanPlan) -> Result<Self, KeeperError> {
        let (handle, orders) =
            engine::orders().map_err(|source| KeeperError::System { doing: "making a pipe", source })?;
        let (ready, is_ready) = oneshot::channel();
        let (running, over) = oneshot::channel::<()>();
        let plan = plan.clone();
        let work = move || {
            let _running = running;
            let say_ready = || ready.send(()).map_err(|()| io::Error::other("nobody waits for it"));
            let ended = engine::run(&plan, &orders, say_ready);
            if let Err(error) = &ended {
                tracing::error!(%error, "the WAN carries nothing any more; 'labctl repair' brings it back");
            }
            ended
        };
        let thread =
            thread::Builder::new().name(THREAD.to_owned()).spawn(work).map_err(KeeperError::Thread)?;
        let mut engine = Self { handle, thread: Some(thread), over: Some(over), told: Rc::default() };
        if is_ready.await.is_ok() {
            return Ok(engine);
        }
        // It has ended, so that this does not wait.
        Err(match engine.end() {
            Some(Err(error)) => error.into(),
            _ => KeeperError::EngineEnded,
        })
    }

    fn works(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn end(&mut self) -> Option<Result<(), NetError>> {
        self.told.set(true);
        self.handle.end();
        let panicked = |_| Err(NetError::Engine { action: "go on", source: io::Error::other("it panicked") });
        self.thread.take().map(|thread| thread.join().unwrap_or_else(panicked))
    }
}
