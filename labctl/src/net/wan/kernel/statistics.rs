//! What the kernel has counted: at interfaces, and at their disciplines.

use std::collections::BTreeMap;
use std::io;

use nix::libc::{RTM_GETLINK, RTM_GETQDISC};
use nix::sys::socket::SockProtocol;

use crate::net::socket::Socket;
use crate::net::wire::Fields;

/// What disciplines have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bytes that wait now, those that are only delayed among them.
    pub backlog: u64,
    /// Packets that wait now.
    pub waiting: u64,
    /// Packets that found the queue full.
    pub full: u64,
    /// Packets that were lost.
    pub lost: u64,
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.backlog += other.backlog;
        self.waiting += other.waiting;
        self.full += other.full;
        self.lost += other.lost;
    }
}

/// One discipline of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Discipline {
    netem: bool,
    root: bool,
    backlog: u64,
    waiting: u64,
    drops: u64,
}

/// What passed an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Packets in and out.
    pub packets: (u64, u64),
    /// Bytes of them with their Ethernet headers.
    pub bytes: (u64, u64),
}

/// A socket that tells them, of the namespace that it was opened in.
#[derive(Debug)]
pub struct Teller(Socket);

impl Teller {
    /// Opens it in the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        Socket::open(SockProtocol::NetlinkRoute).map(Self)
    }

    /// What disciplines have counted, by interface.
    pub fn disciplines(&mut self) -> io::Result<BTreeMap<u32, Counted>> {
        let mut found: BTreeMap<u32, Vec<Discipline>> = BTreeMap::new();
        for body in self.0.list(RTM_GETQDISC, &[0; 20], &[])? {
            if let Some((interface, discipline)) = discipline(&body) {
                found.entry(interface).or_default().push(discipline);
            }
        }
        Ok(found.into_iter().map(|(interface, all)| (interface, count(&all))).collect())
    }

    /// What passed the interfaces.
    pub fn interfaces(&mut self) -> io::Result<BTreeMap<u32, Passed>> {
        /// `struct ifinfomsg`
        const HEADER: usize = 16;
        /// `IFLA_STATS64`
        const STATISTICS: u16 = 23;
        let links = self.0.list(RTM_GETLINK, &[0; HEADER], &[])?;
        let passed = |body: &Vec<u8>| {
            let index = number(body.get(4..)?)?;
            let statistics = Fields(body.get(HEADER..)?).find(STATISTICS)?;
            let at = |place: usize| long(statistics.get(8 * place..)?);
            Some((index, Passed { packets: (at(0)?, at(1)?), bytes: (at(2)?, at(3)?) }))
        };
        Ok(links.iter().filter_map(passed).collect())
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().copied().map(u64::from_ne_bytes)
}

/// Reads a discipline and its interface.
fn discipline(body: &[u8]) -> Option<(u32, Discipline)> {
    /// `struct tcmsg`
    const HEADER: usize = 20;
    /// `TC_H_ROOT`
    const ROOT: u32 = 0xffff_ffff;
    let at = |place: usize| number(body.get(place..)?);
    let attributes = body.get(HEADER..)?;
    let statistics = Fields(attributes).find(7)?;
    // struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits
    let queue = Fields(statistics).find(3)?;
    let of = |place: usize| number(queue.get(4 * place..)?).map(u64::from);
    let discipline = Discipline {
        netem: Fields(attributes).find(1) == Some(b"netem\0"),
        root: at(12)? == ROOT,
        waiting: of(0)?,
        backlog: of(1)?,
        drops: of(2)?,
    };
    Some((at(4)?, discipline))
}

/// The disciplines of one interface together. What stands first counts all drops, netems what they lose.
fn count(all: &[Discipline]) -> Counted {
    let Some(first) = all.iter().find(|discipline| discipline.root) else { return Counted::default() };
    let lost: u64 = all.iter().filter(|discipline| discipline.netem).map(|netem| netem.drops).sum();
    Counted { backlog: first.backlog, waiting: first.waiting, full: first.drops.saturating_sub(lost), lost }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_from_what_found_the_queue_full() {
        let of = |netem, root, drops| Discipline { netem, root, backlog: 3000, waiting: 2, drops };
        let all = [of(false, true, 10), of(true, false, 4), of(true, false, 1)];
        assert_eq!(count(&all), Counted { backlog: 3000, waiting: 2, full: 5, lost: 5 });
        assert_eq!(count(&[]), Counted::default());
    }
}
