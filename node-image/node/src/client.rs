//! A client's node: one login at a time, each with a fresh machine and fresh sockets.

mod call;
mod search;
mod talk;
mod voice;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use overlay_control::{EventLine, InstanceStatus, LoginEvent, LoginFailure, LoginRequest};
use overlay_protocol::{
    Client, ClientCommand, ClientConfig, ClientEvent, Password, Time, UserName, installation_port,
};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::call::Talks;
pub use self::call::{CallLines, CallRefused};
use self::search::Readers;
pub use self::search::{SearchLines, SearchRefused};
use crate::config::ClientSetup;
use crate::driver::{BindError, Bindings, Driver, Handle, Sockets};

/// Ports that are tried after the one that the seed gives. Taken ones are rare: an own outgoing
/// connection, or a connection of the last login that is not forgotten yet.
const MORE_PORTS: u16 = 100;
/// The least port that needs no privilege.
const LEAST_PORT: u16 = 1024;

/// A client's node.
#[derive(Debug)]
pub struct ClientNode {
    setup: ClientSetup,
    session: tokio::sync::Mutex<Option<Session>>,
}

/// Why a login was not begun.
#[derive(Debug, thiserror::Error)]
pub enum LoginRefused {
    /// One at a time.
    #[error("a login is in progress; wait for its end, or end it with POST /v1/logout")]
    InProgress,
    /// A request that makes no sense.
    #[error("{field}: {fault}")]
    Request {
        /// Where in the request.
        field: &'static str,
        /// What is wrong, and the mend.
        fault: String,
    },
    /// No sockets.
    #[error("the login cannot begin: {0}")]
    Bind(#[from] BindError),
}

/// A login, and what follows it until the logout.
#[derive(Debug)]
struct Session {
    shared: Arc<Shared>,
    handle: Handle<Client>,
    task: JoinHandle<()>,
    tcp_ports: Vec<u16>,
    /// The machine's moment zero.
    epoch: Instant,
}

/// What the session's task, its machine's events and the reader of these have in common.
#[derive(Debug)]
struct Shared {
    phase: Mutex<Phase>,
    searches: Readers,
    talks: Talks,
    stop: Notify,
}

#[derive(Debug)]
enum Phase {
    /// In progress; the reader gets what the machine tells.
    LoggingIn(UnboundedSender<EventLine>),
    /// Complete; the client keeps its connections.
    LoggedIn,
    /// Failed, logged out or cancelled.
    Ending,
}

impl Shared {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        // Nothing that holds it can panic half-way through a change.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_progress(&self) -> bool {
        matches!(*self.phase(), Phase::LoggingIn(_))
    }

    /// Passes on what the machine tells.
    fn tell(&self, at: Time, event: ClientEvent) {
        match event {
            ClientEvent::Login(event) => self.tell_of_login(at, event),
            ClientEvent::Search(event) => self.searches.tell(at, event),
            ClientEvent::Call(event) => self.talks.tell(at, event),
            ClientEvent::Voice { sequence, voice } => self.talks.voice(at, sequence, voice),
        }
    }

    /// Passes it on, and follows it.
    fn tell_of_login(&self, at: Time, event: LoginEvent) {
        log(&event);
        let mut phase = self.phase();
        let next = match &event {
            LoginEvent::Finished { .. } => Some(Phase::LoggedIn),
            LoginEvent::Failed { .. } => {
                self.stop.notify_one();
                Some(Phase::Ending)
            }
            _ => None,
        };
        if let Phase::LoggingIn(lines) = &*phase {
            // Nobody reads it any more: the login is being cancelled.
            let _ = lines.send(EventLine { at_ms: milliseconds(at.since_epoch()), event });
        }
        if let Some(next) = next {
            *phase = next;
        }
    }
}

/// Milliseconds with three decimals, so that a line stays short.
fn milliseconds(since: Duration) -> f64 {
    since.as_micros() as f64 / 1e3
}

fn log(event: &LoginEvent) {
    match event {
        LoginEvent::UdpProbe { .. } | LoginEvent::UdpAnswer { .. } => debug!(?event, "login"),
        LoginEvent::Failed { reason, detail } => warn!(%reason, detail, "login failed"),
        event => info!(?event, "login"),
    }
}

impl ClientNode {
    /// A client that is not logged in.
    #[must_use]
    pub fn new(setup: ClientSetup) -> Self {
        Self { setup, session: tokio::sync::Mutex::new(None) }
    }

    /// Begins a login; an earlier one that is complete is logged out first. If the answer is dropped
    /// before its end, the login is cancelled.
    pub async fn login(&self, request: LoginRequest) -> Result<LoginLines, LoginRefused> {
        let epoch = Instant::now();
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|session| session.shared.in_progress()) {
            return Err(LoginRefused::InProgress);
        }
        let mut config = self.client_config(request)?;
        if let Some(earlier) = session.take() {
            earlier.end().await;
        }
        let sockets = self.bind(&mut config)?;
        let (started, lines) = Session::start(config, sockets, epoch);
        *session = Some(started);
        Ok(lines)
    }

    /// Logs out, or cancels a login; returns when the sockets are closed. Does nothing if there is
    /// nothing to end.
    pub async fn logout(&self) {
        if let Some(session) = self.session.lock().await.take() {
            session.end().await;
        }
    }

    /// The node's state.
    pub async fn status(&self) -> InstanceStatus {
        let mut status = InstanceStatus {
            name: self.setup.name.clone(),
            state: "idle".to_owned(),
            connections: 0,
            records: 0,
            tcp_ports: Vec::new(),
            call: None,
            relayed_calls: None,
            super_node: None,
            address: None,
            directory: None,
        };
        if let Some(session) = &*self.session.lock().await
            && !matches!(*session.shared.phase(), Phase::Ending)
            && let Ok((state, connections, super_node, call)) = session
                .handle
                .inspect(|client, connections| {
                    (client.state(), connections, client.super_node(), client.call_state())
                })
                .await
        {
            status.super_node = super_node;
            status.call = (state == "logged-in").then(|| call.to_owned());
            status.state = state.to_owned();
            status.connections = connections;
            status.tcp_ports.clone_from(&session.tcp_ports);
        }
        status
    }

    /// What the machine takes; the port is the one to try first.
    fn client_config(&self, request: LoginRequest) -> Result<ClientConfig, LoginRefused> {
        let name = |field: &'static str, name: &str| {
            UserName::new(name).map_err(|fault| LoginRefused::Request { field, fault: fault.to_string() })
        };
        let Some(&first) = request.host_cache.first() else {
            let fault = "is empty; give at least one super node to begin with".to_owned();
            return Err(LoginRefused::Request { field: "host_cache", fault });
        };
        let buddies = request.buddies.iter().map(|buddy| name("buddies", buddy)).collect::<Result<_, _>>()?;
        let local_address = if self.setup.address.is_unspecified() {
            address_towards(first)
        } else {
            Some(self.setup.address)
        };
        Ok(ClientConfig {
            name: self.setup.name.clone(),
            listen_port: if self.setup.port == 0 { installation_port(request.seed) } else { self.setup.port },
            local_address,
            login_servers: self.setup.login_servers.clone(),
            user: name("user", &request.user)?,
            password: Password::new(request.password),
            host_cache: request.host_cache,
            buddies,
            first_time: request.first_time,
            seed: request.seed,
            parameters: self.setup.parameters.clone(),
        })
    }

    /// Binds the port that the configuration gives; if it is taken and need not be that one, the next.
    fn bind(&self, config: &mut ClientConfig) -> Result<Sockets, BindError> {
        let mut tries = if self.setup.port == 0 { MORE_PORTS } else { 0 };
        loop {
            let port = config.listen_port;
            let bindings = Bindings {
                address: self.setup.address,
                port,
                alternate: None,
                also: config.parameters.listening_ports(port),
            };
            match Sockets::bind(&bindings) {
                Err(error) if error.port_is_taken() && tries > 0 => {
                    debug!(%error, "tries the next port");
                    config.listen_port = port.checked_add(1).unwrap_or(LEAST_PORT);
                    tries -= 1;
                }
                result => return result,
            }
        }
    }
}

/// The local address that packets to `peer` would have, by the routing table. Nothing is sent.
fn address_towards(peer: SocketAddrV4) -> Option<Ipv4Addr> {
    let socket = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(peer).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) if !address.ip().is_unspecified() => Some(*address.ip()),
        _ => None,
    }
}

impl Session {
    fn start(config: ClientConfig, sockets: Sockets, epoch: Instant) -> (Self, LoginLines) {
        info!(user = %config.user, port = config.listen_port, seed = config.seed, "login begins");
        let (sender, lines) = unbounded_channel();
        let shared = Arc::new(Shared {
            phase: Mutex::new(Phase::LoggingIn(sender)),
            searches: Readers::default(),
            talks: Talks::default(),
            stop: Notify::new(),
        });
        let tcp_ports = sockets.tcp_ports();
        let teller = Arc::clone(&shared);
        let on_event = move |at, event| teller.tell(at, event);
        let (driver, handle) = Driver::new(Client::new(config), sockets, epoch, on_event);
        let task = tokio::spawn(session(driver.run(), handle.clone(), Arc::clone(&shared), epoch));
        (Self { shared: Arc::clone(&shared), handle, task, tcp_ports, epoch }, LoginLines { lines, shared })
    }

    /// Ends the session and waits until its ports are free.
    async fn end(self) {
        self.shared.stop.notify_one();
        // Nobody aborts it, and a panic of the driver does not reach it.
        let _ = self.task.await;
    }
}

/// A session from the login command to the end of its sockets.
async fn session(
    run: impl Future<Output = ()> + Send + 'static,
    handle: Handle<Client>,
    shared: Arc<Shared>,
    epoch: Instant,
) {
    let mut running = tokio::spawn(run);
    // A command fails only if the driver has ended, and that is seen below.
    let _ = handle.command(ClientCommand::Login).await;
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = shared.stop.notified() => {
            let _ = handle.command(ClientCommand::Logout).await;
            handle.stop().await;
            running.await
        }
    };
    // The machine says how its login ended. Should it not have, the reader must know all the same.
    let (reason, detail) = match ended {
        Ok(()) => (LoginFailure::Cancelled, "the login was ended before it was complete".to_owned()),
        Err(error) => (LoginFailure::Protocol, format!("the node has a defect: {error}")),
    };
    if shared.in_progress() {
        let now = Time::from_epoch(epoch.elapsed());
        shared.tell_of_login(now, LoginEvent::Failed { reason, detail });
    }
    *shared.phase() = Phase::Ending;
    shared.searches.close();
    shared.talks.close();
    info!("session ends; its ports are free");
}

/// A line of NDJSON.
fn json_line(line: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text.into())
}

/// The answer to a login: NDJSON, a line for each event, as it happens. If it is dropped before the last
/// line, the login is cancelled.
#[derive(Debug)]
pub struct LoginLines {
    lines: UnboundedReceiver<EventLine>,
    shared: Arc<Shared>,
}

impl Stream for LoginLines {
    type Item = serde_json::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = ready!(self.lines.poll_recv(context));
        Poll::Ready(line.map(|line| json_line(&line)))
    }
}

impl Drop for LoginLines {
    fn drop(&mut self) {
        let mut phase = self.shared.phase();
        if matches!(*phase, Phase::LoggingIn(_)) {
            info!("login cancelled: its reader has gone");
            *phase = Phase::Ending;
            self.shared.stop.notify_one();
        }
    }
}
