//! What this machine's kernel has, tried in a namespace that ends with the look.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use super::fit::Abilities;
use super::gate::Gate;
use super::request::Disciplines;
use super::tree::{Class, Netem, Shape, Tree};
use crate::link::{Distribution, Loss};
use crate::net::link::LOOPBACK;
use crate::net::netlink::Requests;
use crate::net::{NetError, NetNs, Netlink};

/// What there is. It is looked once in a process.
#[must_use]
pub fn abilities() -> Abilities {
    static FOUND: LazyLock<Abilities> = LazyLock::new(look);
    *FOUND
}

fn look() -> Abilities {
    let nothing = Abilities { rates: false, netem: false };
    let made = thread::Builder::new().spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        let namespace = NetNs::of_process(gettid().as_raw().unsigned_abs()).ok()?;
        let rates = Gate::open().is_ok() && tries(&namespace, &Tree::Tbf(SHAPE)).is_ok();
        Some(Abilities { rates, netem: rates && has_netem(&namespace) })
    });
    // Without the right to a namespace there is no lab at all, which others say.
    made.ok().and_then(|thread| thread.join().ok().flatten()).unwrap_or(nothing)
}

const SHAPE: Shape = Shape { rate: 1_000_000, queue: 15_000 };

/// Everything that a tree can have.
fn has_netem(namespace: &NetNs) -> bool {
    let millisecond = Duration::from_millis(1);
    let netem = Netem {
        delay: millisecond,
        jitter: vec![(millisecond, Distribution::Normal)],
        loss: Loss::Independent(0.01),
        duplicate: 0.0,
        rate: Some(SHAPE.rate),
    };
    let class = |group| Class { groups: vec![group], netem: netem.clone() };
    let one = Tree::One(netem.clone(), Some(SHAPE));
    let several = Tree::Classes(vec![class(0), class(1)], Some(SHAPE));
    [one, several].iter().all(|tree| match tries(namespace, tree) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "this kernel cannot delay packets by itself");
            false
        }
    })
}

fn tries(namespace: &NetNs, tree: &Tree) -> Result<(), NetError> {
    let netlink = Netlink::open_here(namespace)?;
    let mut requests = Requests::default();
    Disciplines::of(&mut requests, LOOPBACK).make(tree);
    let made = netlink.send(&requests);
    let mut clear = Requests::default();
    Disciplines::of(&mut clear, LOOPBACK).clear();
    // What was not made cannot be taken away.
    let _ = netlink.send(&clear);
    made
}
