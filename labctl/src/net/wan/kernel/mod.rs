//! The kernel's own queueing disciplines as an engine: netem and htb, or tbf alone on a kernel without netem.
//!
//! The core's kernel forwards. What happens to packets, disciplines do at the interfaces that packets leave by: a
//! sender's own, and the core's to the receiver ([`tree`]). They are made together with each interface, before it can
//! send, and forwarding is let in last; all that passes needs a mark that only a table of this engine's gives
//! ([`gate`]), so that nothing passes once the engine has ended, however it ended.

pub mod fit;
mod gate;
mod probe;
mod request;
mod statistics;
mod table;
#[cfg(test)]
mod tests;
pub mod tree;

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::fit::{Abilities, Fit};
use self::gate::{Gate, Stops};
use self::statistics::{Counted, Passed, Teller};
use self::tree::{Sides, Tree};
use super::AttachmentId;
use super::control::{LinkReport, Names, Report, WanAnswer, WanRequest};
use super::counters::{Counters, Drops, Tally};
use super::engine::{Engine, EngineKind};
use crate::link::{AccessLink, Change, Setting, Ways};
use crate::net::link::InterfaceIndex;
use crate::net::netlink::Requests;
use crate::net::nft::Table;
use crate::net::ruleset::{self, Program};
use crate::net::uplink::LOWER_END;
use crate::net::{NetError, NetNs, Netlink, sysctl};
use crate::plan::{Attachment, WanPlan};

pub use gate::MARK;
pub use probe::abilities;
use request::Disciplines;

/// Bytes of an Ethernet header, which interfaces count.
const ETHERNET: u64 = 14;

/// The disciplines of an attachment that is being linked: those of its own interface, and of the core's to it.
pub(in crate::net) fn first(plan: &WanPlan, at: &Attachment, near: InterfaceIndex) -> (Requests, Requests) {
    let has_netem = abilities().netem;
    let mut requests = (Requests::default(), Requests::default());
    Disciplines::of(&mut requests.0, LOWER_END).make(&tree::up(&at.access.up, has_netem));
    Disciplines::of(&mut requests.1, near).make(&tree::down(plan, at, &at.access.down, has_netem));
    requests
}

/// One side of a link: what is there, and what was counted there before it was made anew.
#[derive(Debug)]
struct Side {
    /// `None`: the kernel refused a part of it, so that it is neither what it was nor what it should be.
    tree: Option<Tree>,
    before: Counted,
}

impl Side {
    /// Whether it can become this without losing what waits.
    fn is_like(&self, tree: &Tree) -> bool {
        self.tree.as_ref().is_some_and(|old| old.is_like(tree))
    }

    /// Whether packets would pass without what is asked for while it becomes this. What is one discipline, or was none,
    /// is changed at once.
    fn passes_bare(&self, tree: &Tree) -> bool {
        !self.is_like(tree) && self.tree != Some(Tree::Nothing) && *tree != Tree::Nothing
    }
}

/// An attachment.
#[derive(Debug)]
struct Link {
    access: AccessLink,
    works: bool,
    up: Side,
    down: Side,
    /// What its interface in the core had carried when the engine began.
    zero: Passed,
    /// Its namespace's socket, once it was there to be asked.
    teller: Option<Teller>,
}

impl Link {
    /// Whether the kernel has refused a part of one of its sides.
    fn is_half_made(&self) -> bool {
        self.up.tree.is_none() || self.down.tree.is_none()
    }
}

/// The engine.
#[derive(Debug)]
pub struct KernelEngine {
    plan: WanPlan,
    names: Names,
    namespace: NetNs,
    links: Vec<Link>,
    stops: Stops,
    /// What rules have stopped before they were made anew, by counter.
    stopped: HashMap<String, u64>,
    core: Teller,
    abilities: Abilities,
    begin: Instant,
    runtime: tokio::runtime::Runtime,
    /// Nothing passes without it.
    _gate: Gate,
}

fn fail(action: &'static str) -> impl FnOnce(io::Error) -> NetError {
    move |source| NetError::Engine { action, source }
}

impl KernelEngine {
    /// Moves the calling thread into the core's namespace for good, makes the disciplines of all attachments that are
    /// linked, and lets packets pass from now on. What links later brings its own ([`first`]).
    pub fn start(plan: &WanPlan) -> Result<Self, NetError> {
        let abilities = abilities();
        if let Fit::Cannot { why } = fit::of_wan(plan, abilities) {
            return Err(NetError::Engine { action: "do what the plan says", source: io::Error::other(why) });
        }
        let namespace = NetNs::open(&plan.namespace)?;
        namespace.enter()?;
        sysctl::forward(false)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut core = Teller::open().map_err(fail("open a netlink socket"))?;
        let passed = core.interfaces().map_err(fail("read the counters of interfaces"))?;
        let link = |(number, at): (usize, &Attachment)| {
            let side = |tree| Side { tree: Some(tree), before: Counted::default() };
            let index = AttachmentId(number).interface().map_or(0, |index| index.0);
            Link {
                access: at.access,
                works: true,
                up: side(tree::up(&at.access.up, abilities.netem)),
                down: side(tree::down(plan, at, &at.access.down, abilities.netem)),
                zero: passed.get(&index).copied().unwrap_or_default(),
                teller: None,
            }
        };
        let links: Vec<Link> = plan.attachments.iter().enumerate().map(link).collect();
        let mut engine = Self {
            names: Names::new(plan),
            links,
            stops: Stops::default(),
            stopped: HashMap::new(),
            core,
            abilities,
            begin: Instant::now(),
            runtime: runtime.map_err(fail("start an event loop"))?,
            _gate: {
                // A repaired WAN has links already.
                let linked: Vec<usize> = (0..plan.attachments.len())
                    .filter(|number| {
                        AttachmentId(*number).interface().is_some_and(|index| passed.contains_key(&index.0))
                    })
                    .collect();
                for number in linked {
                    renew(plan, number, abilities, &namespace)?;
                }
                Gate::open().map_err(fail("make its table"))?
            },
            plan: plan.clone(),
            namespace,
        };
        engine.stop_what(|_| {})?;
        sysctl::forward(true)?;
        Ok(engine)
    }

    /// What rules have stopped since the engine began.
    fn read_stopped(&self) -> Result<HashMap<String, u64>, NetError> {
        let mut stopped = self.stopped.clone();
        if self.stops != Stops::default() {
            let table = self.runtime.block_on(Table::read(&self.namespace))?;
            for (name, counted) in table.counters {
                *stopped.entry(name).or_default() += counted.packets;
            }
        }
        Ok(stopped)
    }

    /// Makes a change. The error says what is wrong with it.
    fn change(&mut self, change: &Change) -> Result<(), String> {
        let failed = |error: NetError| error.to_string();
        match change {
            Change::SetLink { link, ways, settings } => self.set(self.names.link(link)?, *ways, settings),
            Change::SetWorks { link, works } => {
                let id = self.names.link(link)?;
                if *works && self.links.get(id.0).is_some_and(Link::is_half_made) {
                    return Err(format!("the link '{link}' is half made: set its properties again first"));
                }
                self.stop_link(id, !works).map_err(failed)?;
                if let Some(link) = self.links.get_mut(id.0) {
                    link.works = *works;
                }
                Ok(())
            }
            Change::Partition { sides } => {
                let sides = self.names.sides(sides)?;
                self.stop_what(|stops| stops.partitions.push(sides)).map_err(failed)
            }
            Change::Heal => self.stop_what(|stops| stops.partitions.clear()).map_err(failed),
        }
    }

    fn set(&mut self, id: AttachmentId, ways: Ways, settings: &[Setting]) -> Result<(), String> {
        let AttachmentId(number) = id;
        let (Some(at), Some(link)) = (self.plan.attachments.get(number), self.links.get(number)) else {
            return Err("the plan has no such link".to_owned());
        };
        let mut access = link.access;
        for setting in settings {
            access.set(ways, *setting);
        }
        let several = Sides::of(&self.plan).classes(&self.plan, at).len() > 1;
        let checked = [(&access.up, "up", false), (&access.down, "down", several)];
        for (spec, way, several) in checked {
            let place = format!("the link '{}', {way}", at.name);
            if let Fit::Cannot { why } = fit::of_way(spec, &place, several, self.abilities) {
                return Err(format!(
                    "the kernel's engine cannot do it: {why}; bring the lab up with '--wan-engine user'"
                ));
            }
        }
        let up = tree::up(&access.up, self.abilities.netem);
        let down = tree::down(&self.plan, at, &access.down, self.abilities.netem);
        let was_up = link.up.tree.clone();
        let stops = link.works && (link.up.passes_bare(&up) || link.down.passes_bare(&down));
        if stops {
            self.stop_link(id, true).map_err(|error| error.to_string())?;
        }
        let mut made = self.put(id, true, up);
        if made.is_ok() {
            made = self.put(id, false, down);
            if let (Err(_), Some(old)) = (&made, was_up) {
                // Refused again, it is half made, which is said below.
                let _ = self.put(id, true, old);
            }
        }
        let link = &mut self.links[number];
        if made.is_ok() {
            link.access = access;
        }
        let half = link.is_half_made();
        link.works &= !half;
        let works = link.works;
        let opened = if stops || !works { self.stop_link(id, !works) } else { Ok(()) };
        if opened.is_err() {
            self.links[number].works = false;
        }
        match (made, opened) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(error), Ok(())) if !half => Err(error.to_string()),
            (Err(error), _) | (Ok(()), Err(error)) => Err(format!(
                "{error}; the link '{name}' is down, for it may be half made: set its properties again, then \
                 'labctl link up {name}'",
                name = self.plan.attachments[number].name
            )),
        }
    }

    /// Stops what comes to a link, or lets it pass again.
    fn stop_link(&mut self, id: AttachmentId, stops: bool) -> Result<(), NetError> {
        if self.stops.down.contains(&id) == stops {
            return Ok(());
        }
        self.stop_what(|all| {
            all.down.retain(|down| *down != id);
            if stops {
                all.down.push(id);
            }
        })
    }

    /// Makes one side of a link another.
    fn put(&mut self, id: AttachmentId, is_up: bool, tree: Tree) -> Result<(), NetError> {
        let AttachmentId(number) = id;
        let link = &self.links[number];
        let old = if is_up { &link.up } else { &link.down };
        if old.tree.as_ref() == Some(&tree) {
            return Ok(());
        }
        let alike = old.is_like(&tree);
        let counted = if alike { Counted::default() } else { self.counted(id, is_up)? };
        let namespace = if is_up {
            NetNs::open(&self.plan.attachments[number].namespace)?
        } else {
            self.namespace.clone()
        };
        let interface = if is_up { LOWER_END } else { id.interface().unwrap_or(InterfaceIndex(0)) };
        let link = &mut self.links[number];
        let side = if is_up { &mut link.up } else { &mut link.down };
        side.tree = None;
        side.before += Counted { backlog: 0, waiting: 0, full: counted.full + counted.waiting, ..counted };
        if alike {
            let mut requests = Requests::default();
            Disciplines::of(&mut requests, interface).change(&tree);
            namespace.run(|| Netlink::open_here(&namespace)?.send(&requests))??;
        } else {
            replace(&namespace, interface, &tree)?;
        }
        side.tree = Some(tree);
        Ok(())
    }

    /// What the disciplines that are in force have counted at one side.
    fn counted(&mut self, id: AttachmentId, is_up: bool) -> Result<Counted, NetError> {
        let reading = || fail("read the counters of disciplines");
        let (all, index) = if is_up {
            let found = self.teller(id)?.disciplines().map_err(reading())?;
            (found, LOWER_END.0)
        } else {
            (self.core.disciplines().map_err(reading())?, id.interface().map_or(0, |index| index.0))
        };
        Ok(all.get(&index).copied().unwrap_or_default())
    }

    fn teller(&mut self, AttachmentId(number): AttachmentId) -> Result<&mut Teller, NetError> {
        let link = &mut self.links[number];
        if link.teller.is_none() {
            let namespace = NetNs::open(&self.plan.attachments[number].namespace)?;
            let teller = namespace.run(Teller::open)?.map_err(fail("open a netlink socket"))?;
            link.teller = Some(teller);
        }
        link.teller
            .as_mut()
            .ok_or_else(|| NetError::NoNamespace { name: self.plan.attachments[number].namespace.clone() })
    }

    fn report(&mut self) -> Result<Report, NetError> {
        let passed = self.core.interfaces().map_err(fail("read the counters of interfaces"))?;
        let below = self.core.disciplines().map_err(fail("read the counters of disciplines"))?;
        let stopped = self.read_stopped()?;
        let mut links = Vec::new();
        let mut in_flight = 0;
        for number in 0..self.links.len() {
            let id = AttachmentId(number);
            let index = id.interface().map_or(0, |index| index.0);
            // Before it is linked it has nothing.
            let linked = passed.contains_key(&index);
            let mut up = if linked { self.counted(id, true)? } else { Counted::default() };
            let mut down = below.get(&index).copied().unwrap_or_default();
            in_flight += up.waiting + down.waiting;
            let link = &self.links[number];
            up += link.up.before;
            down += link.down.before;
            let at = &self.plan.attachments[number];
            let now = passed.get(&index).copied().unwrap_or_default();
            let since = |now: u64, zero: u64| now.saturating_sub(zero);
            let tally = |packets: u64, bytes: u64| Tally {
                packets,
                bytes: bytes.saturating_sub(packets.saturating_mul(ETHERNET)),
            };
            let came =
                tally(since(now.packets.0, link.zero.packets.0), since(now.bytes.0, link.zero.bytes.0));
            let went =
                tally(since(now.packets.1, link.zero.packets.1), since(now.bytes.1, link.zero.bytes.1));
            let of = |what: &str| stopped.get(&gate::counter(what, id)).copied().unwrap_or_default();
            let dropped = Drops {
                up_queue: up.full,
                up_loss: up.lost,
                down_queue: down.full,
                down_loss: down.lost,
                link_down: of("link_down"),
                partition: of("partition"),
                overflow: 0,
            };
            let lost = up.full + up.lost + up.waiting;
            let sent = Tally { packets: came.packets + lost, bytes: came.bytes + up.backlog };
            links.push(LinkReport {
                name: at.name.to_string(),
                region: self.plan.regions.get(at.region).cloned().unwrap_or_default(),
                works: link.works,
                access: link.access,
                counters: Counters { sent, received: went, dropped, ..Counters::default() },
                up_backlog: up.backlog,
                down_backlog: down.backlog,
            });
        }
        Ok(Report {
            engine: EngineKind::Kernel,
            uptime_ns: u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX),
            in_flight,
            partitions: self.stops.partitions.len() as u64,
            strays: 0,
            missed: 0,
            links,
        })
    }

    /// Changes what is stopped, and puts the rules for it in force; counters go on.
    fn stop_what(&mut self, change: impl FnOnce(&mut Stops)) -> Result<(), NetError> {
        let before = self.stops.clone();
        let counted = self.read_stopped()?;
        change(&mut self.stops);
        let rules = gate::rules(&self.plan, &self.stops);
        match self.runtime.block_on(ruleset::apply(&self.namespace, Program::Nft, &rules)) {
            Ok(()) => {
                self.stopped = counted;
                Ok(())
            }
            Err(error) => {
                self.stops = before;
                Err(error)
            }
        }
    }
}

/// Takes away what an interface has, and makes a tree there. What waits is lost.
fn replace(namespace: &NetNs, interface: InterfaceIndex, tree: &Tree) -> Result<(), NetError> {
    let mut clear = Requests::default();
    Disciplines::of(&mut clear, interface).clear();
    let mut make = Requests::default();
    Disciplines::of(&mut make, interface).make(tree);
    namespace.run(|| {
        let netlink = Netlink::open_here(namespace)?;
        // Refused where there is nothing yet, which is as well.
        netlink.ask(&clear)?;
        netlink.send(&make)
    })?
}

/// Gives an attachment that is linked the disciplines of the plan.
fn renew(plan: &WanPlan, number: usize, abilities: Abilities, core: &NetNs) -> Result<(), NetError> {
    let Some(at) = plan.attachments.get(number) else { return Ok(()) };
    let far = NetNs::open(&at.namespace)?;
    replace(&far, LOWER_END, &tree::up(&at.access.up, abilities.netem))?;
    let near = AttachmentId(number).interface().unwrap_or(InterfaceIndex(0));
    replace(core, near, &tree::down(plan, at, &at.access.down, abilities.netem))
}

impl Engine for KernelEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Kernel
    }

    fn carry(&mut self, wake: BorrowedFd<'_>) -> Result<(), NetError> {
        loop {
            match poll(&mut [PollFd::new(wake, PollFlags::POLLIN)], PollTimeout::NONE) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(fail("wait for orders")(error.into())),
            }
        }
    }

    fn handle(&mut self, request: &WanRequest) -> Result<WanAnswer, String> {
        match request {
            WanRequest::Change(change) => self.change(change)?,
            // The engine's owner ends it.
            WanRequest::Stop => {}
            WanRequest::Report => {
                let report = self.report().map_err(|error| error.to_string())?;
                return Ok(WanAnswer::Report(Box::new(report)));
            }
        }
        Ok(WanAnswer::Done)
    }
}

impl Drop for KernelEngine {
    fn drop(&mut self) {
        // The gate closes by itself; this is for those who look.
        if let Err(error) = sysctl::forward(false) {
            tracing::info!(%error, "the core's kernel still forwards, and its rules let nothing pass");
        }
    }
}
