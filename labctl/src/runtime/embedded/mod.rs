//! The embedded runtime: containers that labctl makes itself from Linux namespaces. No daemon is needed; the
//! lab's own background process, its keeper, owns the containers, and this is its client.
//!
//! A container is started into a network namespace that is made and wired before ([`NetworkOrder::First`]).
//! [`message`] is what client and keeper say to each other, [`log`] how a container's output is kept,
//! [`container`] how one container is started.

pub mod connection;
pub mod container;
pub mod log;
pub mod message;
mod probe;
mod spec;
pub mod supervision;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use nix::unistd::Pid;
use overlay_control::restart::RestartPolicy;
use tokio::sync::Mutex;

use self::connection::Connection;
use self::container::CgroupParent;
use self::message::{Answer, LOGS, Request, SOCKET, StartRequest};
use super::{
    Found, Image, LABS, NetworkOrder, NodeSpec, NodeState, Output, Runtime, RuntimeError, RuntimeKind,
    directory_of,
};
use crate::names::LabName;
use crate::net::netns;

/// How long the kernel may take to end what was killed: milliseconds, unless hundreds of others want to run.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two looks whether it has; there is no event for it in every kernel.
const PAUSE: Duration = Duration::from_millis(5);

/// Containers of labctl's own making, through the labs' keepers.
#[derive(Debug, Default)]
pub struct EmbeddedRuntime {
    connections: Mutex<HashMap<LabName, Arc<Connection>>>,
}

impl EmbeddedRuntime {
    /// Nothing is connected before it is needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The connection to a lab's keeper; `None` if none runs.
    async fn connection(&self, lab: &LabName) -> Result<Option<Arc<Connection>>, RuntimeError> {
        let mut connections = self.connections.lock().await;
        if let Some(connection) = connections.get(lab).filter(|connection| connection.is_open()) {
            return Ok(Some(Arc::clone(connection)));
        }
        match Connection::open(&directory_of(lab).join(SOCKET)).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                connections.insert(lab.clone(), Arc::clone(&connection));
                Ok(Some(connection))
            }
            // No lab, a keeper that is not there yet, or one that was killed.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(failed(lab, "connecting to it")(error)),
        }
    }

    /// What the keeper answers; `None` if there is no keeper, or if it ended meanwhile: then all of its
    /// containers have ended, too.
    async fn ask(
        &self,
        lab: &LabName,
        doing: &'static str,
        request: Request,
    ) -> Result<Option<Answer>, RuntimeError> {
        let Some(connection) = self.connection(lab).await? else { return Ok(None) };
        match connection.ask(request).await {
            Ok(Answer::Failed { reason }) => Err(RuntimeError::Keeper { lab: lab.clone(), doing, reason }),
            Ok(answer) => Ok(Some(answer)),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Ok(None)
            }
            Err(error) => Err(failed(lab, doing)(error)),
        }
    }

    async fn start_node(&self, image: &Image, node: &NodeSpec) -> Result<Pid, RuntimeError> {
        let request = StartRequest {
            node: node.node.to_string(),
            role: node.role.to_owned(),
            network: Path::new(netns::DIRECTORY).join(&node.namespace),
            container: spec::of(image, node)?,
            restart: node.program.as_ref().map_or(RestartPolicy::No, |program| program.restart),
            health: node.program.as_ref().and_then(|program| program.health.clone()),
        };
        let doing = "starting a container";
        match self.ask(&node.lab, doing, Request::Start(Box::new(request))).await {
            Ok(Some(Answer::Started { pid })) => Ok(Pid::from_raw(pid)),
            Ok(answer) => Err(unexpected(&node.lab, doing, answer)),
            Err(RuntimeError::Keeper { reason, .. }) => {
                Err(RuntimeError::NotStarted { node: node.node.clone(), reason })
            }
            Err(error) => Err(error),
        }
    }

    /// State of a container, and bytes of its log.
    async fn ask_state(
        &self,
        lab: &LabName,
        request: Request,
    ) -> Result<Option<(NodeState, u64)>, RuntimeError> {
        match self.ask(lab, "asking for a container", request).await? {
            None => Ok(None),
            Some(Answer::State { state, written }) => Ok(state.map(|state| (state, written))),
            answer => Err(unexpected(lab, "asking for a container", answer)),
        }
    }

    async fn list_lab(&self, lab: &LabName) -> Result<Vec<Found>, RuntimeError> {
        let containers = match self.ask(lab, "listing containers", Request::List).await? {
            None => return Ok(Vec::new()),
            Some(Answer::Containers { containers }) => containers,
            answer => return Err(unexpected(lab, "listing containers", answer)),
        };
        let found = |listed: message::Listed| Found {
            lab: lab.clone(),
            container: lab.container(&listed.node),
            node: listed.node,
            role: listed.role,
            state: listed.state,
            runtime: RuntimeKind::Embedded,
        };
        Ok(containers.into_iter().map(found).collect())
    }

    /// The next part of a container's log. `None` at its end.
    async fn read_on(&self, place: Place) -> Option<(Vec<Result<Output, RuntimeError>>, Place)> {
        let Place::At { lab, node, place, follow } = place else { return None };
        if let Some(known) = place {
            let request = Request::AwaitOutput { node: node.clone(), known };
            if let Err(error) = self.ask_state(&lab, request).await {
                return Some((vec![Err(error)], Place::End));
            }
        }
        // In this order: what is written by the end is read after the end was seen.
        let running = match self.ask_state(&lab, Request::State { node: node.clone() }).await {
            Ok(state) => state.is_some_and(|(state, _)| state.is_running()),
            Err(error) => return Some((vec![Err(error)], Place::End)),
        };
        let path = directory_of(&lab).join(LOGS).join(&node);
        let read = tokio::task::spawn_blocking(move || log::read(&path, place.unwrap_or(0)));
        match read.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ok((pieces, place)) => {
                let pieces = pieces.into_iter().map(Ok).collect();
                let next = Place::At { lab, node, place: Some(place), follow };
                Some((pieces, if follow && running { next } else { Place::End }))
            }
            Err(error) => Some((vec![Err(failed(&lab, "reading a container's output")(error))], Place::End)),
        }
    }
}

/// How far a log was read; `None`: not at all.
enum Place {
    At { lab: LabName, node: String, place: Option<u64>, follow: bool },
    End,
}

fn failed(lab: &LabName, doing: &'static str) -> impl FnOnce(io::Error) -> RuntimeError {
    let lab = lab.clone();
    move |error| RuntimeError::Keeper { lab, doing, reason: error.to_string() }
}

fn unexpected(lab: &LabName, doing: &'static str, answer: Option<Answer>) -> RuntimeError {
    let reason = match answer {
        None => "it does not run; take the lab down with 'labctl down'".to_owned(),
        Some(answer) => format!("its answer is of another version of labctl ({answer:?})"),
    };
    RuntimeError::Keeper { lab: lab.clone(), doing, reason }
}

fn version() -> String {
    format!("embedded, of labctl {}", env!("CARGO_PKG_VERSION"))
}

/// Lab and node of a container's name.
fn parts(container: &str) -> Option<(LabName, String)> {
    LabName::parse_namespace(container).map(|(lab, node)| (lab, node.to_owned()))
}

/// The labs that have a keeper's socket.
fn labs() -> Vec<LabName> {
    let entries = std::fs::read_dir(LABS).into_iter().flatten();
    let with_keeper = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.path().join(SOCKET).exists().then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    });
    with_keeper.collect()
}

impl Runtime for EmbeddedRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Embedded
    }

    fn network_order(&self) -> NetworkOrder {
        NetworkOrder::First
    }

    fn reaches(&self, _: &LabName) -> Result<(), RuntimeError> {
        Ok(())
    }

    fn check(&self) -> BoxFuture<'_, Result<String, RuntimeError>> {
        Box::pin(async {
            let tried = tokio::task::spawn_blocking(probe::probe).await;
            match tried.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
                Ok(()) => Ok(version()),
                Err(error) => Err(RuntimeError::NoContainers { reason: error.to_string() }),
            }
        })
    }

    fn describe<'a>(&'a self, _: &'a LabName) -> BoxFuture<'a, Result<String, RuntimeError>> {
        Box::pin(async { Ok(version()) })
    }

    fn prepare<'a>(&'a self, program: &'a Path) -> BoxFuture<'a, Result<Image, RuntimeError>> {
        Box::pin(async move { Ok(Image { reference: program.display().to_string(), ..Image::default() }) })
    }

    fn require_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move { Err(RuntimeError::ImageNeedsDocker { image: image.to_owned() }) })
    }

    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        _: &'a Path,
    ) -> BoxFuture<'a, Result<Image, RuntimeError>> {
        Box::pin(async move { Err(RuntimeError::ImageNeedsDocker { image: image.to_owned() }) })
    }

    fn start<'a>(&'a self, image: &'a Image, node: &'a NodeSpec) -> BoxFuture<'a, Result<Pid, RuntimeError>> {
        Box::pin(self.start_node(image, node))
    }

    fn state<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<NodeState>, RuntimeError>> {
        Box::pin(async move {
            let Some((lab, node)) = parts(container) else { return Ok(None) };
            Ok(self.ask_state(&lab, Request::State { node }).await?.map(|(state, _)| state))
        })
    }

    fn list<'a>(&'a self, lab: Option<&'a LabName>) -> BoxFuture<'a, Result<Vec<Found>, RuntimeError>> {
        Box::pin(async move {
            let labs = lab.map_or_else(labs, |lab| vec![lab.clone()]);
            let mut found = Vec::new();
            for lab in &labs {
                found.extend(self.list_lab(lab).await?);
            }
            found.sort_by(|a, b| a.container.cmp(&b.container));
            Ok(found)
        })
    }

    fn remove<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let Some((lab, node)) = parts(container) else { return Ok(()) };
            match self.ask(&lab, "removing a container", Request::Remove { node }).await? {
                None | Some(Answer::Done) => Ok(()),
                answer => Err(unexpected(&lab, "removing a container", answer)),
            }
        })
    }

    fn sweep<'a>(&'a self, lab: &'a LabName) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let begin = Instant::now();
            loop {
                match CgroupParent::remove_of(lab.as_str()) {
                    Ok(_) => return Ok(()),
                    // Of a keeper that was killed: its containers are killed with it, which takes a moment.
                    Err(_) if begin.elapsed() < KILL_LIMIT => tokio::time::sleep(PAUSE).await,
                    Err(error) => {
                        let (lab, reason) = (lab.clone(), error.to_string());
                        return Err(RuntimeError::Keeper { lab, doing: "removing what it left", reason });
                    }
                }
            }
        })
    }

    /// What a dead labctl asked for is listed from the moment that the keeper knows of it, and ends with the
    /// keeper.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn clean(&self) -> BoxFuture<'_, Result<usize, RuntimeError>> {
        Box::pin(async { Ok(0) })
    }

    fn logs<'a>(&'a self, container: &'a str, follow: bool) -> BoxStream<'a, Result<Output, RuntimeError>> {
        let begin = match parts(container) {
            Some((lab, node)) => Place::At { lab, node, place: None, follow },
            None => Place::End,
        };
        Box::pin(stream::unfold(begin, |place| self.read_on(place)).flat_map(stream::iter))
    }
}
