//! The containers of a lab, by their nodes' names.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use super::container::{Container, Seen};
use super::spawning::Spawning;
use crate::names::LabName;
use crate::runtime::embedded::message::{Answer, Listed, Request, StartRequest};

/// All containers of a lab.
#[derive(Debug)]
pub struct Supervisor {
    lab: LabName,
    logs: PathBuf,
    spawning: OnceCell<Rc<Spawning>>,
    containers: RefCell<BTreeMap<String, Rc<Container>>>,
}

impl Supervisor {
    /// No container yet. What containers write goes into directories below `logs`.
    #[must_use]
    pub fn new(lab: LabName, logs: PathBuf) -> Self {
        Self { lab, logs, spawning: OnceCell::new(), containers: RefCell::default() }
    }

    /// Does what is asked.
    pub async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Start(request) => match self.start(*request).await {
                Ok(pid) => Answer::Started { pid },
                Err(reason) => Answer::Failed { reason },
            },
            Request::List => self.list(),
            Request::State { node } => self.state(&node),
            Request::Remove { node } => self.remove(&node).await,
            Request::AwaitOutput { node, known } => self.await_output(&node, known).await,
            Request::Wan { .. } | Request::RepairWan | Request::StartSchedule | Request::WanEvents { .. } => {
                Answer::Failed { reason: "no container is a WAN".to_owned() }
            }
        }
    }

    fn find(&self, node: &str) -> Option<Rc<Container>> {
        self.containers.borrow().get(node).cloned()
    }

    fn list(&self) -> Answer {
        let listed = |(node, container): (&String, &Rc<Container>)| Listed {
            node: node.clone(),
            role: container.role().to_owned(),
            state: container.seen().state,
        };
        Answer::Containers { containers: self.containers.borrow().iter().map(listed).collect() }
    }

    fn state(&self, node: &str) -> Answer {
        match self.find(node) {
            Some(container) => {
                let Seen { state, written } = container.seen();
                Answer::State { state: Some(state), written }
            }
            None => Answer::State { state: None, written: 0 },
        }
    }

    async fn await_output(&self, node: &str, known: u64) -> Answer {
        if let Some(container) = self.find(node) {
            container.until(|seen| seen.written > known || seen.is_over()).await;
        }
        self.state(node)
    }

    fn spawning(&self) -> Result<&Rc<Spawning>, String> {
        if let Some(spawning) = self.spawning.get() {
            return Ok(spawning);
        }
        let made = Spawning::new(&self.lab).map_err(|error| error.to_string())?;
        Ok(self.spawning.get_or_init(|| Rc::new(made)))
    }

    async fn start(&self, request: StartRequest) -> Result<i32, String> {
        let spawning = Rc::clone(self.spawning()?);
        let node = request.node.clone();
        if self.find(&node).is_some() {
            return Err(format!("node {node} has a container already"));
        }
        let container = Rc::new(Container::new(request, spawning, self.logs.join(&node)));
        // From now on it is listed, and so found by whoever takes the lab down.
        self.containers.borrow_mut().insert(node.clone(), Rc::clone(&container));
        let started = container.start().await;
        if started.is_err() {
            self.containers.borrow_mut().remove(&node);
        }
        started
    }

    async fn remove(&self, node: &str) -> Answer {
        let Some(container) = self.find(node) else { return Answer::Done };
        if let Err(reason) = container.end().await {
            return Answer::Failed { reason: format!("node {node}: {reason}") };
        }
        self.containers.borrow_mut().remove(node);
        match std::fs::remove_dir_all(self.logs.join(node)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Answer::Failed { reason: format!("removing the log of {node}: {error}") }
            }
            _ => Answer::Done,
        }
    }

    /// Ends all containers, side by side.
    pub async fn end_all(&self) {
        let containers: Vec<_> = self.containers.borrow().values().cloned().collect();
        let ends = futures_util::future::join_all(containers.iter().map(|container| container.end()));
        for reason in ends.await.into_iter().filter_map(Result::err) {
            tracing::warn!("{reason}");
        }
    }
}
