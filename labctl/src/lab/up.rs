//! Makes a lab from its plan.
//!
//! Whatever is made can be found by name or label from the moment that it is there, so that `down` can
//! remove it even if labctl dies in between. If anything fails, or if labctl is told to stop, what has begun
//! is brought to its end, nothing new is begun, and then everything is removed again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::unistd::Pid;
use tokio::sync::{Semaphore, SetOnce};

use super::gate::Gate;
use super::images::Images;
use super::network::{Network, build_network};
use super::stop::Stop;
use super::{
    Condition, EngineChoice, FoundLab, Lab, LabError, LabLock, Observer, StateDirectory, Step, doctor, down,
    find_lab, keys, ready,
};
use crate::net::{NetError, NetNs, node};
use crate::plan::{NodePlan, Plan};
use crate::runtime::{Image, NetworkOrder, NodeSpec, Runtime, RuntimeError};

/// Containers that the engine is asked to start at a time, for each processor.
const STARTS_PER_PROCESSOR: usize = 8;

/// Memory of a node at most: for its program, and for each overlay node that the program runs.
const MEMORY_OF_PROGRAM: u64 = 64 << 20;
const MEMORY_OF_INSTANCE: u64 = 8 << 20;
/// Threads of a node at most.
const PIDS: u32 = 64;
/// The same for a program that is not the overlay's, of which nothing is known.
const MEMORY_OF_OTHERS: u64 = 512 << 20;
const PIDS_OF_OTHERS: u32 = 512;

/// The programs that a lab is made of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// labctl itself, which is also the background process.
    pub labctl: PathBuf,
    /// The node.
    pub node: PathBuf,
    /// What carries the WAN's packets.
    pub wan: EngineChoice,
}

impl Programs {
    /// The running labctl and the node program that belongs to it; the WAN's engine is what the environment says.
    pub fn find() -> Result<Self, LabError> {
        let labctl =
            std::env::current_exe().map_err(LabError::file("finding the executable", "/proc/self/exe"))?;
        Ok(Self { labctl, node: crate::runtime::find_program()?, wan: EngineChoice::from_environment()? })
    }
}

/// What `up` made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The lab.
    pub lab: Lab,
    /// What its nodes were started from.
    pub image: Image,
    /// How long it took.
    pub took: Duration,
}

/// Makes the lab of a plan and returns when every overlay node answers and every other program was started.
/// Fails before anything is made if this
/// machine lacks something, or if there is anything of a lab of that name already.
///
/// When `interrupt` is ready (with the name of a signal, say), everything is removed again.
pub async fn up(
    runtime: &dyn Runtime,
    plan: &Plan,
    programs: &Programs,
    observer: &dyn Observer,
    interrupt: impl Future<Output = &'static str>,
) -> Result<Made, LabError> {
    let begin = Instant::now();
    let mut plan = plan.clone();
    plan.wan.engine = programs.wan.engine(&plan)?;
    let plan = &plan;
    observer.begin(Step::Check, 0);
    let lock = claim(runtime, plan).await?;
    observer.end(Step::Check, "");
    let build = Build {
        runtime,
        plan,
        programs,
        observer,
        directory: StateDirectory::of(&plan.lab),
        stop: Stop::default(),
        network: SetOnce::new(),
        starts: Semaphore::new(starts_at_once()),
    };
    let image = build.run_until(interrupt).await;
    let image = match (image, build.stop.into_error()) {
        (Some(image), None) => image,
        (_, error) => {
            let error = error.unwrap_or(LabError::Unfinished { lab: plan.lab.clone() });
            return Err(roll_back(runtime, plan, lock, observer, error).await);
        }
    };
    // From here on the lab is what it should be; the lock's file stays until `down`.
    drop(lock);
    let lab = Lab::of_plan(plan.clone());
    Ok(Made { lab, image, took: begin.elapsed() })
}

fn starts_at_once() -> usize {
    STARTS_PER_PROCESSOR * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Looks whether the lab can be made, and takes its lock.
async fn claim(runtime: &dyn Runtime, plan: &Plan) -> Result<LabLock, LabError> {
    refuse_what_is_there(runtime, plan, false).await?;
    doctor::examine(Ok(runtime), plan).await.require()?;
    Images::require(runtime, plan).await?;
    let lock = LabLock::acquire(&plan.lab)?;
    // Another labctl may have been quicker between the look and the lock.
    refuse_what_is_there(runtime, plan, true).await?;
    Ok(lock)
}

/// Fails if there is anything of a lab of that name, or if another labctl works on one. A lock that nobody
/// holds is nothing.
async fn refuse_what_is_there(runtime: &dyn Runtime, plan: &Plan, ours: bool) -> Result<(), LabError> {
    let Some(mut found) = find_lab(runtime, &plan.lab).await? else { return Ok(()) };
    if ours {
        found.changing = None;
    }
    if found.has_anything() || found.changing.is_some() { Err(in_the_way(&found)) } else { Ok(()) }
}

fn in_the_way(found: &FoundLab) -> LabError {
    let lab = found.name.clone();
    match found.condition() {
        Condition::Running => LabError::AlreadyUp { lab },
        Condition::Changing { by } => LabError::Busy { lab, holder: by },
        _ => LabError::Remains { lab, what: found.inventory() },
    }
}

async fn roll_back(
    runtime: &dyn Runtime,
    plan: &Plan,
    lock: LabLock,
    observer: &dyn Observer,
    error: LabError,
) -> LabError {
    let removed = match down::remove(runtime, &plan.lab, observer).await {
        Ok(_) => lock.remove(),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => error,
        Err(rollback) => LabError::RollbackFailed {
            lab: plan.lab.clone(),
            error: Box::new(error),
            rollback: Box::new(rollback),
        },
    }
}

/// A lab that is being made.
struct Build<'a> {
    runtime: &'a dyn Runtime,
    plan: &'a Plan,
    programs: &'a Programs,
    observer: &'a dyn Observer,
    directory: StateDirectory,
    stop: Stop,
    /// What nodes are connected to, once it is there; `None` inside if it never will be.
    network: SetOnce<Option<Network>>,
    starts: Semaphore,
}

impl Build<'_> {
    async fn run_until(&self, interrupt: impl Future<Output = &'static str>) -> Option<Image> {
        let run = self.run();
        tokio::pin!(run, interrupt);
        tokio::select! {
            image = &mut run => image,
            signal = &mut interrupt => {
                self.stop.set(LabError::Interrupted { signal });
                run.await
            }
        }
    }

    async fn run(&self) -> Option<Image> {
        self.stop.unit(async { self.directory.create(self.plan, self.runtime.kind()) }).await?;
        let nodes = async {
            let (images, written) = tokio::join!(
                self.stop.unit(self.prepare_images()),
                self.stop.unit(self.write_configurations()),
            );
            let (images, ()) = (images?, written?);
            self.make_nodes(&images).await;
            Some(images.node)
        };
        let ((), image) = tokio::join!(self.make_network(), nodes);
        self.stop.unit(async { self.directory.set_ready() }).await?;
        image
    }

    async fn prepare_images(&self) -> Result<Images, LabError> {
        self.observer.begin(Step::Image, 0);
        let images = Images::prepare(self.runtime, self.plan, &self.programs.node).await?;
        let how = if images.node.made { "made" } else { "there already" };
        self.observer.end(Step::Image, &format!("{}, {how}", images.node.reference));
        Ok(images)
    }

    /// Making the login servers' keys is what takes time here.
    async fn write_configurations(&self) -> Result<(), LabError> {
        self.observer.begin(Step::Configurations, 0);
        let (plan, directory) = (self.plan.clone(), self.directory.clone());
        let write = move || directory.create_nodes(&plan, &keys::configurations(&plan)?);
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| LabError::file("writing", self.directory.path())(error.into()))??;
        self.observer.end(Step::Configurations, "");
        Ok(())
    }

    async fn make_network(&self) {
        self.observer.begin(Step::Network, self.plan.gateways.len() + 1);
        let network =
            build_network(self.plan, &self.directory, &self.programs.labctl, self.observer, &self.stop).await;
        if network.is_some() {
            self.observer.end(Step::Network, &format!("{} gateways", self.plan.gateways.len()));
        }
        self.network.set(network).ok().expect("nobody else sets it");
    }

    async fn make_nodes(&self, images: &Images) {
        self.observer.begin(Step::Nodes, self.plan.nodes.len());
        let made = join_all(self.plan.nodes.iter().map(|node| self.make_node(images, node))).await;
        let Some(waiting) = made.into_iter().collect::<Option<Vec<_>>>() else { return };
        self.observer.end(Step::Nodes, &waiting.len().to_string());
        self.observer.begin(Step::Ready, self.plan.nodes.len());
        join_all(self.plan.nodes.iter().filter(|node| node.overlay().is_some()).map(|node| {
            self.ready(async { ready::wait(self.runtime, &self.directory, node, &self.stop).await })
        }))
        .await;
        // Public programs are more often servers than those behind a gateway: they are given a start.
        let waiting = self.plan.nodes.iter().zip(waiting).filter_map(|(node, start)| Some((node, start?)));
        let (private, public): (Vec<_>, Vec<_>) = waiting.partition(|(node, _)| node.gateway.is_some());
        for wave in [public, private] {
            join_all(wave.into_iter().map(|(node, start)| {
                self.ready(async move {
                    match start {
                        Waiting::AtGate(gate) => gate.open(self.runtime, node, &self.stop).await?,
                        Waiting::Container(image) => drop(self.start(image, node).await?),
                    }
                    ready::wait_healthy(self.runtime, node, &self.stop).await
                })
            }))
            .await;
        }
        if !self.stop.is_set() {
            self.observer.end(Step::Ready, "");
        }
    }

    /// A part of the last step.
    async fn ready(&self, node: impl Future<Output = Result<(), LabError>>) -> Option<()> {
        self.stop
            .unit(async {
                node.await?;
                self.observer.advance(Step::Ready);
                Ok(())
            })
            .await
    }

    /// A node's network and container; with what its program waits for, unless it is one of the overlay's.
    async fn make_node<'i>(&self, images: &'i Images, node: &NodePlan) -> Option<Option<Waiting<'i>>> {
        let waiting = match self.runtime.network_order() {
            NetworkOrder::First => self.connect_and_start(images, node).await,
            NetworkOrder::Last => self.start_and_connect(images, node).await,
        }?;
        self.observer.advance(Step::Nodes);
        Some(waiting)
    }

    /// The network, and then, of overlay nodes, the container in it.
    async fn connect_and_start<'i>(
        &self,
        images: &'i Images,
        node: &NodePlan,
    ) -> Option<Option<Waiting<'i>>> {
        let network = self.network.wait().await.as_ref()?;
        let _turn = self.starts.acquire().await.expect("the semaphore is never closed");
        let image = images.of(node);
        self.stop
            .unit(async {
                let uplink = network.uplink(self.plan, node)?;
                node::build(node, uplink).await.map_err(connecting(node))?;
                if node.program().is_some() {
                    self.directory.create_program(node.name.as_str())?;
                    return Ok(Some(Waiting::Container(image)));
                }
                self.start(image, node).await?;
                Ok(None)
            })
            .await
    }

    /// The container, whose program waits at a gate, and then the network.
    async fn start_and_connect<'i>(
        &self,
        images: &'i Images,
        node: &NodePlan,
    ) -> Option<Option<Waiting<'i>>> {
        let start = async {
            let _turn = self.starts.acquire().await.expect("the semaphore is never closed");
            self.stop.unit(self.start_at_gate(images.of(node), node)).await
        };
        let (namespace, gate) = start.await?;
        let network = self.network.wait().await.as_ref()?;
        self.stop
            .unit(async {
                self.connect(network, node, &namespace).await?;
                Ok(gate.map(Waiting::AtGate))
            })
            .await
    }

    async fn connect(&self, network: &Network, node: &NodePlan, namespace: &NetNs) -> Result<(), LabError> {
        let uplink = network.uplink(self.plan, node)?;
        node::attach(node, namespace, uplink).await.map_err(connecting(node))
    }

    async fn start_at_gate(&self, image: &Image, node: &NodePlan) -> Result<(NetNs, Option<Gate>), LabError> {
        // Before the container, which mounts its directory.
        let gate = match node.program() {
            Some(_) => Some(Gate::make(&self.directory, node.name.as_str())?),
            None => None,
        };
        let pid = self.start(image, node).await?;
        let bound = NetNs::bind_process(&node.namespace, pid.as_raw().unsigned_abs());
        if bound.is_err() {
            ready::fail_if_ended(self.runtime, node).await?;
        }
        Ok((bound.map_err(connecting(node))?, gate))
    }

    async fn start(&self, image: &Image, node: &NodePlan) -> Result<Pid, LabError> {
        let spec = NodeSpec {
            lab: self.plan.lab.clone(),
            node: node.name.clone(),
            role: node.role_name(),
            program: node.program().cloned(),
            container: node.container.clone(),
            namespace: node.namespace.clone(),
            directory: self.directory.node(node.name.as_str()),
            memory: memory(node),
            pids: if node.program().is_some() { PIDS_OF_OTHERS } else { PIDS },
        };
        match self.runtime.start(image, &spec).await {
            // `down --all` of another labctl took the image away between our look and now.
            Err(RuntimeError::ImageGone { .. }) => {
                let image = Images::prepare_for(self.runtime, node, &self.programs.node).await?;
                Ok(self.runtime.start(&image, &spec).await?)
            }
            started => Ok(started?),
        }
    }
}

/// What the program of a node waits for that is none of the overlay's.
enum Waiting<'i> {
    /// That its gate is opened.
    AtGate(Gate),
    /// That its container is started, from this.
    Container(&'i Image),
}

fn connecting(node: &NodePlan) -> impl FnOnce(NetError) -> LabError + use<> {
    let doing = format!("connecting node {}", node.name);
    move |source| LabError::Network { doing, source: Box::new(source) }
}

/// The memory that a node may use at most, in bytes.
fn memory(node: &NodePlan) -> u64 {
    match node.overlay() {
        Some(overlay) => MEMORY_OF_PROGRAM + MEMORY_OF_INSTANCE * overlay.instances.len() as u64,
        None => MEMORY_OF_OTHERS,
    }
}
