//! One TCP connection: a task that reads, writes and closes, and the driver's end of it.
//!
//! The task holds no buffer while it waits. It stops reading while the driver is behind, so that a fast
//! sender is slowed down by TCP itself and not stored.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use overlay_protocol::{ConnectionId, StreamError};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::error;

/// Bytes that may wait to be written on one connection. A message of the overlay has at most a few
/// hundred bytes, so a peer that lets this much pile up does not read any more.
pub const QUEUE_LIMIT: usize = 64 * 1024;
/// Bytes taken from a connection at once.
const READ_SIZE: usize = 4096;
/// How long a closed connection may take to deliver what was sent on it, and to be closed by the peer.
/// After it, the kernel forgets the connection. No measurement waits for it.
const LINGER: Duration = Duration::from_secs(5);

/// What a connection's task, or a listener, tells the driver.
#[derive(Debug)]
pub(super) enum Happening {
    /// A peer connected.
    Accepted { stream: TcpStream, local_port: u16, from: SocketAddrV4 },
    /// An attempt came through.
    Connected { connection: ConnectionId, local: SocketAddrV4 },
    /// An attempt failed.
    ConnectFailed { connection: ConnectionId, error: StreamError },
    /// Bytes came.
    Data { connection: ConnectionId, data: Vec<u8> },
    /// The peer closed, or the connection broke. The last thing told.
    Closed { connection: ConnectionId, error: Option<StreamError> },
}

/// The driver's end of a connection. When it is dropped, the connection is closed in order: what is
/// queued is delivered first, and an attempt to connect ends.
#[derive(Debug)]
pub(super) struct Connection {
    queue: UnboundedSender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    task: AbortHandle,
    /// It is established.
    pub(super) established: bool,
}

/// The queue is full.
#[derive(Debug)]
pub(super) struct QueueFull;

impl Connection {
    /// Serves a connection that a peer opened. It occupies `place` until the kernel has it no more.
    pub(super) fn accepted(
        id: ConnectionId,
        stream: TcpStream,
        driver: mpsc::Sender<Happening>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self::start(true, |outgoing| async move {
            serve(id, stream, driver, outgoing, Vec::new()).await;
            drop(place);
        })
    }

    /// Connects from `address` (any port) to `to`, then serves the connection.
    pub(super) fn open(
        id: ConnectionId,
        address: Ipv4Addr,
        to: SocketAddrV4,
        driver: mpsc::Sender<Happening>,
    ) -> Self {
        Self::start(false, move |outgoing| connect_and_serve(id, address, to, driver, outgoing))
    }

    fn start<T>(established: bool, task: impl FnOnce(Outgoing) -> T) -> Self
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (queue, waiting) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let outgoing = Outgoing { waiting, queued: Arc::clone(&queued) };
        let task = tokio::spawn(task(outgoing)).abort_handle();
        Self { queue, queued, task, established }
    }

    /// Queues bytes to be written.
    pub(super) fn send(&self, data: Vec<u8>) -> Result<(), QueueFull> {
        if self.queued.fetch_add(data.len(), Ordering::Relaxed) + data.len() > QUEUE_LIMIT {
            return Err(QueueFull);
        }
        // The task may have ended: then its `Closed` is on its way to the driver.
        let _ = self.queue.send(data);
        Ok(())
    }

    /// Ends the connection without delivering anything more.
    pub(super) fn abort(&self) {
        self.task.abort();
    }
}

/// The task's end of the queue of bytes to be written.
struct Outgoing {
    waiting: UnboundedReceiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
}

async fn connect_and_serve(
    id: ConnectionId,
    address: Ipv4Addr,
    to: SocketAddrV4,
    driver: mpsc::Sender<Happening>,
    mut outgoing: Outgoing,
) {
    // What is to be sent once connected. Waiting for it also notices that the driver gave up.
    let mut early = Vec::new();
    let attempt = {
        let mut connecting = pin!(connect(address, to));
        loop {
            tokio::select! {
                attempt = &mut connecting => break attempt,
                data = outgoing.waiting.recv() => match data {
                    Some(data) => early.extend_from_slice(&data),
                    None => return,
                },
            }
        }
    };
    match attempt {
        Ok((stream, local)) => {
            // An error here and below: the driver has ended, and so does this task.
            if driver.send(Happening::Connected { connection: id, local }).await.is_err() {
                return;
            }
            serve(id, stream, driver, outgoing, early).await;
        }
        Err(failure) => {
            let error = error::connecting(&failure);
            tracing::debug!(%to, error = %failure, "connection not made");
            let _ = driver.send(Happening::ConnectFailed { connection: id, error }).await;
        }
    }
}

async fn connect(address: Ipv4Addr, to: SocketAddrV4) -> io::Result<(TcpStream, SocketAddrV4)> {
    let socket = TcpSocket::new_v4()?;
    if !address.is_unspecified() {
        socket.bind(SocketAddrV4::new(address, 0).into())?;
    }
    let stream = socket.connect(to.into()).await?;
    match stream.local_addr()? {
        SocketAddr::V4(local) => Ok((stream, local)),
        SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Reads and writes until either side closes; `early` is written first.
async fn serve(
    id: ConnectionId,
    stream: TcpStream,
    driver: mpsc::Sender<Happening>,
    mut outgoing: Outgoing,
    early: Vec<u8>,
) {
    // Messages are small and each is one write; Nagle's algorithm would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let mut writing = pin!(write_queue(&stream, &mut outgoing, early));
    let ended = tokio::select! {
        error = read_all(id, &stream, &driver) => Some(error),
        written = &mut writing => match written {
            Ok(()) => None,
            Err(error) => Some(Some(error::established(&error))),
        },
    };
    if let Some(error) = ended {
        let _ = driver.send(Happening::Closed { connection: id, error }).await;
        if error.is_none() {
            // The peer has no more to say but may still listen; the driver closes its end now.
            let _ = timeout(LINGER, writing).await;
        }
    } else {
        // Closing a socket with unread bytes sends a reset, which can overtake what was written last.
        // So: say that no more comes, and read until the peer says the same.
        let _ = timeout(LINGER, drain(&stream)).await;
    }
}

/// Hands all that arrives to the driver, until the peer closes (`None`) or the connection breaks. Does
/// not return when the driver has ended: then the queue is closed too, and that is the order to stop.
async fn read_all(
    id: ConnectionId,
    stream: &TcpStream,
    driver: &mpsc::Sender<Happening>,
) -> Option<StreamError> {
    loop {
        if let Err(error) = stream.readable().await {
            return Some(error::established(&error));
        }
        let Ok(place) = driver.reserve().await else { return std::future::pending().await };
        match read_once(stream) {
            Ok(data) if data.is_empty() => return None,
            Ok(data) => place.send(Happening::Data { connection: id, data }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Some(error::established(&error)),
        }
    }
}

/// One read, through a buffer that is not kept while the connection is idle.
fn read_once(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut buffer = [0; READ_SIZE];
    let count = stream.try_read(&mut buffer)?;
    Ok(buffer[..count].to_vec())
}

/// Writes `data`, then what is queued, and closes the sending direction when the driver has closed the
/// queue.
async fn write_queue(stream: &TcpStream, outgoing: &mut Outgoing, mut data: Vec<u8>) -> io::Result<()> {
    loop {
        // What was queued at the same moment leaves in the same segment.
        while let Ok(more) = outgoing.waiting.try_recv() {
            data.extend_from_slice(&more);
        }
        write_all(stream, &data).await?;
        outgoing.queued.fetch_sub(data.len(), Ordering::Relaxed);
        match outgoing.waiting.recv().await {
            Some(next) => data = next,
            None => break,
        }
    }
    socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write)
}

async fn write_all(stream: &TcpStream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        stream.writable().await?;
        match stream.try_write(data) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => data = &data[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads and forgets until the peer closes.
async fn drain(stream: &TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match read_once(stream) {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
