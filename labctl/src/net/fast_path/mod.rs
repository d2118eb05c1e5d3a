//! A shorter way through a gateway for packets of flows that are under way.
//!
//! Connection tracking, the rules and routing together cost a packet as much again as forwarding it. So a gateway
//! whose rules need not see every packet has two small programs at each of its interfaces, which the kernel runs (eBPF):
//!
//! 1. What arrives passes [`forward`] before anything else. A flow that it does not know goes the ordinary way.
//! 2. When the rules have just written down that a flow's mapping is in use, they mark the packet. [`learn`] sees it
//!    leave, and notes what has become of its addresses, ports and link: for as long as the rules would not have
//!    written the mapping down again (a second at most, see [`crate::profile::FastPath`]).
//! 3. Until then, `forward` does the same to the flow's other packets in this direction, and sends them on.
//!
//! So nothing is let through that the rules have not let through in this second, every mapping is refreshed as the
//! profile says, and there is no state but what was learned in that second. What opens or closes a TCP
//! connection, segments without ACK, frames that are not for the gateway or of another length than their packet,
//! fragments, ICMP, IP options, packets at the end of their life and hairpinned ones always go the ordinary way.
//!
//! Programs and maps are made once by a process, and live for as long as they are at a link. Another process finds
//! them there. Where the kernel or the user's rights have no place for them, everything goes the ordinary way.

mod assembler;
mod attachment;
mod forward;
mod layout;
mod learn;
mod running;
mod types;

pub use running::{Interfaces, Passed, passed, set};

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Once, OnceLock};

use nix::sched::{CloneFlags, unshare};

use self::layout::{GATEWAY_SIZE, Gateway};
use super::link::{InterfaceIndex, LOOPBACK};
use super::netlink::Requests;
use super::sys::bpf::{self, MapKind};
use super::{NetError, Netlink, sysctl};
use crate::profile::FastPath;

/// Flows in a second that are remembered at most, of all gateways that a process makes. Those that were not used for
/// longest go first, and then take the ordinary way.
const FLOWS: u32 = 16_384;
/// Gateways that a process can give it to, and one that is none. Others' packets take the ordinary way.
const GATEWAYS: u16 = 16_384;

/// With the first, connection tracking takes segments that follow on others that it has not seen; with the second,
/// resets, too.
const LIBERAL: [&str; 2] =
    ["net/netfilter/nf_conntrack_tcp_be_liberal", "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst"];

/// A gateway's number in the maps of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number(u16);

/// The maps that both programs use.
#[derive(Debug)]
struct Maps([OwnedFd; 3]);

impl Maps {
    fn make() -> io::Result<Self> {
        let size = |size: i16| usize::from(size.unsigned_abs());
        Ok(Self([
            bpf::create_map(
                MapKind::Forgetful,
                FLOWS_NAME,
                size(layout::flow::SIZE),
                size(layout::way::SIZE),
                FLOWS,
            )?,
            bpf::create_map(MapKind::Array, GATEWAYS_NAME, 4, GATEWAY_SIZE, GATEWAYS.into())?,
            bpf::create_map(MapKind::PerProcessorArray, "labctl_last", 4, size(layout::last::SIZE), 1)?,
        ]))
    }

    fn flows(&self) -> &OwnedFd {
        &self.0[0]
    }

    fn gateways(&self) -> &OwnedFd {
        &self.0[1]
    }

    fn last(&self) -> &OwnedFd {
        &self.0[2]
    }
}

const FLOWS_NAME: &str = "labctl_flows";
const GATEWAYS_NAME: &str = "labctl_gateways";

/// The programs and their maps.
#[derive(Debug)]
struct Programs {
    maps: Maps,
    forward: OwnedFd,
    learn: OwnedFd,
    tcp: bool,
    /// The next gateway's number.
    next: AtomicU16,
}

impl Programs {
    fn load() -> io::Result<Self> {
        let maps = Maps::make()?;
        let forward = bpf::load_classifier("labctl_forward", &forward::program(&maps))?;
        let with_tcp = types::Functions::find().and_then(|functions| {
            let program = learn::program(&maps, Some(functions));
            bpf::load_classifier("labctl_learn", &program)
                .inspect_err(|error| tracing::debug!(%error, "TCP has no fast path"))
                .ok()
        });
        let tcp = with_tcp.is_some();
        let learn = match with_tcp {
            Some(learn) => learn,
            None => bpf::load_classifier("labctl_learn", &learn::program(&maps, None))?,
        };
        let programs = Self { maps, forward, learn, tcp, next: AtomicU16::new(1) };
        programs.attempt()?;
        Ok(programs)
    }

    /// Puts them at a link of a namespace without a name, which is gone again when this returns.
    fn attempt(&self) -> io::Result<()> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, || {
                unshare(CloneFlags::CLONE_NEWNET)?;
                let mut requests = Requests::default();
                requests.add_programs(LOOPBACK, self, Number(0));
                let netlink = Netlink::open_nameless()?;
                netlink.send(&requests).map_err(io::Error::other)
            })?;
            thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        })
    }

    /// Those of this process.
    fn get() -> Result<&'static Self, &'static io::Error> {
        static PROGRAMS: OnceLock<io::Result<Programs>> = OnceLock::new();
        PROGRAMS.get_or_init(Self::load).as_ref()
    }
}

/// What there is of it on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// UDP and TCP.
    Whole,
    /// UDP: the kernel's connection tracking is a module, or older than what TCP needs.
    UdpOnly,
    /// Nothing, and why.
    None(String),
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("UDP and TCP"),
            Self::UdpOnly => f.write_str("UDP"),
            Self::None(reason) => write!(f, "none ({reason})"),
        }
    }
}

/// Looks what there is.
#[must_use]
pub fn availability() -> Availability {
    match Programs::get() {
        Ok(Programs { tcp: true, .. }) => Availability::Whole,
        Ok(_) => Availability::UdpOnly,
        Err(error) => Availability::None(error.to_string()),
    }
}

/// A gateway's place in the fast path of this process: what its interfaces are given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    programs: &'static Programs,
    number: Number,
    /// Whether TCP has it, too.
    tcp: bool,
}

impl Place {
    /// A place for a gateway that may have it; `None` if there is none.
    pub(super) fn take(settings: FastPath, outside: InterfaceIndex) -> Option<Self> {
        let programs = Programs::get().ok()?;
        let next = |next: u16| (next < GATEWAYS).then(|| next + 1);
        let number =
            programs.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).inspect_err(|_| {
                static SAID: Once = Once::new();
                SAID.call_once(|| {
                    tracing::warn!("only the first {} gateways have a fast path", GATEWAYS - 1);
                });
            });
        let number = number.ok()?;
        let gateway = gateway(settings, outside, programs.tcp);
        bpf::update(programs.maps.gateways(), &u32::from(number).to_ne_bytes(), &gateway.to_bytes())
            .inspect_err(|error| tracing::debug!(%error, "a gateway has no fast path"))
            .ok()?;
        Some(Self { programs, number: Number(number), tcp: gateway.tcp != 0 })
    }

    /// Tells connection tracking of the calling thread's namespace what it must know.
    pub(super) fn prepare(self) -> Result<(), NetError> {
        set_liberal(self.tcp)
    }

    /// Puts the programs at an interface.
    pub(super) fn attach(self, interface: InterfaceIndex, requests: &mut Requests) {
        requests.add_programs(interface, self.programs, self.number);
    }
}

/// Whether connection tracking of the calling thread's namespace is liberal.
fn set_liberal(liberal: bool) -> Result<(), NetError> {
    for path in LIBERAL {
        match sysctl::set(path, if liberal { "1" } else { "0" }) {
            // A kernel without connection tracking, or an older one, has nothing to turn off.
            Err(NetError::Sysctl { source, .. }) if !liberal && source.kind() == io::ErrorKind::NotFound => {}
            set => set?,
        }
    }
    Ok(())
}

fn gateway(settings: FastPath, outside: InterfaceIndex, tcp: bool) -> Gateway {
    let nanoseconds = |milliseconds: u32| u64::from(milliseconds) * 1_000_000;
    Gateway {
        era: 1,
        outside: outside.0,
        udp: nanoseconds(settings.udp_ms),
        tcp: if tcp { nanoseconds(settings.tcp_ms) } else { 0 },
        transitory: settings.transitory_s.saturating_mul(1000),
        state: if tcp { layout::ON | layout::TCP } else { layout::ON },
        ..Gateway::default()
    }
}
