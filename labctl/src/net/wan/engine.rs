//! The engine: takes every packet that the WAN core forwards, and lets it go when the model says.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;

use serde::{Deserialize, Serialize};

use super::access::Moment;
use super::counters::Counters;
use super::model::{Fate, Impairment, Model};
use super::nfqueue::{KernelDrops, Packet, PacketRef, QueueSocket, Verdict, kernel_drops};
use super::{AttachmentId, QUEUES};
use crate::names::NodeName;
use crate::net::{NetError, NetNs, sys};
use crate::plan::WanPlan;

/// Packets that are taken before it is looked what is due.
const BURST: usize = 128;

/// What the engine counted since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// By name of the attachment.
    pub attachments: BTreeMap<NodeName, Counters>,
    /// Packets between interfaces that are no attachment's, all dropped.
    pub strays: u64,
    /// What the kernel dropped before the engine had it.
    pub kernel: KernelDrops,
}

/// Runs the engine of a WAN until SIGTERM or SIGINT. `ready` is called when packets can pass, `report`
/// at the end and on SIGUSR1.
///
/// The calling thread is moved into the core's namespace, and must be the only one: another would take
/// the signals.
pub fn run(
    plan: &WanPlan,
    ready: impl FnOnce() -> io::Result<()>,
    mut report: impl FnMut(&Report),
) -> Result<(), NetError> {
    let fail = |action| move |source| NetError::Queue { action, source };
    NetNs::open(&plan.namespace)?.enter()?;
    let signals = take_signals().map_err(fail("take signals"))?;
    // The kernel may otherwise wake us 50 us late, to save power.
    prctl::set_timerslack(1).map_err(|error| fail("set the timer slack")(error.into()))?;
    // A busy machine would otherwise add its own delays, of milliseconds, to those of the plan. The kernel
    // keeps a share of the time for others, whatever the traffic.
    if let Err(error) = sys::schedule_first() {
        tracing::warn!(%error, "no real-time priority: delays are less exact when the machine is busy");
    }
    let mut engine = Engine {
        queues: QueueSocket::bind(QUEUES)?,
        model: Model::new(plan),
        start: Instant::now(),
        packets: Vec::with_capacity(BURST),
        strays: 0,
    };
    ready().map_err(fail("say that it is ready"))?;
    loop {
        let came = engine.take()?;
        engine.release()?;
        if came {
            continue;
        }
        engine.wait(&signals).map_err(fail("wait for packets"))?;
        while let Some(signal) = signals.read_signal().map_err(|error| fail("read a signal")(error.into()))? {
            report(&engine.report(plan).map_err(fail("read the kernel's counters"))?);
            if signal.ssi_signo != Signal::SIGUSR1 as u32 {
                return Ok(());
            }
        }
    }
}

fn take_signals() -> io::Result<SignalFd> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1].into_iter().collect();
    signals.thread_block()?;
    Ok(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

struct Engine {
    queues: QueueSocket,
    model: Model<PacketRef>,
    start: Instant,
    packets: Vec<Packet>,
    /// Packets between interfaces that are no attachment's.
    strays: u64,
}

impl Engine {
    fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// Takes what has come. Whether anything had.
    fn take(&mut self) -> Result<bool, NetError> {
        let mut packets = std::mem::take(&mut self.packets);
        let came = self.queues.receive(&mut packets, BURST)?;
        for packet in packets.drain(..) {
            self.enter(packet)?;
        }
        self.packets = packets;
        Ok(came)
    }

    fn enter(&mut self, packet: Packet) -> Result<(), NetError> {
        let attachment = |index| AttachmentId::of_interface(index).filter(|id| self.model.has(*id));
        let (Some(from), Some(to)) = (attachment(packet.from), attachment(packet.to)) else {
            self.strays += 1;
            return self.queues.decide(packet.packet, Verdict::Drop);
        };
        let now = self.now();
        match self.model.enter(now, from, to, packet.length, packet.packet) {
            Ok(()) => Ok(()),
            Err(dropped) => self.queues.decide(dropped.packet, Verdict::Drop),
        }
    }

    /// Decides on everything that is due.
    fn release(&mut self) -> Result<(), NetError> {
        let now = self.now();
        while let Some(fate) = self.model.poll(now) {
            match fate {
                Fate::Deliver(packet) => self.queues.decide(packet, Verdict::Accept)?,
                Fate::Drop(dropped) => self.queues.decide(dropped.packet, Verdict::Drop)?,
            }
        }
        self.queues.flush()
    }

    /// Sleeps until a packet or a signal comes or something is due.
    fn wait(&self, signals: &SignalFd) -> io::Result<()> {
        let timeout = self.model.next().map(|due| TimeSpec::from(due.saturating_sub(self.now())));
        let mut sources = [
            PollFd::new(self.queues.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut sources, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn report(&self, plan: &WanPlan) -> io::Result<Report> {
        let names = plan.attachments.iter().map(|attachment| attachment.name.clone());
        Ok(Report {
            attachments: names.zip(self.model.counters().iter().copied()).collect(),
            strays: self.strays,
            kernel: kernel_drops()?,
        })
    }
}
