//! What carries the packets of a WAN: the engines behind one trait, and the thread that they run in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::sync::oneshot;

use super::control::{WanAnswer, WanRequest};
use super::kernel::KernelEngine;
use super::user::UserEngine;
use crate::net::NetError;
use crate::plan::WanPlan;

pub use crate::plan::EngineKind;

/// Carries the packets of a WAN as its plan says, and changes what it does when it is told to.
pub trait Engine {
    /// Which it is.
    fn kind(&self) -> EngineKind;

    /// Carries packets until there is something to read from `wake`.
    fn carry(&mut self, wake: BorrowedFd<'_>) -> Result<(), NetError>;

    /// Does what is asked.
    ///
    /// # Errors
    ///
    /// What is wrong with the request.
    fn handle(&mut self, request: &WanRequest) -> Result<WanAnswer, String>;
}

/// What an engine's thread is told.
enum Order {
    /// A request, and where its answer goes.
    Do(WanRequest, oneshot::Sender<Result<WanAnswer, String>>),
    /// To end.
    End,
}

/// Asks an engine that runs in another thread. When the last of these is gone, the engine ends.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    orders: Sender<Order>,
    wake: std::sync::Arc<OwnedFd>,
}

impl EngineHandle {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, or that the engine has ended.
    pub async fn ask(&self, request: WanRequest) -> Result<WanAnswer, String> {
        let gone = || "the WAN's engine has ended".to_owned();
        let (answer, answered) = oneshot::channel();
        if !self.tell(Order::Do(request, answer)) {
            return Err(gone());
        }
        answered.await.map_err(|_| gone())?
    }

    /// Tells the engine to end.
    pub fn end(&self) {
        // If it has ended already, all is well.
        self.tell(Order::End);
    }

    fn tell(&self, order: Order) -> bool {
        let told = self.orders.send(order).is_ok();
        // A pipe that is full has woken it often enough.
        told && matches!(nix::unistd::write(&*self.wake, &[1]), Ok(_) | Err(Errno::EAGAIN))
    }
}

/// The other end of an [`EngineHandle`].
#[derive(Debug)]
pub struct Orders {
    orders: Receiver<Order>,
    wake: OwnedFd,
}

/// Both ends of the way to an engine.
pub fn orders() -> io::Result<(EngineHandle, Orders)> {
    let (woken, wake) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let (sender, orders) = channel();
    let handle = EngineHandle { orders: sender, wake: std::sync::Arc::new(wake) };
    Ok((handle, Orders { orders, wake: woken }))
}

/// Runs the engine of a WAN until nobody can ask it any more. `ready` is called when packets can pass.
///
/// The calling thread is moved into the core's namespace for good, and gets a priority above others where
/// that is permitted.
pub fn run(plan: &WanPlan, orders: &Orders, ready: impl FnOnce() -> io::Result<()>) -> Result<(), NetError> {
    let mut engine: Box<dyn Engine> = match plan.engine {
        EngineKind::User => Box::new(UserEngine::start(plan)?),
        EngineKind::Kernel => Box::new(KernelEngine::start(plan)?),
    };
    ready().map_err(|source| NetError::Engine { action: "say that it is ready", source })?;
    loop {
        engine.carry(orders.wake.as_fd())?;
        drain(&orders.wake).map_err(|source| NetError::Engine { action: "read its orders", source })?;
        loop {
            match orders.orders.try_recv() {
                // Who has given up does not want to know.
                Ok(Order::Do(request, answer)) => drop(answer.send(engine.handle(&request))),
                Err(TryRecvError::Empty) => break,
                Ok(Order::End) | Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

/// Empties the pipe.
fn drain(pipe: &impl AsFd) -> io::Result<()> {
    loop {
        match nix::unistd::read(pipe, &mut [0; 512]) {
            Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
