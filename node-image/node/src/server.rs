//! Super nodes and login servers: machines that serve from the node's start to its end.

use overlay_control::InstanceStatus;
use overlay_protocol::{LoginServer, Machine, ServerEvent, SuperNode};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::driver::{BindError, Bindings, Driver, Handle, Sockets, Stopped};

/// A machine that serves.
#[derive(Debug)]
pub struct Server<M: Machine> {
    name: String,
    handle: Handle<M>,
    tcp_ports: Vec<u16>,
}

/// What a status tells of a machine.
pub trait Holds {
    /// Certificates or users that it holds.
    fn records(&self) -> usize;
}

impl Holds for SuperNode {
    fn records(&self) -> usize {
        self.records()
    }
}

impl Holds for LoginServer {
    fn records(&self) -> usize {
        self.records()
    }
}

impl<M> Server<M>
where
    M: Machine<Event = ServerEvent> + Holds + Send + 'static,
    M::Command: Send,
{
    /// Binds the sockets and starts to serve, as one of the tasks of `serving`.
    pub fn start(
        name: String,
        machine: M,
        bindings: &Bindings,
        serving: &mut JoinSet<()>,
    ) -> Result<Self, BindError> {
        let sockets = Sockets::bind(bindings)?;
        let tcp_ports = sockets.tcp_ports();
        info!(name, address = %bindings.address, port = bindings.port, ?tcp_ports, "serves");
        let log_name = name.clone();
        let on_event = move |_, event| log(&log_name, &event);
        let (driver, handle) = Driver::new(machine, sockets, Instant::now(), on_event);
        serving.spawn(driver.run());
        Ok(Self { name, handle, tcp_ports })
    }

    /// Gives the machine a command.
    pub async fn command(&self, command: M::Command) -> Result<(), Stopped> {
        self.handle.command(command).await
    }

    /// The machine's state.
    pub async fn status(&self) -> Result<InstanceStatus, Stopped> {
        let look = |machine: &M, connections| (connections, machine.records());
        let (connections, records) = self.handle.inspect(look).await?;
        Ok(InstanceStatus {
            name: self.name.clone(),
            state: "serving".to_owned(),
            connections,
            records,
            tcp_ports: self.tcp_ports.clone(),
        })
    }
}

fn log(name: &str, event: &ServerEvent) {
    match event {
        ServerEvent::Refused { from, why } => info!(name, %from, why, "request refused"),
        ServerEvent::Misbehaved { from, what } => warn!(name, %from, what, "connection closed"),
        event => info!(name, ?event),
    }
}
