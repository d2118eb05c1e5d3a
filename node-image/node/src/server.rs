//! Super nodes and login servers: machines that serve from the node's start to its end.

use std::net::SocketAddrV4;

use overlay_control::{DirectoryStatus, InstanceStatus};
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

    /// Its address and its part of the directory, if it has one.
    fn directory(&self) -> Option<(SocketAddrV4, DirectoryStatus)> {
        None
    }

    /// Calls that it relays media for, if it does such a thing.
    fn relayed_calls(&self) -> Option<usize> {
        None
    }
}

impl Holds for SuperNode {
    fn records(&self) -> usize {
        self.records()
    }

    fn directory(&self) -> Option<(SocketAddrV4, DirectoryStatus)> {
        Some((self.address(), self.directory_status()))
    }

    fn relayed_calls(&self) -> Option<usize> {
        Some(self.relayed_calls())
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

    /// What `look` sees of the machine.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&M) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.handle.inspect(|machine: &M, _| look(machine)).await
    }

    /// The machine's state.
    pub async fn status(&self) -> Result<InstanceStatus, Stopped> {
        let look = |machine: &M, connections| {
            (connections, machine.records(), machine.directory(), machine.relayed_calls())
        };
        let (connections, records, directory, relayed_calls) = self.handle.inspect(look).await?;
        Ok(InstanceStatus {
            name: self.name.clone(),
            state: "serving".to_owned(),
            connections,
            records,
            tcp_ports: self.tcp_ports.clone(),
            call: None,
            relayed_calls,
            super_node: None,
            address: directory.map(|(address, _)| address),
            directory: directory.map(|(_, status)| status),
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
