//! Runs one [`Machine`] on real sockets and the real clock.
//!
//! One task owns the machine. It waits for whatever comes first (an order, a datagram, something on a
//! connection, the machine's timeout), hands it in, and does all that the machine then wants done. The
//! protocol cannot be told from here: it decides nothing but when to stop.
//!
//! Everything that a peer can make grow has a bound: [`ACCEPTED_LIMIT`] connections, each with
//! [`QUEUE_LIMIT`] bytes to be written, and [`HAPPENINGS`] reads that wait for the machine.

pub mod error;

mod connection;
mod sockets;

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use overlay_protocol::{ConnectionId, Input, Machine, Output, StreamError, Time, UdpSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use self::connection::{Connection, Happening};

pub use self::connection::QUEUE_LIMIT;
pub use self::sockets::{BindError, Bindings, Sockets};

/// Connections that peers may have open to one machine. Four times the thousand clients that one login
/// server or super node is meant to serve at once; an idle one costs about 3 KB.
pub const ACCEPTED_LIMIT: usize = 4096;
/// Reads that may wait for the machine; behind them, TCP slows the senders down.
const HAPPENINGS: usize = 64;
/// Orders that may wait for the machine; behind them, the control socket's calls wait.
const ORDERS: usize = 16;
/// Datagrams handled in a row before connections and timers have their turn.
const DATAGRAMS_AT_ONCE: usize = 32;
/// The longest datagram that is received. A longer one is not of the overlay, whose datagrams fit in one
/// packet of 1,500 bytes.
const DATAGRAM_SIZE: usize = 2048;
/// How long a listener rests when the system has no room for another connection (no file descriptor).
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Looks at a machine and its number of established connections.
type Look<M> = Box<dyn FnOnce(&M, usize) + Send>;

/// What the driver's owner wants of it.
enum Order<M: Machine> {
    Command(M::Command),
    Inspect(Look<M>),
    Stop,
}

/// The owner's end of a running driver. When the last clone is dropped the driver stops.
pub struct Handle<M: Machine>(mpsc::Sender<Order<M>>);

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The driver has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the overlay node has stopped; its log says why")]
pub struct Stopped;

impl<M: Machine> Handle<M> {
    /// Gives the machine a command.
    pub async fn command(&self, command: M::Command) -> Result<(), Stopped> {
        self.0.send(Order::Command(command)).await.map_err(|_| Stopped)
    }

    /// Has the driver close its sockets and end. [`Driver::run`] returns when its ports are free.
    pub async fn stop(&self) {
        // An error: it has ended already.
        let _ = self.0.send(Order::Stop).await;
    }

    /// What `look` makes of the machine and its number of established connections.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&M, usize) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let look = move |machine: &M, connections| {
            // Nobody waits for the answer any more: nothing to do.
            let _ = answer.send(look(machine, connections));
        };
        self.0.send(Order::Inspect(Box::new(look))).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

impl<M: Machine> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

/// A machine with its sockets.
pub struct Driver<M: Machine, F> {
    machine: M,
    sockets: Sockets,
    on_event: F,
    epoch: Instant,
    connections: HashMap<ConnectionId, Connection>,
    next_accepted: u64,
    places: Arc<Semaphore>,
    orders: mpsc::Receiver<Order<M>>,
    happenings: (mpsc::Sender<Happening>, mpsc::Receiver<Happening>),
    buffer: Box<[u8; DATAGRAM_SIZE]>,
}

impl<M, F> Driver<M, F>
where
    M: Machine,
    F: FnMut(Time, M::Event),
{
    /// A driver that tells `on_event` what the machine tells; `epoch` is the machine's moment zero.
    /// It does nothing before [`run`](Self::run).
    #[must_use]
    pub fn new(machine: M, sockets: Sockets, epoch: Instant, on_event: F) -> (Self, Handle<M>) {
        let (handle, orders) = mpsc::channel(ORDERS);
        let driver = Self {
            machine,
            sockets,
            on_event,
            epoch,
            connections: HashMap::new(),
            next_accepted: 1,
            places: Arc::new(Semaphore::new(ACCEPTED_LIMIT)),
            orders,
            happenings: mpsc::channel(HAPPENINGS),
            buffer: Box::new([0; DATAGRAM_SIZE]),
        };
        (driver, Handle(handle))
    }

    /// Runs until it is stopped or all handles are dropped. What was sent before is still delivered, in the background.
    pub async fn run(mut self) {
        let mut listeners = JoinSet::new();
        for (port, listener) in std::mem::take(&mut self.sockets.listeners) {
            listeners.spawn(listen(port, listener, self.happenings.0.clone()));
        }
        // Before the reactor has once reported a socket writable, a send that does not wait fails, and
        // the first datagram would be lost.
        writable(Some(&self.sockets.main)).await;
        writable(self.sockets.alternate.as_ref()).await;
        self.act();
        loop {
            let timeout = self.machine.next_timeout().map(|at| self.epoch + at.since_epoch());
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Command(command)) => self.handle(Input::Command(command)),
                    Some(Order::Inspect(look)) => look(&self.machine, self.established()),
                    Some(Order::Stop) | None => break,
                },
                Some(happening) = self.happenings.1.recv() => self.take(happening),
                () = readable(Some(&self.sockets.main)) => self.receive(UdpSocket::Main),
                () = readable(self.sockets.alternate.as_ref()) => self.receive(UdpSocket::Alternate),
                () = until(timeout) => self.handle(Input::Timeout),
            }
        }
        listeners.shutdown().await;
    }

    fn established(&self) -> usize {
        self.connections.values().filter(|connection| connection.established).count()
    }

    /// Hands an input in and does what comes of it.
    fn handle(&mut self, input: Input<'_, M::Command>) {
        self.machine.handle(Time::from_epoch(self.epoch.elapsed()), input);
        self.act();
    }

    fn act(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Datagram { socket, to, data } => self.send_datagram(socket, to, &data),
                Output::Connect { connection, to } => {
                    let driver = self.happenings.0.clone();
                    let open = Connection::open(connection, self.sockets.address, to, driver);
                    self.connections.insert(connection, open);
                }
                Output::Send { connection, data } => self.send(connection, data),
                Output::Close { connection } => {
                    self.connections.remove(&connection);
                }
                Output::Event(event) => (self.on_event)(Time::from_epoch(self.epoch.elapsed()), event),
            }
        }
    }

    fn send_datagram(&self, socket: UdpSocket, to: SocketAddrV4, data: &[u8]) {
        let socket = match socket {
            UdpSocket::Main => Some(&self.sockets.main),
            UdpSocket::Alternate => self.sockets.alternate.as_ref(),
        };
        let Some(socket) = socket else {
            debug!(%to, "datagram not sent: this node has no second UDP port");
            return;
        };
        // A datagram that the system does not take is lost, as it could be anywhere on its way.
        if let Err(error) = socket.try_send_to(data, to.into()) {
            debug!(%to, %error, "datagram not sent");
        }
    }

    fn send(&mut self, id: ConnectionId, data: Vec<u8>) {
        // A connection that ended while the machine was not told yet.
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.send(data).is_err() {
            warn!(connection = id.0, "a peer does not read what it is sent; its connection is cut");
            connection.abort();
            self.connections.remove(&id);
            let error = Some(StreamError::Reset);
            let now = Time::from_epoch(self.epoch.elapsed());
            self.machine.handle(now, Input::Closed { connection: id, error });
        }
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Accepted { stream, local_port, from } => self.accept(stream, local_port, from),
            // What comes from a connection that the machine has closed meanwhile concerns nobody.
            Happening::Connected { connection, local } => {
                if let Some(known) = self.connections.get_mut(&connection) {
                    known.established = true;
                    self.handle(Input::Connected { connection, local });
                }
            }
            Happening::ConnectFailed { connection, error } => {
                if self.connections.remove(&connection).is_some() {
                    self.handle(Input::ConnectFailed { connection, error });
                }
            }
            Happening::Data { connection, data } => {
                if self.connections.contains_key(&connection) {
                    self.handle(Input::Data { connection, data: &data });
                }
            }
            Happening::Closed { connection, error } => {
                if self.connections.remove(&connection).is_some() {
                    self.handle(Input::Closed { connection, error });
                }
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, local_port: u16, from: SocketAddrV4) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // Closed at once: the peer learns that it should turn elsewhere.
            warn!(%from, limit = ACCEPTED_LIMIT, "connection refused: too many are open");
            return;
        };
        let id = ConnectionId(self.next_accepted);
        self.next_accepted += 2;
        let driver = self.happenings.0.clone();
        self.connections.insert(id, Connection::accepted(id, stream, driver, place));
        self.handle(Input::Accepted { connection: id, local_port, from });
    }

    /// Takes the datagrams that wait at a socket, not more than [`DATAGRAMS_AT_ONCE`].
    fn receive(&mut self, socket: UdpSocket) {
        for _ in 0..DATAGRAMS_AT_ONCE {
            let source = match socket {
                UdpSocket::Main => &self.sockets.main,
                UdpSocket::Alternate => match &self.sockets.alternate {
                    Some(source) => source,
                    None => return,
                },
            };
            match source.try_recv_from(&mut self.buffer[..]) {
                Ok((length, SocketAddr::V4(from))) if length < DATAGRAM_SIZE => {
                    let input = Input::Datagram { socket, from, data: &self.buffer[..length] };
                    self.machine.handle(Time::from_epoch(self.epoch.elapsed()), input);
                    self.act();
                }
                Ok((length, from)) => debug!(%from, length, "datagram dropped: too long"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error about an earlier datagram; the next read goes on.
                Err(error) => debug!(%error, "UDP"),
            }
        }
    }
}

/// Accepts connections for as long as the driver lives.
async fn listen(local_port: u16, listener: TcpListener, driver: mpsc::Sender<Happening>) {
    loop {
        let happening = match listener.accept().await {
            Ok((stream, SocketAddr::V4(from))) => Happening::Accepted { stream, local_port, from },
            Ok((_, SocketAddr::V6(_))) => continue,
            Err(error) => {
                warn!(%error, local_port, "no connection accepted for a moment");
                sleep(ACCEPT_REST).await;
                continue;
            }
        };
        if driver.send(happening).await.is_err() {
            return;
        }
    }
}

async fn readable(socket: Option<&tokio::net::UdpSocket>) {
    match socket {
        // An error of the wait itself shows at the read that follows.
        Some(socket) => drop(socket.readable().await),
        None => pending().await,
    }
}

async fn writable(socket: Option<&tokio::net::UdpSocket>) {
    if let Some(socket) = socket {
        // An error of the wait itself shows at the first send.
        drop(socket.writable().await);
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
