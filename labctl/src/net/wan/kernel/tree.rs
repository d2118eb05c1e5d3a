//! Which queueing disciplines a WAN takes, and where. Pure.
//!
//! A packet meets two of these trees. Its sender's access link is at the outgoing side of the sender's own interface;
//! the way between and the receiver's access link are at the outgoing side of the core's interface to the receiver.
//! Constant times add up in any order, so that netem's delay stands before its rate and the result is the same.
//!
//! Where ways of several lengths lead to a receiver, packets are told apart by a mark that says which group their
//! sender is of, and each length has a class of its own.

use std::time::Duration;

use crate::link::{Distribution, LinkSpec, Loss};
use crate::net::wan::lane::queue_limit;
use crate::plan::{Attachment, WanPlan};

/// A netem discipline.
#[derive(Clone, Debug, PartialEq)]
pub struct Netem {
    /// Delay.
    pub delay: Duration,
    /// What the delay varies by: independent parts that add up.
    pub jitter: Vec<(Duration, Distribution)>,
    /// Loss.
    pub loss: Loss,
    /// Share of packets that are doubled.
    pub duplicate: f64,
    /// Rate, bit/s.
    pub rate: Option<u64>,
}

/// A rate with what may wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// bit/s.
    pub rate: u64,
    /// Bytes.
    pub queue: u64,
}

/// One length of way, for senders of some groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// The groups, from 0.
    pub groups: Vec<usize>,
    /// What happens to their packets.
    pub netem: Netem,
}

/// The disciplines of one outgoing side.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing limits or delays.
    Nothing,
    /// A rate alone, on a kernel without netem.
    Tbf(Shape),
    /// Everything is treated alike.
    One(Netem, Option<Shape>),
    /// By group of the sender.
    Classes(Vec<Class>, Option<Shape>),
}

impl Tree {
    /// Whether one can be made the other without losing what waits.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, Self::Nothing) | (Self::Tbf(_), Self::Tbf(_)) => true,
            (Self::One(_, a), Self::One(_, b)) => a.is_some() == b.is_some(),
            (Self::Classes(a, x), Self::Classes(b, y)) => {
                x.is_some() == y.is_some() && a.iter().map(|c| &c.groups).eq(b.iter().map(|c| &c.groups))
            }
            _ => false,
        }
    }
}

/// Which senders' packets are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// By region, or each attachment by itself.
    by_region: bool,
    groups: usize,
}

impl Sides {
    /// Groups at most.
    pub const MOST: usize = 256;

    /// Those of a plan.
    #[must_use]
    pub fn of(plan: &WanPlan) -> Self {
        let by_region = plan.attachments.iter().all(|at| at.place.is_none());
        Self { by_region, groups: if by_region { plan.regions.len() } else { plan.attachments.len() } }
    }

    /// How many groups there are.
    #[must_use]
    pub const fn groups(self) -> usize {
        self.groups
    }

    /// The group of an attachment, by its place in the plan.
    #[must_use]
    pub fn group(self, plan: &WanPlan, number: usize) -> usize {
        if self.by_region { plan.attachments.get(number).map_or(0, |at| at.region) } else { number }
    }

    /// The lengths of the ways that lead to an attachment, each with the groups that it is for. Groups in which nobody
    /// else is are left out: nobody sends to itself over the core.
    #[must_use]
    pub fn classes(self, plan: &WanPlan, to: &Attachment) -> Vec<(Vec<usize>, Duration)> {
        let mut classes: Vec<(Vec<usize>, Duration)> = Vec::new();
        let mut seen = vec![false; self.groups];
        for (number, from) in plan.attachments.iter().enumerate() {
            if from.name == to.name {
                continue;
            }
            let group = self.group(plan, number);
            if seen.get_mut(group).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            let delay = plan.path_delay(from, to).unwrap_or_default();
            match classes.iter_mut().find(|(_, known)| *known == delay) {
                Some((groups, _)) => groups.push(group),
                None => classes.push((vec![group], delay)),
            }
        }
        classes
    }

    /// The longest way; `None` if there is none.
    #[must_use]
    pub fn longest_path(self, plan: &WanPlan) -> Option<Duration> {
        let to = plan.attachments.iter().flat_map(|to| self.classes(plan, to));
        to.map(|(_, delay)| delay).max()
    }
}

fn shape(spec: &LinkSpec) -> Option<Shape> {
    spec.rate.map(|rate| Shape { rate, queue: queue_limit(spec.queue, rate).max(1500) })
}

fn netem(spec: &LinkSpec, path: Duration, share: f64) -> Netem {
    let of_path = (path.mul_f64(share.clamp(0.0, 1.0)), Distribution::Uniform);
    let jitter = [of_path, (spec.jitter, spec.distribution)];
    Netem {
        delay: path + spec.delay,
        jitter: jitter.into_iter().filter(|(jitter, _)| !jitter.is_zero()).collect(),
        loss: spec.loss,
        duplicate: spec.duplicate,
        rate: spec.rate,
    }
}

impl Netem {
    fn does_nothing(&self) -> bool {
        self.delay.is_zero() && self.jitter.is_empty() && self.loss.is_none() && self.duplicate <= 0.0
    }
}

fn one(netem: Netem, spec: &LinkSpec, has_netem: bool) -> Tree {
    match (netem.does_nothing(), shape(spec)) {
        (true, None) => Tree::Nothing,
        (true, Some(shape)) if !has_netem => Tree::Tbf(shape),
        (_, shape) => Tree::One(netem, shape),
    }
}

/// The tree of a sender's own interface.
#[must_use]
pub fn up(spec: &LinkSpec, has_netem: bool) -> Tree {
    one(netem(spec, Duration::ZERO, 0.0), spec, has_netem)
}

/// The tree of the core's interface to a receiver.
#[must_use]
pub fn down(plan: &WanPlan, to: &Attachment, spec: &LinkSpec, has_netem: bool) -> Tree {
    match &Sides::of(plan).classes(plan, to)[..] {
        [] => one(netem(spec, Duration::ZERO, 0.0), spec, has_netem),
        [(_, path)] => one(netem(spec, *path, plan.jitter), spec, has_netem),
        several => {
            let class = |(groups, path): &(Vec<usize>, Duration)| Class {
                groups: groups.clone(),
                netem: netem(spec, *path, plan.jitter),
            };
            Tree::Classes(several.iter().map(class).collect(), shape(spec))
        }
    }
}
