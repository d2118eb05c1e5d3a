//! labctl's own engine: takes in every packet that comes to the WAN core, and sends it out when the model says.
//!
//! The core's kernel forwards nothing. Packets come through a ring that the kernel writes, with the time at which each
//! arrived; delays count from then, so that a late look takes nothing from exactness. Waiting packets are in our own
//! memory. What is due leaves by one system call for many.
//!
//! A thread that sleeps until the next packet comes is woken for each. Where many come, it therefore naps for a moment
//! without looking: what came meanwhile is then taken together, and what fell due leaves together.

mod addresses;
mod clock;
mod ip;
mod out;
mod pool;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use self::addresses::Addresses;
use self::clock::Clock;
use self::ip::Header;
use self::out::Out;
use self::pool::{Packet, Pool};
use super::AttachmentId;
use super::control::{Names, Report, WanAnswer, WanRequest, apply, links};
use super::engine::{Engine, EngineKind};
use super::lane::{Bytes, Moment};
use super::model::{Dropped, Fate, Model};
use crate::net::link::InterfaceIndex;
use crate::net::sys;
use crate::net::sys::ring::PacketRing;
use crate::net::{NetError, NetNs};
use crate::plan::WanPlan;

/// Packets that are taken before it is looked what is due.
const BURST: usize = 64;
/// Packets that leave before it is looked what has come: the ring must not run full meanwhile.
const RELEASED: usize = 512;
/// Under load it is looked for orders once in so many bursts.
const ORDERS: u32 = 32;

/// So many packets in and out in one round are a load ...
const BUSY: usize = 8;
/// ... under which it naps for so long, by which packets then leave late at most. Twice as long would save a tenth of
/// what a packet costs at 250,000 packets/s.
const NAP: Duration = Duration::from_micros(50);

/// What to do until the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing: there may be more packets to be taken or sent.
    None,
    /// To let packets come for a moment.
    Nap,
    /// To sleep until a packet comes or is due.
    Sleep,
}

/// The engine.
#[derive(Debug)]
pub struct UserEngine {
    ring: PacketRing,
    out: Out,
    pool: Pool,
    model: Model<Packet>,
    names: Names,
    addresses: Addresses,
    core: Ipv4Addr,
    clock: Clock,
    /// Packets that no model was asked about.
    strays: u64,
}

impl UserEngine {
    /// Moves the calling thread into the core's namespace for good, and takes its packets from now on.
    pub fn start(plan: &WanPlan) -> Result<Self, NetError> {
        let fail = |action| move |source| NetError::Engine { action, source };
        NetNs::open(&plan.namespace)?.enter()?;
        // The kernel may otherwise wake us 50 us late, to save power.
        prctl::set_timerslack(1).map_err(|error| fail("set the timer slack")(error.into()))?;
        // A busy machine would otherwise add its own delays, of milliseconds, to those of the plan. The kernel
        // keeps a share of the time for others, whatever the traffic.
        if let Err(error) = sys::schedule_first() {
            // An ordinary user has no right to it.
            tracing::info!(%error, "no real-time priority: delays are less exact when the machine is busy");
        }
        Ok(Self {
            ring: PacketRing::open().map_err(fail("open its packet ring"))?,
            out: Out::open(plan).map_err(fail("open its packet socket"))?,
            pool: Pool::default(),
            model: Model::new(plan),
            names: Names::new(plan),
            addresses: Addresses::new(plan),
            core: plan.address,
            clock: Clock::start(),
            strays: 0,
        })
    }

    /// Takes what has come. How many packets those were.
    fn take(&mut self) -> usize {
        let Self { ring, out, pool, model, addresses, core, clock, strays, .. } = self;
        let mut taken = 0;
        while taken < BURST {
            let entered = ring.take(|frame| {
                if taken == 0 {
                    clock.compare();
                }
                let header = Header::read(frame.bytes)?;
                if header.destination == *core {
                    // The kernel answers it.
                    return Some(());
                }
                let from = AttachmentId::of_interface(InterfaceIndex(frame.interface))
                    .filter(|id| model.has(*id))?;
                // Only from where its source is (BCP 38), as access networks do.
                let to = addresses.owner(header.destination)?;
                addresses.owner(header.source).filter(|owner| *owner == from)?;
                let bytes = &frame.bytes[..usize::from(header.length)];
                if header.ttl <= 1 {
                    if let Some(answer) = ip::time_exceeded(*core, bytes) {
                        out.push(from, pool.packet(&answer, |_| {}), pool);
                    }
                    return Some(());
                }
                let packet = pool.packet(bytes, ip::take_hop);
                let moment = clock.moment(frame.time);
                // What is lost at once is counted by the model, and gone.
                if let Err(Dropped { packet, .. }) =
                    model.enter(moment, from, to, Bytes(header.length.into()), packet)
                {
                    pool.take_back(packet);
                }
                Some(())
            });
            match entered {
                None => break,
                Some(entered) => *strays += u64::from(entered.is_none()),
            }
            taken += 1;
        }
        taken
    }

    /// Sends what is due, [`RELEASED`] packets at most. How many those were, with those that were lost.
    fn release(&mut self) -> usize {
        let Self { out, pool, model, clock, .. } = self;
        let now = clock.now();
        let mut released = 0;
        while released < RELEASED
            && let Some(fate) = model.poll(now)
        {
            match fate {
                Fate::Deliver { to, packet } => out.push(to, packet, pool),
                Fate::Drop(Dropped { packet, .. }) => pool.take_back(packet),
            }
            released += 1;
        }
        out.flush(pool);
        released
    }

    /// Rests, unless an order comes. Whether there is one.
    fn rest(&self, wake: BorrowedFd<'_>, rest: Rest) -> io::Result<bool> {
        let order = PollFd::new(wake, PollFlags::POLLIN);
        let packet = PollFd::new(self.ring.as_fd(), PollFlags::POLLIN);
        let until = |due: Moment| due.saturating_sub(self.clock.now());
        let (sources, timeout): (&mut [_], _) = match rest {
            Rest::None => (&mut [order], Some(Duration::ZERO)),
            Rest::Nap => (&mut [order], Some(NAP)),
            Rest::Sleep => (&mut [order, packet], self.model.next().map(until)),
        };
        match ppoll(sources, timeout.map(TimeSpec::from), None) {
            Ok(_) => Ok(sources[0].any() == Some(true)),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn report(&mut self) -> io::Result<Report> {
        let now = self.clock.now();
        Ok(Report {
            engine: self.kind(),
            uptime_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            in_flight: self.model.in_flight() as u64,
            partitions: self.model.partitions() as u64,
            strays: self.strays,
            missed: self.ring.dropped()? + self.out.unsent(),
            links: links(&self.model, now),
        })
    }
}

impl Engine for UserEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::User
    }

    fn carry(&mut self, wake: BorrowedFd<'_>) -> Result<(), NetError> {
        let mut bursts = 0_u32;
        loop {
            let taken = self.take();
            let released = self.release();
            bursts += 1;
            let rest = if taken == BURST || released == RELEASED {
                Rest::None
            } else if taken + released >= BUSY {
                Rest::Nap
            } else {
                Rest::Sleep
            };
            if rest != Rest::None || bursts.is_multiple_of(ORDERS) {
                let ordered = self.rest(wake, rest);
                if ordered.map_err(|source| NetError::Engine { action: "wait for packets", source })? {
                    return Ok(());
                }
            }
        }
    }

    fn handle(&mut self, request: &WanRequest) -> Result<WanAnswer, String> {
        match request {
            WanRequest::Change(change) => apply(&mut self.model, &self.names, self.clock.now(), change)?,
            // The engine's owner ends it.
            WanRequest::Stop => {}
            WanRequest::Report => {
                let report = self.report().map_err(|error| format!("the kernel's counters: {error}"))?;
                return Ok(WanAnswer::Report(Box::new(report)));
            }
        }
        Ok(WanAnswer::Done)
    }
}
