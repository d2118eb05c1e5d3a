//! One container: started, watched over, restarted and checked as its topology says, and ended.
//!
//! A task for each container waits for whatever happens next: output, the end of the program or of a check, a
//! moment that [`Supervision`] waits for, or that somebody wants its end. What then is to be done, `Supervision`
//! says; here it is done.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::program::{Process, Program};
use super::spawning::{Inside, Spawning};
use crate::runtime::NodeState;
use crate::runtime::embedded::container::Started;
use crate::runtime::embedded::log::{LogWriter, Stream};
use crate::runtime::embedded::message::StartRequest;
use crate::runtime::embedded::supervision::{Action, Event, Supervision};

/// How long the kernel may take to end what was killed: milliseconds, unless hundreds of others want to run.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// A container of a node.
#[derive(Debug)]
pub struct Container {
    request: StartRequest,
    spawning: Rc<Spawning>,
    log: RefCell<LogWriter>,
    seen: watch::Sender<Seen>,
    /// Somebody wants its end.
    unwanted: Notify,
}

/// What can be waited for.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it is doing.
    pub state: NodeState,
    /// Bytes of its log.
    pub written: u64,
}

impl Seen {
    /// True if nothing will change any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, NodeState::Exited { .. })
    }
}

impl Container {
    /// One that is not started yet. What it writes goes into files in the directory `log`.
    #[must_use]
    pub fn new(request: StartRequest, spawning: Rc<Spawning>, log: PathBuf) -> Self {
        let (seen, _) = watch::channel(Seen { state: NodeState::Created, written: 0 });
        let log = RefCell::new(LogWriter::new(log));
        Self { request, spawning, log, seen, unwanted: Notify::new() }
    }

    /// Its node's role, for people.
    pub fn role(&self) -> &str {
        &self.request.role
    }

    /// What it is doing at this moment.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until this is so.
    pub async fn until(&self, is_so: impl Fn(&Seen) -> bool) {
        // Fails only when the sender is gone, which `self` has.
        let _ = self.seen.subscribe().wait_for(|seen| is_so(seen)).await;
    }

    /// Starts it. Its process number, or why it could not be started.
    pub async fn start(self: &Rc<Self>) -> Result<i32, String> {
        match self.start_program().await {
            Ok(program) => {
                let pid = program.process.started().pid.as_raw();
                let watched = Watched::new(Rc::clone(self), program);
                spawn_local(watched.run());
                Ok(pid)
            }
            Err(reason) => {
                self.set_state(NodeState::Exited { code: None });
                Err(reason)
            }
        }
    }

    /// Kills it and waits for its end.
    pub async fn end(&self) -> Result<(), String> {
        // One that is being started is not lost: this is kept until somebody waits for it.
        self.unwanted.notify_one();
        let ended = tokio::time::timeout(KILL_LIMIT, self.until(Seen::is_over)).await;
        ended.map_err(|_| format!("node {} was killed and did not end", self.request.node))
    }

    async fn start_program(&self) -> Result<Program, String> {
        let StartRequest { network, container, .. } = &self.request;
        let spawned = self.spawning.start(network.clone(), container.clone()).await?;
        Program::watch(spawned).map_err(|error| format!("watching over a container: {error}"))
    }

    fn set_state(&self, state: NodeState) {
        self.seen.send_if_modified(|seen| {
            let changes = seen.state != state;
            seen.state = state;
            changes
        });
    }

    /// Moves a piece of what the program has written into the log. False if there was none.
    fn keep(&self, stream: Stream, program: &mut Program) -> bool {
        let Some(piece) = program.take(stream) else { return false };
        self.append(stream, &piece);
        true
    }

    fn append(&self, stream: Stream, piece: &[u8]) {
        let mut log = self.log.borrow_mut();
        if let Err(error) = log.append(stream, piece) {
            tracing::warn!(%error, "output of node {} is lost", self.request.node);
        }
        let written = log.written();
        self.seen.send_modify(|seen| seen.written = written);
    }
}

/// What happened to a container.
enum Happened {
    Written(Stream),
    ProgramEnded,
    CheckEnded,
    TimePassed,
    Unwanted,
}

/// A container that runs, with what its task needs.
struct Watched {
    container: Rc<Container>,
    supervision: Supervision,
    begin: Instant,
    program: Option<Program>,
    check: Option<Process>,
    /// What the program ended with, the last time that it did.
    code: Option<i64>,
}

impl Watched {
    fn new(container: Rc<Container>, program: Program) -> Self {
        let StartRequest { restart, health, .. } = &container.request;
        let supervision = Supervision::new(*restart, health.as_ref());
        Self {
            supervision,
            container,
            begin: Instant::now(),
            program: Some(program),
            check: None,
            code: None,
        }
    }

    /// Until the program has ended for good.
    async fn run(mut self) {
        self.tell(Event::Started).await;
        while !self.supervision.is_over() {
            match self.next().await {
                Happened::Written(stream) => {
                    if let Some(program) = &mut self.program {
                        self.container.keep(stream, program);
                    }
                }
                Happened::ProgramEnded => {
                    let failed = self.collect_program() != Some(0);
                    self.tell(Event::Ended { failed }).await;
                    self.note_restart();
                }
                Happened::CheckEnded => {
                    let succeeded = self.check.take().and_then(Process::collect) == Some(0);
                    self.tell(Event::Checked { succeeded }).await;
                }
                Happened::TimePassed => self.tell(Event::Time).await,
                Happened::Unwanted => {
                    self.kill().await;
                    break;
                }
            }
        }
        self.end_check();
        self.container.set_state(NodeState::Exited { code: self.code });
    }

    async fn next(&self) -> Happened {
        let written = async {
            match &self.program {
                Some(program) => program.written().await,
                None => std::future::pending().await,
            }
        };
        let timeout = async {
            match self.supervision.next_timeout() {
                Some(at) => tokio::time::sleep_until(self.begin + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.container.unwanted.notified() => Happened::Unwanted,
            stream = written => Happened::Written(stream),
            () = ended(self.program.as_ref().map(|program| &program.process)) => Happened::ProgramEnded,
            () = ended(self.check.as_ref()) => Happened::CheckEnded,
            () = timeout => Happened::TimePassed,
        }
    }

    /// Tells the supervision, and does what it says until it says nothing more.
    async fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.supervision.handle(self.begin.elapsed(), event) {
                match action {
                    Action::StartProgram => events.push(self.start_program().await),
                    Action::StartCheck => events.extend(self.start_check().await),
                    Action::EndCheck => self.end_check(),
                }
            }
        }
        if self.supervision.is_over() {
            return;
        }
        // Between two lives, too: it is as little missing then as one that is restarted inside of its container.
        let pid = self.program.as_ref().map(|program| program.process.started().pid);
        let health = self.supervision.health();
        self.container.set_state(NodeState::Running { pid, health });
    }

    /// Tells who reads the program's output that there are several runs in it.
    fn note_restart(&self) {
        let Some(at) = self.supervision.next_timeout().filter(|_| self.program.is_none()) else { return };
        let program = self.container.request.container.command.first().map_or("", String::as_str);
        let code = self.code.map_or_else(|| "an unknown code".to_owned(), |code| code.to_string());
        let pause = at.saturating_sub(self.begin.elapsed()).as_millis();
        let line = format!("labctl: {program} ended with {code} and is started again in {pause} ms\n");
        self.container.append(Stream::Err, line.as_bytes());
    }

    async fn start_program(&mut self) -> Event {
        match self.container.start_program().await {
            Ok(program) => {
                self.program = Some(program);
                Event::Started
            }
            Err(reason) => {
                tracing::warn!("node {} was not started again: {reason}", self.container.request.node);
                Event::Ended { failed: true }
            }
        }
    }

    /// An event if the check could not be started.
    async fn start_check(&mut self) -> Option<Event> {
        let StartRequest { container, health, .. } = &self.container.request;
        let (program, health) = (self.program.as_ref()?, health.as_ref()?);
        let inside = Inside {
            container: Arc::clone(program.process.started()),
            spec: container.clone(),
            command: health.command.clone(),
        };
        let watch = |started: Started| Process::watch(started).map_err(|error| error.to_string());
        match self.container.spawning.enter(inside).await.and_then(watch) {
            Ok(process) => {
                self.check = Some(process);
                None
            }
            Err(reason) => {
                tracing::warn!("the check of node {} was not started: {reason}", self.container.request.node);
                Some(Event::Checked { succeeded: false })
            }
        }
    }

    /// Ends the check, if one runs. What it ends with does not matter any more.
    fn end_check(&mut self) {
        let Some(check) = self.check.take() else { return };
        if let Err(error) = check.kill() {
            tracing::warn!(%error, "a check does not end");
        }
        spawn_local(async move {
            check.ended().await;
            check.collect();
        });
    }

    async fn kill(&mut self) {
        // First: the kernel ends the first process of a container when all others in it have been collected.
        self.end_check();
        let Some(program) = &self.program else { return };
        if let Err(error) = program.process.kill() {
            tracing::warn!(%error, "node {} does not end", self.container.request.node);
        }
        program.process.ended().await;
        self.collect_program();
    }

    /// Takes what the program has still written, and collects it. What it ended with.
    fn collect_program(&mut self) -> Option<i64> {
        let mut program = self.program.take()?;
        // All of its processes have ended with the first one: what is in the pipes is all.
        for stream in [Stream::Out, Stream::Err] {
            while self.container.keep(stream, &mut program) {}
        }
        self.code = program.process.collect();
        self.code
    }
}

/// Never, for a process that is not there.
async fn ended(process: Option<&Process>) {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}
