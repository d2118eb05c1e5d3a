//! The ways between access links.

use std::collections::HashMap;
use std::time::Duration;

use super::AttachmentId;
use super::lane::{Moment, shifted};
use super::random::{Jitter, Random};
use crate::link::Distribution;
use crate::plan::WanPlan;

/// The ways between all pairs of attachments: a delay, and jitter as a share of it.
#[derive(Debug)]
pub struct Paths {
    plan: WanPlan,
    /// True if delays follow from the regions alone.
    by_region: bool,
    /// Delays by distance that were asked for before.
    known: HashMap<(AttachmentId, AttachmentId), Duration>,
    share: f64,
    /// By sender.
    jitter: Vec<Jitter>,
    /// When the last packet of a pair came through. Kept only where there is jitter: without it the order is the one
    /// of sending.
    last: HashMap<(AttachmentId, AttachmentId), Moment>,
}

impl Paths {
    /// The ways of a plan.
    #[must_use]
    pub fn new(plan: &WanPlan) -> Self {
        let share = plan.jitter.clamp(0.0, 1.0);
        let jitter = |name: &str| Jitter::new(Random::new(plan.seed, "path jitter", name));
        Self {
            by_region: plan.attachments.iter().all(|at| at.place.is_none()),
            known: HashMap::new(),
            share,
            jitter: plan.attachments.iter().map(|at| jitter(at.name.as_str())).collect(),
            last: HashMap::new(),
            plan: plan.clone(),
        }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &WanPlan {
        &self.plan
    }

    fn delay(&mut self, from: AttachmentId, to: AttachmentId) -> Duration {
        let attachments = &self.plan.attachments;
        let (a, b) = (&attachments[from.0], &attachments[to.0]);
        if self.by_region {
            return self.plan.delay[a.region][b.region];
        }
        // A valid plan says how long every way is.
        *self.known.entry((from, to)).or_insert_with(|| self.plan.path_delay(a, b).unwrap_or_default())
    }

    /// When a packet that sets out at `now` has come through. One that is `late` may be overtaken by others.
    pub fn pass(&mut self, now: Moment, from: AttachmentId, to: AttachmentId, late: bool) -> Moment {
        let delay = self.delay(from, to);
        if self.share <= 0.0 {
            return now.saturating_add(delay);
        }
        let times = self.jitter[from.0].next(Distribution::Uniform, 0.0);
        let out = now.saturating_add(shifted(delay, delay.mul_f64(self.share), times));
        if late {
            return out;
        }
        let last = self.last.entry((from, to)).or_default();
        *last = out.max(*last);
        *last
    }
}
