//! Captures on one interface for a while.

use std::fmt;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

use super::packet::{Packet, Timestamp};
use super::packet_socket::{PacketSocket, Statistics};
use crate::net::NetNs;

/// How many packets are taken before the thread looks whether it is to stop.
const BATCH: usize = 256;

/// Takes what a capture sees, in the order in which the kernel saw it.
pub trait Sink: Send + 'static {
    /// Takes a packet.
    fn take(&mut self, packet: &Packet) -> io::Result<()>;
}

/// Where a capture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The interface.
    pub interface: String,
    /// The network namespace.
    pub namespace: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.interface, self.namespace)
    }
}

/// Why a capture gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The socket could not be opened.
    #[error(
        "opening a packet socket on {0}: {1} (it takes CAP_NET_RAW, CAP_NET_ADMIN and CAP_SYS_ADMIN, and a \
         lab that is up)"
    )]
    Open(Place, io::Error),
    /// Reading packets failed.
    #[error("reading packets of {0}: {1}")]
    Read(Place, io::Error),
    /// A packet could not be kept.
    #[error("keeping the packets of {0}: {1}")]
    Sink(Place, io::Error),
    /// The kernel had no room for some packets, so no figure of this capture is right.
    #[error(
        "the capture on {0} lost {lost} of {all} packets: the machine is too busy; measure fewer clients at once",
        lost = .1.dropped, all = .1.packets
    )]
    Dropped(Place, Statistics),
    /// The task that reads ended by a panic.
    #[error("the capture on {0} panicked: this is a bug of labctl")]
    Panicked(Place),
}

/// A capture that runs from [`Capture::start`] to [`Capture::stop`].
///
/// A thread of its own reads, so that no work of labctl holds it up. Dropping the capture ends it.
#[derive(Debug)]
pub struct Capture<S> {
    place: Place,
    /// The moment of the stop.
    stopped: mpsc::Sender<Timestamp>,
    /// Its end wakes the thread.
    wake: PipeWriter,
    result: oneshot::Receiver<Result<(S, Statistics), CaptureError>>,
}

impl<S: Sink> Capture<S> {
    /// Starts to capture on `interface` of the network namespace with this name. Every packet that passes
    /// after this returns is captured.
    pub fn start(namespace: &str, interface: &str, sink: S) -> Result<Self, CaptureError> {
        let place = Place { interface: interface.to_owned(), namespace: namespace.to_owned() };
        let (stopped, stop) = mpsc::channel();
        let (send, result) = oneshot::channel();
        let begin = || {
            let namespace = NetNs::open(namespace).map_err(io::Error::other)?;
            let socket = PacketSocket::open(&namespace, interface)?;
            let (woken, wake) = io::pipe()?;
            let reader = Reader { socket, sink, place: place.clone() };
            let read = move || {
                // Nobody waits for the result of a capture that was dropped.
                let _ = send.send(reader.read(&woken, &stop));
            };
            thread::Builder::new().name("capture".into()).spawn(read)?;
            Ok(wake)
        };
        let wake = begin().map_err(|error| CaptureError::Open(place.clone(), error))?;
        Ok(Self { place, stopped, wake, result })
    }

    /// Stops, after every packet that passed before the call is handed to the sink. Gives the sink back.
    ///
    /// Lost packets are an error: figures that lack them would be wrong.
    pub async fn stop(self) -> Result<(S, Statistics), CaptureError> {
        // If the reader ended before, its own result says why.
        let _ = self.stopped.send(Timestamp::now());
        drop(self.wake);
        let (sink, statistics) =
            self.result.await.map_err(|_| CaptureError::Panicked(self.place.clone()))??;
        if statistics.dropped > 0 {
            return Err(CaptureError::Dropped(self.place, statistics));
        }
        Ok((sink, statistics))
    }
}

/// What the thread works with.
struct Reader<S> {
    socket: PacketSocket,
    sink: S,
    place: Place,
}

impl<S: Sink> Reader<S> {
    fn read(
        mut self,
        woken: &PipeReader,
        stop: &mpsc::Receiver<Timestamp>,
    ) -> Result<(S, Statistics), CaptureError> {
        loop {
            let mut ready = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(woken.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(CaptureError::Read(self.place.clone(), error.into())),
            }
            if ready[1].any().unwrap_or(true) {
                break;
            }
            self.take(BATCH, None)?;
        }
        // Packets are queued while they pass, so what passed before the stop is in the queue.
        let until = stop.try_recv().unwrap_or_else(|_| Timestamp::now());
        self.take(usize::MAX, Some(until))?;
        let statistics = self.socket.statistics();
        let statistics = statistics.map_err(|error| CaptureError::Read(self.place.clone(), error))?;
        Ok((self.sink, statistics))
    }

    /// Hands queued packets to the sink: `limit` at most, none from after `until`.
    fn take(&mut self, limit: usize, until: Option<Timestamp>) -> Result<(), CaptureError> {
        let place = &self.place;
        for _ in 0..limit {
            let packet = self.socket.receive();
            let Some(packet) = packet.map_err(|error| CaptureError::Read(place.clone(), error))? else {
                break;
            };
            if until.is_some_and(|until| packet.time > until) {
                break;
            }
            self.sink.take(&packet).map_err(|error| CaptureError::Sink(place.clone(), error))?;
        }
        Ok(())
    }
}
